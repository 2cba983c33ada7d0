//go:build unix

package node_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/indexing/search/snapshot"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

// The environment of a process that stands still while it leads: what it does,
// where, and at which step it stops.
const (
	envDuty   = "NODE_TEST_DUTY"
	envFolder = "NODE_TEST_FOLDER"
	envStep   = "NODE_TEST_STEP"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(envDuty); name != "" {
		if err := leadAndStop(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A leader is a node of an installation in a folder that can do the primary's
// duties one by one.
type leader struct {
	*node.Node
	db    *db.Store
	blobs *storage.Store
	dir   string
}

func openLeader(ctx context.Context, dir, name string) (*leader, error) {
	l := &leader{dir: dir}
	var err error
	if l.db, err = sqlite.Open(ctx, filepath.Join(dir, "test.db"), nil); err != nil {
		return nil, err
	}
	if l.blobs, err = storage.OpenFolder(filepath.Join(dir, "packages"), nil); err != nil {
		return nil, err
	}
	keys, err := auth.ParseKeyring("00112233445566778899aabbccddeeff")
	if err != nil {
		return nil, err
	}
	l.Node, err = node.New(ctx, node.Config{DB: l.db, Blobs: l.blobs, Keys: keys, Feeds: []feed.Type{nuget.New(nil)}, Name: name,
		FirstStart: &node.FirstStart{Password: "password", APIKey: apiKey}, CacheDir: filepath.Join(dir, name),
		SnapshotEvery: time.Nanosecond, Logger: slog.New(slog.DiscardHandler),
		Deliver: map[string]indexing.Deliver{"hook": l.deliver}})
	return l, err
}

// deliver writes down what was delivered.
func (l *leader) deliver(_ context.Context, entries []proget.Entry) error {
	f, err := os.OpenFile(filepath.Join(l.dir, "delivered"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, e := range entries {
		_, err = fmt.Fprintf(f, "%d/%d\n", e.FeedID, e.Seq)
		if err != nil {
			break
		}
	}
	return errors.Join(err, f.Close())
}

func (l *leader) close() error {
	return errors.Join(l.Node.Close(), l.blobs.Close(), l.db.Close())
}

// lead does a duty in a new term.
func (l *leader) lead(ctx context.Context, duty, name string) error {
	fence, ok, err := l.db.AcquireLease(ctx, db.LeaseRequest{Office: node.Office, Holder: name, Term: rand.Text(), TTL: time.Nanosecond})
	if err == nil && !ok {
		err = errors.New("the office is not free")
	}
	if err != nil {
		return err
	}
	if err = l.Do(ctx, duty, fence); errors.Is(err, proget.ErrConflict) {
		err = l.Do(ctx, duty, fence) // the former leader came first after all: a second later it is tried again
	}
	return err
}

// leadAndStop does a duty and stops at a step of it: the beginning or the end of
// a statement, of a transaction, or of a call to storage.
func leadAndStop(duty string) error {
	at, err := strconv.Atoi(os.Getenv(envStep))
	if err != nil {
		return err
	}
	ctx := context.Background()
	l, err := openLeader(ctx, os.Getenv(envFolder), "paused")
	if err != nil {
		return err
	}
	if err := l.CatchUp(ctx); err != nil {
		return err
	}
	fence, _, err := l.db.AcquireLease(ctx, db.LeaseRequest{Office: node.Office, Holder: "paused", Term: rand.Text(), TTL: time.Nanosecond})
	if err != nil {
		return err
	}
	s := &stopper{at: int64(at)}
	ctx, span := sdk.NewTracerProvider(sdk.WithSpanProcessor(s)).Tracer("test").Start(ctx, duty)
	err = l.Do(ctx, duty, fence)
	span.End()
	if errors.Is(err, proget.ErrStale) {
		err = nil
	}
	return errors.Join(err, l.close())
}

// stopper stops the process at a step.
type stopper struct {
	at int64
	n  atomic.Int64
}

func (s *stopper) step() {
	if s.n.Add(1) == s.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}

func (s *stopper) OnStart(context.Context, sdk.ReadWriteSpan) { s.step() }
func (s *stopper) OnEnd(sdk.ReadOnlySpan)                     { s.step() }
func (s *stopper) Shutdown(context.Context) error             { return nil }
func (s *stopper) ForceFlush(context.Context) error           { return nil }

const pausedPackages = 3

// newPausedInstallation makes an installation in which every duty has something
// to do that cannot be done twice without showing. It returns the duties.
func newPausedInstallation(t *testing.T, dir string) (duties []string) {
	t.Helper()
	ctx := t.Context()
	l, err := openLeader(ctx, dir, "seed")
	require.NoError(t, err)
	server := httptest.NewServer(l.Handler())
	publish(t, server.URL, "Acme.Lib0", "1.0.0")
	duties = l.Duties()
	for _, d := range duties {
		require.NoError(t, l.lead(ctx, d, "seed"))
	}
	for n := 1; n < pausedPackages; n++ {
		publish(t, server.URL, fmt.Sprint("Acme.Lib", n), "1.0.0")
	}
	server.Close()
	require.NoError(t, l.db.Tx(ctx, func(tx *db.Tx) error {
		return errors.Join(tx.Enqueue(ctx, db.NewJob{Kind: "silent", Lane: "silent"}), tx.Enqueue(ctx, db.NewJob{Kind: "delayed", Delay: time.Microsecond}))
	}))
	silent, err := l.db.ClaimJob(ctx, "gone", "silent", time.Minute)
	require.NoError(t, err)
	require.NoError(t, l.db.BeatJob(ctx, silent, time.Nanosecond, 0, 0, "")) // it begins
	require.NoError(t, l.close())
	for _, statement := range []string{
		"UPDATE schedule SET next_run = 1",
		"INSERT INTO term (office, fence, holder, began, seen) VALUES ('indexing', -1, 'ancient', 1, 1)",
		"INSERT INTO job (kind, argument, lane, state, priority, run_after, attempt, failures, max_failures, worker, claim_expires, done, total, remark, queued_by, cancel, created, started, finished)" +
			" VALUES ('ancient', '', '', 'done', 0, 0, 1, 0, 1, '', 0, 0, 0, '', '', 0, 1, 1, 1)",
	} {
		inDatabase(t, dir, func(raw *sql.DB) {
			_, err := raw.ExecContext(ctx, statement)
			require.NoError(t, err)
		})
	}
	return duties
}

func inDatabase(t *testing.T, dir string, fn func(*sql.DB)) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "test.db")+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer raw.Close()
	fn(raw)
}

// dump is all that is in the database but what the servers say of themselves.
func dump(t *testing.T, dir string) (all string) {
	t.Helper()
	inDatabase(t, dir, func(raw *sql.DB) {
		for _, table := range strings.Fields(column(t, raw, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'node' ORDER BY name")) {
			columns := strings.Fields(column(t, raw, "SELECT name FROM pragma_table_info('"+table+"')"))
			for i, c := range columns {
				columns[i] = "COALESCE(" + c + ", '-')"
			}
			all += table + "\n" + column(t, raw, "SELECT "+strings.Join(columns, " || ' ' || ")+" FROM "+table+" ORDER BY 1") + "\n"
		}
	})
	return all
}

func column(t *testing.T, raw *sql.DB, query string) (lines string) {
	t.Helper()
	rows, err := raw.QueryContext(t.Context(), query)
	require.NoError(t, err, query)
	defer rows.Close()
	for rows.Next() {
		var line sql.NullString
		require.NoError(t, rows.Scan(&line))
		lines += line.String + "\n"
	}
	require.NoError(t, rows.Err())
	return lines
}

// TestPausedPrimary: a primary stands still at each step of each of its duties
// while another leads and does the same. When it goes on, nothing that the other
// did is undone, and nothing happens twice.
func TestPausedPrimary(t *testing.T) {
	t.Parallel()
	seed := t.TempDir()
	duties := newPausedInstallation(t, seed)
	require.GreaterOrEqual(t, len(duties), 7)
	for _, duty := range duties {
		t.Run(duty, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(dir, os.DirFS(seed)))
				if !pausePrimary(t, dir, duty, at) {
					require.Greater(t, at, 5, "a duty has steps")
					t.Logf("paused at each of %d steps", at-1)
					return
				}
				requireOnce(t, dir, fmt.Sprintf("%s, step %d", duty, at))
			}
		})
	}
}

// pausePrimary reports whether the duty has such a step.
func pausePrimary(t *testing.T, dir, duty string, at int) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envDuty+"="+duty, envFolder+"="+dir, fmt.Sprintf("%s=%d", envStep, at))
	out := new(testenv.LogBuffer)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	var status syscall.WaitStatus
	_, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(t, err)
	if status.Exited() {
		require.Zero(t, status.ExitStatus(), out)
		return false
	}
	require.True(t, status.Stopped())
	meanwhile := make(chan error, 1)
	go func() {
		ctx := context.WithoutCancel(t.Context())
		l, err := openLeader(ctx, dir, "other")
		if err == nil {
			err = errors.Join(l.CatchUp(ctx), l.lead(ctx, duty, "other"), l.close())
		}
		meanwhile <- err
	}()
	var before string
	select {
	case err := <-meanwhile:
		require.NoError(t, err, "%s, step %d", duty, at)
		before = dump(t, dir)
	case <-time.After(300 * time.Millisecond): // the process holds the lock of SQLite: it must go on first
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	if before == "" {
		require.NoError(t, <-meanwhile, "%s, step %d", duty, at)
	}
	require.NoError(t, cmd.Wait(), "%s, step %d: %s", duty, at, out)
	if before != "" {
		require.Equal(t, before, dump(t, dir), "%s, step %d: the former primary changed something", duty, at)
	}
	return true
}

