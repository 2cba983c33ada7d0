package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"  // to read terms
	_ "github.com/microsoft/go-mssqldb" // likewise
	"github.com/proget-go/ha/examples/cluster/internal/history"
	"github.com/proget-go/ha/examples/cluster/internal/load"
	"github.com/proget-go/ha/internal/quantity"
	_ "modernc.org/sqlite" // likewise
)

func (s *suite) violate(format string, args ...any) {
	s.report.Verdict.Violations = append(s.report.Verdict.Violations, history.Violation{What: fmt.Sprintf(format, args...)})
}

// judge inspects everything once all faults are over, checks the history, and writes
// the report. It returns an error if a promise was broken or could not be checked.
func (s *suite) judge(ctx context.Context) error {
	if ctx.Err() == nil {
		s.inspect(ctx)
	}
	if s.interrupted = ctx.Err() != nil; s.interrupted {
		if s.report.Incomplete == "" {
			s.report.Incomplete = "all faults happened, and then: " + context.Cause(ctx).Error()
		}
		s.uncheck("The contents of every node, and whether storage was left clean: the run was interrupted.")
		fmt.Fprintln(os.Stderr, "interrupted; what clients were told is still checked, unless you interrupt again")
		signal.Reset(signals...)
		ctx = context.WithoutCancel(ctx)
	}
	if err := s.terms(ctx); err != nil {
		s.violate("%v.", err)
	}
	s.report.Leads, s.report.Operations = s.watch.history(), s.history.Operations()
	s.unnoticed()
	s.undisturbed()
	if err := s.recordUnchecked(); err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		s.report.Incomplete = fmt.Sprintf("the history was not checked to its end: %v", err)
		s.uncheck("All that clients were told.")
	}
	return errors.Join(s.record(), s.publish())
}

// uncheck records what could not be checked.
func (s *suite) uncheck(format string, args ...any) {
	s.report.Unchecked = append(s.report.Unchecked, fmt.Sprintf(format, args...))
}

// inspect examines what the nodes and the storage have. If ctx has ended, it drops the
// violations that it found, which the interruption may have caused.
func (s *suite) inspect(ctx context.Context) {
	before := len(s.report.Verdict.Violations)
	if err := s.well(ctx, recovery); err != nil {
		s.violate("At the end: %v.", err)
	}
	for _, n := range s.nodes {
		switch {
		case n.Role != "web":
		case s.watch.ready(n.Name):
			s.survey(ctx, n)
		default:
			s.uncheck("The contents of %s: the node is not ready.", n.Name)
		}
	}
	if s.links[s.nodes[0].Name].folder == "" {
		s.uncheck("Whether storage contains files that nothing refers to: only files in a folder can be made old enough for that.")
	}
	if len(s.report.Verdict.Violations) > 0 { // what is lost would keep it from ever being clean
		s.uncheck("Whether storage is left clean: a promise was broken, and the check would destroy the evidence.")
	} else if err := s.sweep(ctx); err != nil {
		s.violate("%v", err)
	}
	if ctx.Err() != nil {
		s.report.Verdict.Violations = s.report.Verdict.Violations[:before]
	}
}

// recordUnchecked writes the report before the history is checked, because the check
// takes long and somebody may end it.
func (s *suite) recordUnchecked() error {
	was := s.report
	defer func() { s.report = was }()
	s.uncheck("What clients were told.")
	if s.report.Incomplete == "" {
		s.report.Incomplete = "the history was not checked"
	}
	return s.record()
}

// check checks the history.
func (s *suite) check(ctx context.Context) error {
	verdict, err := s.history.Check(ctx, filepath.Join(s.options.data, "violations"), progress("checking the history"))
	verdict.Violations = append(s.report.Verdict.Violations, verdict.Violations...)
	s.report.Verdict = verdict
	return err
}

// unnoticed checks the faults that no client may notice.
func (s *suite) unnoticed() {
	for i := range s.report.Faults {
		f := &s.report.Faults[i]
		if all, impaired := s.report.During(f, history.Outcome.Impaired); f.Harmless && impaired > 0 {
			s.violate("%d of %d operations failed or were told what may be old during %q, which no client may notice.", impaired, all, f.Name)
		}
	}
}

func (s *suite) survey(ctx context.Context, n *process) {
	c := s.client(n.URL)
	defer c.Close()
	for _, problem := range s.load.Survey(ctx, n.Name, c, progress("looking at everything by "+n.Name)) {
		s.violate("%s", problem)
	}
	if err := s.load.Probe(ctx, c, s.load.Feeds()...); err != nil {
		s.violate("At the end, by %s: %v.", n.Name, err)
	}
}

// undisturbed checks that all operations succeeded, and none was told what may be old,
// that began when everything worked, at first or again, and ended before the next fault.
func (s *suite) undisturbed() {
	since, well := "the start, when all was well", time.Duration(0)
	for i := range s.report.Faults {
		f := &s.report.Faults[i]
		s.expectNone(since, well, f.From)
		since, well = fmt.Sprintf("%q, when all was well again", f.Name), f.Well
		if well == 0 { // it never was
			return
		}
	}
	if !s.interrupted { // who interrupts the run may have ended the nodes
		s.expectNone(since, well, s.report.End)
	}
}

