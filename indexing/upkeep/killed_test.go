//go:build unix

package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/upload"
)

// The environment of a process that is to be killed: what it does, where, and
// at which step it dies.
const (
	envOperation = "UPKEEP_TEST_OPERATION"
	envFolder    = "UPKEEP_TEST_FOLDER"
	envStep      = "UPKEEP_TEST_STEP"
	envSignal    = "UPKEEP_TEST_SIGNAL"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(envOperation); name != "" {
		if err := doomed(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// operations are what is killed at each of its steps.
var operations = map[string]func(ctx context.Context, in *installation) error{
	"push": func(ctx context.Context, in *installation) error {
		body := io.MultiReader(strings.NewReader("a "), iotest.OneByteReader(steps{strings.NewReader("new")}))
		_, err := in.publisher.Publish(ctx, feed.Upload{Feed: in.feed, Body: body, Name: "new", By: ann})
		return err
	},
	"push of known bytes": func(ctx context.Context, in *installation) error {
		_, err := in.push(ctx, "new", "a kept")
		return err
	},
	"push in chunks": func(ctx context.Context, in *installation) error {
		u := upload.New(in.db, in.stores, nil, &upload.Options{Logger: dark})
		r := feed.UploadRef{Feed: in.feed, ID: "one"}
		if err := u.Begin(ctx, r, ann); err != nil && !errors.Is(err, proget.ErrConflict) {
			return err
		}
		const content = "a in chunks"
		for {
			size, err := u.Size(ctx, r)
			if err != nil {
				return err
			}
			if size == int64(len(content)) {
				break
			}
			end := min(int(size)+6, len(content))
			if _, err := u.Append(ctx, r, size, strings.NewReader(content[size:end])); err != nil {
				return err
			}
		}
		b, err := u.Finish(ctx, r, -1, nil)
		if err == nil {
			_, err = in.publisher.Publish(ctx, feed.Upload{Feed: in.feed, Stored: &b, Name: "new", By: ann})
		}
		if err == nil || errors.Is(err, proget.ErrConflict) { // an earlier attempt was killed after that
			err = errors.Join(err, u.Cancel(ctx, r))
		}
		return err
	},
	"delete": func(ctx context.Context, in *installation) error { return in.delete(ctx, "a", "2") },
	"bring back": func(ctx context.Context, in *installation) error {
		deleted, err := in.db.ListDeleted(ctx, in.feed.ID, 0, 1)
		if err == nil && len(deleted) > 0 {
			_, err = in.publisher.Restore(ctx, in.feed, deleted[0].ID, ann)
		}
		return err
	},
	"move": func(ctx context.Context, in *installation) error {
		return upkeep.NewMover(in.db, in.stores, dark).Work(ctx, new(proget.Job), new(indexing.Progress))
	},
	"collection": func(ctx context.Context, in *installation) error {
		return in.collector(noGrace).Work(ctx, new(proget.Job), new(indexing.Progress))
	},
}

// steps makes each read of an upload a step.
type steps struct{ io.Reader }

func (s steps) Read(p []byte) (int, error) {
	reaper.step()
	return s.Reader.Read(p)
}

// doomed does an operation and dies at a step of it: the beginning or the end of
// a statement, of a transaction, or of a call to storage.
func doomed(name string) error {
	at, err := strconv.Atoi(os.Getenv(envStep))
	if err != nil {
		return err
	}
	ctx := context.Background()
	in, err := open(ctx, os.Getenv(envFolder))
	if err != nil {
		return err
	}
	reaper.at = int64(at)
	if os.Getenv(envSignal) == "STOP" {
		reaper.signal = syscall.SIGSTOP
	}
	ctx, span := sdk.NewTracerProvider(sdk.WithSpanProcessor(reaper)).Tracer("test").Start(ctx, name)
	if err := operations[name](ctx, in); err != nil {
		return err
	}
	span.End()
	return nil
}

// reaper counts the steps of this process.
var reaper = &reap{signal: syscall.SIGKILL}

// reap sends the process a signal at a step; 0 is none.
type reap struct {
	at     int64
	signal syscall.Signal
	n      atomic.Int64
}

func (r *reap) step() {
	if r.n.Add(1) != r.at {
		return
	}
	_ = syscall.Kill(os.Getpid(), r.signal)
	if r.signal == syscall.SIGKILL {
		select {} // until it has arrived
	}
}

func (r *reap) OnStart(context.Context, sdk.ReadWriteSpan) { r.step() }
func (r *reap) OnEnd(sdk.ReadOnlySpan)                     { r.step() }
func (r *reap) Shutdown(context.Context) error             { return nil }
func (r *reap) ForceFlush(context.Context) error           { return nil }

// TestKilledAtEachStep: whatever a process was doing when it was killed, every
// version is there, whole, or not at all; the same can be done again; and nothing
// stays in storage but what a sweep removes.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for name := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := eachStep(t, name, func(in *installation, at int) bool { return in.kill(t, name, at) })
			t.Logf("killed at each of %d steps", steps)
		})
	}
}

