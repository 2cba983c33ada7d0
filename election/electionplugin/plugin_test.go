package electionplugin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electionplugin"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

// The test's own program is the plugin too, and a server that will be killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("PROGET_ELECTION_PLUGIN") == "":
		os.Exit(m.Run())
	case os.Getenv("HOST_OF_PLUGIN") != "":
		_ = os.Unsetenv("HOST_OF_PLUGIN")
		host()
	case len(os.Args) > 1 && os.Args[1] == "fails":
		fmt.Fprintln(os.Stderr, "no configuration")
		os.Exit(1)
	case len(os.Args) > 2 && os.Args[1] == "waits": // to be ended, and never serves
		err := os.WriteFile(os.Args[2]+".new", []byte(strconv.Itoa(os.Getpid())), 0o600)
		if err := errors.Join(err, os.Rename(os.Args[2]+".new", os.Args[2])); err != nil {
			panic(err)
		}
		select {}
	default:
		electionplugin.Serve(strange{})
	}
}

// strange does what an office's name says.
type strange struct{}

func (strange) do(ctx context.Context, office string) error {
	switch office {
	case "held":
		return fmt.Errorf("as it happens: %w", election.ErrHeld)
	case "lost":
		return fmt.Errorf("as it happens: %w", election.ErrLost)
	case "none":
		return fmt.Errorf("as it happens: %w", election.ErrNone)
	case "trouble":
		return errors.New("the moon is full")
	case "slow":
		if _, limited := ctx.Deadline(); !limited {
			return errors.New("the deadline did not come through")
		}
		<-ctx.Done()
		return ctx.Err()
	case "deaf":
		select {}
	case "exit":
		os.Exit(3)
	case "log":
		slog.Warn("hear me", "number", 7)
	}
	return nil
}

func (s strange) Acquire(ctx context.Context, c election.Candidacy) (election.Lease, error) {
	if c.Over != (proget.Fence{Number: 4, Term: "over"}) || c.Above != 5 {
		return election.Lease{}, errors.New("something was lost on the way")
	}
	return election.Lease{Office: c.Office, Holder: c.Holder, Address: c.Address, TTL: c.TTL, Fence: proget.Fence{Number: 6, Term: "new"}}, s.do(ctx, c.Office)
}

func (s strange) Renew(ctx context.Context, l election.Lease) error {
	if l != lease(l.Office) {
		return errors.New("something was lost on the way")
	}
	return s.do(ctx, l.Office)
}

func (s strange) Release(ctx context.Context, l election.Lease) error { return s.Renew(ctx, l) }

func (s strange) Current(ctx context.Context, office string) (election.Lease, error) {
	l := lease(office)
	switch office {
	case "pid":
		l.Holder = strconv.Itoa(os.Getpid())
	case "environment":
		l.Holder = strings.Join(os.Environ(), "\n")
	case "nothing":
		l.Fence = proget.Fence{}
	}
	return l, s.do(ctx, office)
}

func lease(office string) election.Lease {
	return election.Lease{Office: office, Holder: "a", Address: "at a", TTL: 1500 * time.Millisecond, Fence: proget.Fence{Number: 6, Term: "new"}}
}

func open(t *testing.T, opts *electionplugin.Options) *electionplugin.Plugin {
	t.Helper()
	p, err := electionplugin.Open(t.Context(), os.Args[0], nil, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// calls are the driver's methods on an office.
func calls(d election.Driver) map[string]func(ctx context.Context, office string) error {
	return map[string]func(ctx context.Context, office string) error{
		"acquire": func(ctx context.Context, office string) error {
			_, err := d.Acquire(ctx, election.Candidacy{Office: office, Above: 5, Over: proget.Fence{Number: 4, Term: "over"}})
			return err
		},
		"renew":   func(ctx context.Context, office string) error { return d.Renew(ctx, lease(office)) },
		"release": func(ctx context.Context, office string) error { return d.Release(ctx, lease(office)) },
		"look up": func(ctx context.Context, office string) error { _, err := d.Current(ctx, office); return err },
	}
}

// TestErrors: what the driver in the program returns is told apart here.
func TestErrors(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for name, call := range calls(p) {
		require.NoError(t, call(t.Context(), "office"))
		require.ErrorIs(t, call(t.Context(), "held"), election.ErrHeld)
		require.ErrorIs(t, call(t.Context(), "lost"), election.ErrLost)
		require.ErrorIs(t, call(t.Context(), "none"), election.ErrNone)
		err := call(t.Context(), "trouble")
		require.ErrorContains(t, err, name+" the office trouble with the plugin "+os.Args[0]+": the moon is full")
		for _, office := range []string{"slow", "deaf"} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			require.ErrorIs(t, call(ctx, office), context.DeadlineExceeded)
			cancel()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		require.ErrorIs(t, call(ctx, "deaf"), context.Canceled)
	}
	got, err := p.Acquire(t.Context(), election.Candidacy{Office: "an/office", Holder: "a", Address: "at a", TTL: 1500 * time.Millisecond, Above: 5, Over: proget.Fence{Number: 4, Term: "over"}})
	require.NoError(t, err)
	require.Equal(t, lease("an/office"), got)
	got, err = p.Current(t.Context(), "an/office")
	require.NoError(t, err)
	require.Equal(t, lease("an/office"), got)
	_, err = p.Current(t.Context(), "nothing")
	require.ErrorContains(t, err, "names no term")
}

// TestEnvironment: the program gets what any program needs and what is meant
// for it, and nothing else of the server's.
func TestEnvironment(t *testing.T) {
	for _, secret := range []string{"PROGET_DB", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY", "PGPASSWORD", "OTEL_EXPORTER_OTLP_HEADERS", "HTTPS_PROXY", "WHATEVER"} {
		t.Setenv(secret, "secret")
	}
	t.Setenv("LC_TIME", "C")
	t.Setenv("PATH", os.Getenv("PATH"))
	p := open(t, &electionplugin.Options{Env: []string{"SETTING_OF_PLUGIN=given", "LC_TIME=de"}})
	l, err := p.Current(t.Context(), "environment")
	require.NoError(t, err)
	got := strings.Split(l.Holder, "\n")
	require.Contains(t, got, "SETTING_OF_PLUGIN=given")
	require.Contains(t, got, "LC_TIME=de")
	require.Contains(t, got, "PATH="+os.Getenv("PATH"))
	require.NotContains(t, l.Holder, "secret")
}

// TestLog: what the program logs is in the server's log.
func TestLog(t *testing.T) {
	t.Parallel()
	var log testenv.LogBuffer
	p := open(t, &electionplugin.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := p.Current(t.Context(), "log")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "hear me") }, time.Minute, 10*time.Millisecond)
	require.Regexp(t, `level=WARN msg="hear me" plugin=\S+ number=7`, log.String())
	require.NoError(t, p.Close())
	require.NotContains(t, log.String(), "level=ERROR")
}

