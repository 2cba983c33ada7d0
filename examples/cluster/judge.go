package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"  // to read terms
	_ "github.com/microsoft/go-mssqldb" // likewise
	"github.com/proget-go/ha/examples/cluster/internal/history"
	"github.com/proget-go/ha/examples/cluster/internal/load"
	_ "modernc.org/sqlite" // likewise
)

func (s *suite) violate(format string, args ...any) {
	s.report.Verdict.Violations = append(s.report.Verdict.Violations, history.Violation{What: fmt.Sprintf(format, args...)})
}

// judge looks at everything once all faults are over, checks the history, and
// writes the report. It returns an error if a promise was broken.
func (s *suite) judge(ctx context.Context) error {
	if err := s.well(ctx, recovery); err != nil {
		s.violate("At the end: %v.", err)
	}
	for _, n := range s.nodes {
		if n.Role == "web" {
			s.survey(ctx, n)
		}
	}
	if len(s.report.Verdict.Violations) == 0 { // what is lost would keep it from ever being clean
		if err := s.sweep(ctx); err != nil {
			s.violate("%v", err)
		}
	}
	if err := s.terms(ctx); err != nil {
		return err
	}
	verdict, err := s.history.Check(filepath.Join(s.options.data, "violations"), progress("checking the history"))
	if err != nil {
		return err
	}
	verdict.Violations = append(s.report.Verdict.Violations, verdict.Violations...)
	s.report.Verdict = verdict
	s.report.Operations = s.history.Operations()
	s.unnoticed()
	s.report.Leads = s.watch.history()
	return s.publish()
}

// unnoticed checks the faults that no client may notice. What began during one may
// fail in the next.
func (s *suite) unnoticed() {
	for i := range s.report.Faults {
		f, next := &s.report.Faults[i], s.report.End
		if i+1 < len(s.report.Faults) {
			next = s.report.Faults[i+1].From
		}
		if all, failed := s.report.During(f, next); f.Harmless && failed > 0 {
			s.violate("%d of %d operations failed during %q, which no client may notice.", failed, all, f.Name)
		}
	}
}

func (s *suite) survey(ctx context.Context, n *process) {
	c := s.client(n.URL)
	defer c.Close()
	for _, problem := range s.load.Survey(ctx, n.Name, c, progress("looking at everything by "+n.Name)) {
		s.violate("%s", problem)
	}
}

// progress prints how much is done, in one line.
func progress(what string) func(done, total int) {
	last := time.Now()
	return func(done, total int) {
		if done == total || time.Since(last) > time.Second {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "\r%s: %d of %d ", what, done, total)
			if done == total {
				fmt.Fprintln(os.Stderr)
			}
		}
	}
}

// sweptWithin bounds how long the jobs may take that free storage.
const sweptWithin = 3 * time.Minute

// sweep has the cluster free what nothing refers to, and compares database and
// storage. What is young is left alone, since it may belong to an upload under way:
// everything is made older first, in the database and in a storage that is a folder.
func (s *suite) sweep(ctx context.Context) error {
	folder := s.links[s.nodes[0].Name].folder
	if folder == "" {
		return nil // nothing can be said
	}
	c := s.client(s.balancer.URL)
	defer c.Close()
	var last error
	for began := time.Now(); time.Since(began) < sweptWithin; {
		if last = s.sweepOnce(ctx, c, folder); last == nil || ctx.Err() != nil {
			return last
		}
	}
	return last
}

// sweepOnce may fail because what is freed needs another run, or because making
// rows older and the nodes' own transactions wait for each other, which the
// database ends at the expense of one.
func (s *suite) sweepOnce(ctx context.Context, c *load.Client, folder string) error {
	if err := s.age(ctx, folder); err != nil {
		return errors.Join(err, sleep(ctx, time.Second))
	}
	for _, task := range []string{"upload-cleanup", "collection"} {
		if err := c.RunTask(ctx, task); err != nil {
			return errors.Join(err, sleep(ctx, time.Second))
		}
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	clean, text, err := s.fsck(ctx)
	if err == nil && !clean {
		err = fmt.Errorf("after the sweep, database and storage do not agree: %s", text)
	}
	return err
}

// aged is longer than the grace period of deleted versions, which is a day.
const aged = 48 * time.Hour

// age makes all that is stored older.
func (s *suite) age(ctx context.Context, folder string) error {
	db, err := s.openDB()
	if err != nil {
		return err
	}
	defer db.Close()
	for _, column := range []string{"blob.touched", "upload.touched", "deleted_version.deleted"} {
		table, name, _ := strings.Cut(column, ".")
		if _, err := db.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s = %s - %d", table, name, name, aged.Microseconds())); err != nil {
			return fmt.Errorf("make %s older: %w", column, err)
		}
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return err
	}
	then := time.Now().Add(-aged)
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chtimes(path, then, then)
		}
		if errors.Is(err, fs.ErrNotExist) { // it was freed meanwhile
			err = nil
		}
		return err
	})
}