// requireOnce lets a third leader do all duties, and checks that what they are
// about happened once.
func requireOnce(t *testing.T, dir, step string) {
	t.Helper()
	ctx := t.Context()
	l, err := openLeader(ctx, dir, "third")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.close()) }()
	require.NoError(t, l.CatchUp(ctx))
	for _, d := range l.Duties() {
		require.NoError(t, l.lead(ctx, d, "third"), step)
	}
	requireTotals(t, l, step)
	requireJobs(t, l, step)
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	m := newMirror(t, server.URL+"/nuget/nuget/v3/index.json")
	m.follow(t)
	require.Len(t, m.known, pausedPackages, step)
	require.Equal(t, pausedPackages, m.seen, step)

	x, err := bleve.Open(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	shelf := &snapshot.Shelf{DB: l.db, Files: repoindex.NewFiles(l.db, storage.NewSet(l.blobs, nil))}
	_, err = shelf.Fetch(ctx, x, filepath.Join(t.TempDir(), "fetched"))
	require.NoError(t, err, step)
	requireDelivered(t, l, step)
}

func requireTotals(t *testing.T, l *leader, step string) {
	t.Helper()
	stats, err := l.db.ListFeedStats(t.Context())
	require.NoError(t, err)
	feeds, err := l.db.ListFeeds(t.Context())
	require.NoError(t, err)
	for _, f := range feeds {
		require.NoError(t, l.db.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.RecountFeed(t.Context(), f.ID)
			return err
		}))
	}
	counted, err := l.db.ListFeedStats(t.Context())
	require.NoError(t, err)
	require.Equal(t, counted, stats, step)
}