// eachStep disturbs an operation at each of its steps, each time in another copy of the
// same installation, until disturb reports that there is no such step.
func eachStep(t *testing.T, operation string, disturb func(in *installation, at int) bool) (steps int) {
	t.Helper()
	before := t.TempDir()
	in, err := open(t.Context(), before)
	require.NoError(t, err)
	in.mustPush(t, "1", "a kept")
	in.mustPush(t, "2", "a other")
	in.mustPush(t, "3", "a third")
	require.NoError(t, in.delete(t.Context(), "a", "3"))
	in.close(t)
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.CopyFS(dir, os.DirFS(before)))
		in, err := open(t.Context(), dir)
		require.NoError(t, err)
		if operation == "move" {
			in.assign(t, in.addStorage(t).ID)
		}
		disturbed := disturb(in, at)
		if disturbed {
			in.requireSound(t, operation, at)
		}
		in.close(t)
		if !disturbed {
			require.Greater(t, at, 5, "an operation has steps")
			return at - 1
		}
	}
}

// kill reports whether a process that did the operation was killed at a step; if
// not, it has no such step.
func (in *installation) kill(t *testing.T, operation string, at int) bool {
	t.Helper()
	out, err := in.child(t, operation, at, "KILL").CombinedOutput()
	if err == nil {
		return false
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL, "%s, step %d: %v\n%s", operation, at, err, out)
	return true
}

// child is a process that does the operation.
func (in *installation) child(t *testing.T, operation string, at int, signal string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envOperation+"="+operation, envFolder+"="+in.dir, fmt.Sprintf("%s=%d", envStep, at), envSignal+"="+signal)
	return cmd
}

// TestPausedAtEachStep: a process that stands still at a step, while another does
// the same, frees what can be freed and pushes the same bytes, does no harm when
// it goes on.
func TestPausedAtEachStep(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"collection", "move", "push of known bytes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachStep(t, name, func(in *installation, at int) bool { return in.pause(t, name, at) })
		})
	}
}

// pause lets a process stand still at a step, does meanwhile what it was doing
// and more, and lets it go on. It reports whether there was such a step.
func (in *installation) pause(t *testing.T, operation string, at int) bool {
	t.Helper()
	cmd := in.child(t, operation, at, "STOP")
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
		err := operations[operation](context.WithoutCancel(t.Context()), in)
		if errors.Is(err, proget.ErrConflict) {
			err = nil
		}
		err = errors.Join(err, operations["collection"](context.WithoutCancel(t.Context()), in))
		_, perr := in.push(context.WithoutCancel(t.Context()), "again", "a third")
		meanwhile <- errors.Join(err, perr)
	}()
	done := false
	select {
	case err := <-meanwhile:
		require.NoError(t, err, "%s, step %d", operation, at)
		done = true
	case <-time.After(200 * time.Millisecond): // the process holds the lock of SQLite: it must go on first
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	if !done {
		require.NoError(t, <-meanwhile, "%s, step %d", operation, at)
	}
	err = cmd.Wait()
	if err != nil { // what the other did meanwhile may be in its way
		require.Contains(t, out.String(), "already exists", "%s, step %d: %v", operation, at, err)
	}
	return true
}

// requireSound does what the doomed process did again, and checks what is there.
func (in *installation) requireSound(t *testing.T, operation string, at int) {
	t.Helper()
	for _, v := range in.versions(t, "a") {
		in.requireWhole(t, v.Files[0])
	}
	err := operations[operation](t.Context(), in)
	again := errors.Is(err, proget.ErrConflict) || errors.Is(err, proget.ErrNotFound)
	require.True(t, err == nil || again && operation != "collection", "%s, step %d: %v", operation, at, err)
	in.age(t)
	_, err = run(t, in.collector(time.Hour), "") // sweeps, and keeps what was deleted just now
	require.NoError(t, err)
	_, err = run(t, in.collector(noGrace), "")
	require.NoError(t, err)
	var want []string
	for _, v := range in.versions(t, "a") {
		in.requireWhole(t, v.Files[0])
		want = append(want, v.Files[0].StorageKey)
	}
	require.Subset(t, want, in.files(t), "%s, step %d: something stayed behind", operation, at)
	var rows int
	storages, err := in.db.ListStorages(t.Context())
	require.NoError(t, err)
	for _, st := range storages {
		objects, err := in.db.ListObjects(t.Context(), st.ID, "", 100)
		require.NoError(t, err)
		rows += len(objects)
	}
	require.Equal(t, len(in.files(t)), rows, "rows and objects")
}