// fsck compares database and storage, and says whether nothing is lost or extra.
func (s *suite) fsck(ctx context.Context) (clean bool, text string, err error) {
	n := s.nodes[0]
	args := []string{"fsck", "-data", s.options.data, "-storage", n.storage}
	if n.db != "" {
		args = append(args, "-db", n.db)
	}
	cmd := exec.CommandContext(ctx, n.server, args...)
	cmd.Env = append(append(os.Environ(), n.env...), "PROGET_ENCRYPTION_KEY="+s.secrets.EncryptionKey)
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return false, "", err
	}
	text = strings.TrimSpace(string(out))
	return err == nil && strings.Contains(text, " 0 lost, 0 of another size, 0 extra"), text, nil
}

// openDB opens the database, beside the nodes.
func (s *suite) openDB() (*sql.DB, error) {
	engine, source := "sqlite", filepath.Join(s.options.data, "proget.db")
	switch {
	case strings.HasPrefix(s.options.db, "postgres"):
		engine, source = "pgx", s.options.db
	case strings.HasPrefix(s.options.db, "sqlite:"):
		source = strings.TrimPrefix(s.options.db, "sqlite:")
	case s.options.db != "":
		engine, source = "sqlserver", s.options.db
	}
	if engine == "sqlite" {
		source = "file:" + source + "?_pragma=busy_timeout(10000)"
	}
	return sql.Open(engine, source)
}

// terms reads when each primary's writes were seen, by the database's clock: a
// term may not go on when the next has begun.
func (s *suite) terms(ctx context.Context) error {
	db, err := s.openDB()
	if err != nil {
		return fmt.Errorf("read the terms: %w", err)
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT fence, holder, began, seen FROM term WHERE office = 'indexing' ORDER BY fence")
	if err != nil {
		return fmt.Errorf("read the terms: %w", err)
	}
	defer rows.Close()
	type term struct {
		fence       int64
		holder      string
		began, seen int64 // microseconds
	}
	var last term
	for rows.Next() {
		var t term
		if err := rows.Scan(&t.fence, &t.holder, &t.began, &t.seen); err != nil {
			return fmt.Errorf("read the terms: %w", err)
		}
		if last.fence != 0 && last.seen > t.began {
			s.violate("Two terms are interleaved: %s wrote in term %d %d ms after %s had begun term %d.",
				last.holder, last.fence, (last.seen-t.began)/1000, t.holder, t.fence)
		}
		last = t
	}
	return rows.Err()
}

// publish prints the table, and writes the page and the history.
func (s *suite) publish() error {
	s.report.Setting = fmt.Sprintf("%d web nodes, %d indexing nodes, %d clients; %s, %s; %s", s.options.web, s.options.index, s.options.clients,
		s.engine(), s.place(), s.balancer.kind)
	fmt.Println()
	if err := s.report.WriteTable(os.Stdout); err != nil {
		return err
	}
	page, operations := filepath.Join(s.options.data, "faults.html"), filepath.Join(s.options.data, "history.jsonl")
	var text bytes.Buffer
	if err := s.report.WritePage(&text); err != nil {
		return err
	}
	if err := os.WriteFile(page, text.Bytes(), 0o600); err != nil {
		return err
	}
	text.Reset()
	e := json.NewEncoder(&text)
	for _, o := range s.report.Operations {
		if err := e.Encode(o); err != nil {
			return err
		}
	}
	if err := os.WriteFile(operations, text.Bytes(), 0o600); err != nil {
		return err
	}
	fmt.Printf("\nTimeline %s\nHistory  %s\n", page, operations)
	if n := len(s.report.Verdict.Violations); n > 0 {
		return fmt.Errorf("the cluster broke a promise, %d times; see the lines above, the history and the nodes' logs in %s", n, s.options.data)
	}
	for _, binary := range []string{"server.bin", "server-next.bin"} { // each has a hundred megabytes, and nothing is to be found out
		_ = os.Remove(filepath.Join(s.options.data, binary))
	}
	if n := s.report.Verdict.Undecided; n > 0 {
		return fmt.Errorf("for %d packages, no order of their operations was found or refuted within %s: try again with fewer clients", n, history.UndecidedAfter)
	}
	return nil
}

func (s *suite) engine() string {
	name, _, _ := strings.Cut(s.options.db, ":")
	if name == "" {
		return "SQLite"
	}
	return name
}

func (s *suite) place() string {
	name, _, found := strings.Cut(s.options.storage, ":")
	if !found {
		return "a folder"
	}
	return name
}