func requireJobs(t *testing.T, l *leader, step string) {
	t.Helper()
	jobs, err := l.db.ListJobs(t.Context(), 0, 100)
	require.NoError(t, err)
	kinds := make(map[string]int)
	for _, j := range jobs {
		kinds[j.Kind]++
		require.Equal(t, proget.JobWaiting, j.State, "%s: %s", step, j.Kind)
		if j.Kind == "silent" {
			require.EqualValues(t, 1, j.Failures, step)
		}
	}
	for kind, n := range kinds {
		require.Equal(t, 1, n, "%s: jobs of kind %s", step, kind)
	}
	require.Zero(t, kinds["ancient"], step)
	require.GreaterOrEqual(t, len(kinds), 6, step)
}

// requireDelivered: deliveries may come twice, but each comes, in its order.
func requireDelivered(t *testing.T, l *leader, step string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, "delivered"))
	require.NoError(t, err, step)
	heads, err := l.db.Heads(t.Context())
	require.NoError(t, err)
	lines := strings.Fields(string(text))
	positions, err := l.db.FollowerPositions(t.Context(), "deliver hook")
	require.NoError(t, err)
	for id, head := range heads {
		require.Equal(t, head, positions[id], step)
		if head > 1 && id != proget.SystemFeed {
			require.True(t, slices.Contains(lines, fmt.Sprintf("%d/%d", id, head)), step)
		}
	}
}