// TestDeath: when the process ends, calls under way fail at once, and the next
// one starts it again, but not more often than once a second.
func TestDeath(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	waiting := make(chan error)
	go func() { _, err := p.Current(t.Context(), "deaf"); waiting <- err }()
	_, err := p.Current(t.Context(), "exit")
	require.Error(t, err)
	require.Error(t, <-waiting)
	for range 3 {
		began := time.Now()
		require.NoError(t, p.Renew(t.Context(), lease("office")))
		require.Less(t, time.Since(began), 10*time.Second)
		_, err = p.Current(t.Context(), "exit")
		require.Error(t, err)
	}
	began := time.Now()
	pids := make(map[string]bool)
	for time.Since(began) < 3*time.Second {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if l, err := p.Current(ctx, "pid"); err == nil {
			pids[l.Holder] = true
			_, err = p.Current(ctx, "exit")
			assert.Error(t, err)
		}
		cancel()
	}
	require.NotEmpty(t, pids)
	require.LessOrEqual(t, len(pids), 4)
}

// TestHang: a process that stands still is ended in the end.
func TestHang(t *testing.T) {
	t.Parallel()
	p, err := electionplugin.Open(t.Context(), os.Args[0], nil, nil)
	require.NoError(t, err)
	l, err := p.Current(t.Context(), "pid")
	require.NoError(t, err)
	if err := exec.Command("kill", "-STOP", l.Holder).Run(); err != nil {
		t.Skip("processes cannot be stopped here: ", err)
	}
	require.Eventually(t, func() bool { // the signal is sent, but not yet obeyed by all threads
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = p.Current(ctx, "office")
		return err != nil
	}, time.Minute, time.Millisecond)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	began := time.Now()
	require.NoError(t, p.Close())
	require.Less(t, time.Since(began), 20*time.Second)
	require.Error(t, exec.Command("kill", "-0", l.Holder).Run(), "it is gone")
	_, err = p.Current(t.Context(), "office")
	require.ErrorContains(t, err, "closed")
	require.NoError(t, p.Close())
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	_, err := electionplugin.Open(t.Context(), filepath.Join(t.TempDir(), "missing"), nil, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = electionplugin.Open(t.Context(), os.Args[0], []string{"fails"}, nil)
	require.ErrorContains(t, err, "start the plugin "+os.Args[0])
}

// TestGivenUp: a program that does not serve is ended when nobody waits for it
// any more.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := electionplugin.Open(ctx, os.Args[0], []string{"waits", file}, nil)
		opened <- err
	}()
	var pid []byte
	require.Eventually(t, func() (ok bool) {
		var err error
		pid, err = os.ReadFile(file)
		return err == nil
	}, time.Minute, time.Millisecond)
	began := time.Now()
	cancel()
	require.ErrorIs(t, <-opened, context.Canceled)
	require.Less(t, time.Since(began), 9*time.Second, "and not only when it has had its time to start")
	require.False(t, runs(string(pid)))
}

// host runs the program, tells its process, and waits to be killed.
func host() {
	p, err := electionplugin.Open(context.Background(), os.Args[0], nil, nil)
	if err == nil {
		var l election.Lease
		l, err = p.Current(context.Background(), "pid")
		fmt.Println(l.Holder)
	}
	fmt.Println(err)
	select {}
}

// TestOrphan: a process whose server was killed ends by itself, and no file is
// left of the two.
func TestOrphan(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), "PROGET_ELECTION_PLUGIN=1", "HOST_OF_PLUGIN=1", "TMPDIR="+temp)
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	said := new(bytes.Buffer)
	for !strings.Contains(said.String(), "nil") {
		n, err := io.CopyN(said, out, 1)
		require.NoError(t, err, said)
		require.EqualValues(t, 1, n)
	}
	pid := strings.Fields(said.String())[0]
	if err := exec.Command("kill", "-0", pid).Run(); err != nil {
		t.Skip("processes cannot be looked at here: ", err)
	}
	require.NoError(t, server.Process.Kill())
	_ = server.Wait()
	require.Eventually(t, func() bool { return !runs(pid) }, time.Minute, 50*time.Millisecond)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

// runs is false of a process that has ended, also if nobody has taken note.
func runs(pid string) bool {
	state, err := exec.Command("ps", "-o", "state=", "-p", pid).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}