// expectNone checks that no fault is needed to excuse what began and ended in between.
func (s *suite) expectNone(since string, from, to time.Duration) {
	var impaired []*history.Operation
	for i := range s.report.Operations {
		o := &s.report.Operations[i]
		if o.Node == "" && o.Call >= from && o.Return < to && o.Outcome.Impaired() {
			impaired = append(impaired, o)
		}
	}
	if len(impaired) > 0 {
		o := impaired[0]
		s.violate("%d operations that began after %s, failed or were told what may be old; the first is %s in %s: %s, %d %s",
			len(impaired), since, o, o.Feed, o.Outcome, o.Status, o.Message)
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
const sweptWithin = 90 * time.Second

// sweep makes the cluster free what nothing refers to, and compares database and
// storage. The cluster spares what is young, since it may belong to a pending upload,
// so sweep first makes everything older, in the database and in a storage that is a
// folder.
func (s *suite) sweep(ctx context.Context) error {
	db, err := s.openDB()
	if err != nil {
		return err
	}
	defer db.Close()
	c := s.client(s.balancer.URL)
	defer c.Close()
	for began := time.Now(); ; {
		if err = s.sweepOnce(ctx, db, c); err == nil || ctx.Err() != nil || time.Since(began) > sweptWithin {
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// sweepOnce is one attempt of sweep. It may fail because the jobs need another run or
// have not ended, or because making rows older deadlocks with the nodes' transactions
// and the database aborts one.
func (s *suite) sweepOnce(ctx context.Context, db *sql.DB, c *load.Client) error {
	if err := s.age(ctx, db); err != nil {
		return err
	}
	for _, task := range []string{"upload-cleanup", "collection"} {
		if err := c.RunTask(ctx, task); err != nil {
			return err
		}
	}
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	if err := leftOver(ctx, db); err != nil {
		return err
	}
	clean, text, err := s.fsck(ctx)
	if err == nil && !clean {
		err = fmt.Errorf("after the sweep, database and storage do not agree: %s", text)
	}
	return err
}

// leftOver returns an error if the database has a row that is no longer of use.
func leftOver(ctx context.Context, db *sql.DB) error {
	for _, of := range []struct{ what, rows string }{
		{"files that nothing refers to", "blob b WHERE NOT EXISTS (SELECT 1 FROM package_file f WHERE f.blob_id = b.blob_id)" +
			" AND NOT EXISTS (SELECT 1 FROM index_file i WHERE i.blob_id = b.blob_id)"},
		{"unfinished uploads", "upload"},
		{"deleted versions that nobody can want back", "deleted_version"},
	} {
		var n int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+of.rows).Scan(&n); err != nil {
			return fmt.Errorf("count %s: %w", of.what, err)
		}
		if n > 0 {
			return fmt.Errorf("after the sweep, there are %d %s", n, of.what)
		}
	}
	return nil
}

// aged is longer than the grace period of deleted versions, which is a day.
const aged = 48 * time.Hour

// age makes all that is stored older.
func (s *suite) age(ctx context.Context, db *sql.DB) error {
	for _, column := range []string{"blob.touched", "upload.touched", "deleted_version.deleted"} {
		table, name, _ := strings.Cut(column, ".")
		if _, err := db.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s = %s - %d", table, name, name, aged.Microseconds())); err != nil {
			return fmt.Errorf("make %s older: %w", column, err)
		}
	}
	link := s.links[s.nodes[0].Name].folder
	if link == "" {
		return nil
	}
	folder, err := filepath.EvalSymlinks(link)
	if err != nil {
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
	want := " 0 lost, 0 of another size, 0 extra"
	if s.links[n.Name].folder == "" { // what is young there is not old enough to be removed
		want = " 0 lost, 0 of another size"
	}
	return err == nil && strings.Contains(text, want), text, nil
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

// terms reads when each primary's writes were seen, by the database's clock. A term
// must not continue after the next has begun.
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

// page and operations are the files that a run leaves.
func (s *suite) page() string       { return filepath.Join(s.options.data, "faults.html") }
func (s *suite) operations() string { return filepath.Join(s.options.data, "history.jsonl") }

// record writes the page and the history.
func (s *suite) record() error {
	for path, write := range map[string]func(io.Writer) error{s.page(): s.report.WritePage, s.operations(): s.report.WriteHistory} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			return err
		}
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// publish prints the table. It returns an error if a promise was broken or could not be
// checked.
func (s *suite) publish() error {
	fmt.Println()
	if err := s.report.WriteTable(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("\nTimeline %s\nHistory  %s\n", s.page(), s.operations())
	if n := len(s.report.Verdict.Violations); n > 0 {
		return fmt.Errorf("the cluster broke a promise (violations: %d); see the lines above, the history and the nodes' logs in %s", n, s.options.data)
	}
	for _, binary := range []string{"server.bin", "server-next.bin"} { // each has a hundred megabytes, and nothing is to be found out
		_ = os.Remove(filepath.Join(s.options.data, binary))
	}
	if s.report.Incomplete != "" {
		return fmt.Errorf("the run is incomplete: %s", s.report.Incomplete)
	}
	if n := s.report.Verdict.Undecided; n > 0 {
		return fmt.Errorf("%s could not be checked within %s: try again with fewer clients", quantity.Of(n, "package"), history.UndecidedAfter)
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
