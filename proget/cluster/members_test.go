package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
)

// beat writes a heartbeat as a process of its own would that started long ago.
func (w *world) beat(t *testing.T, name string, self cluster.Self) {
	t.Helper()
	details, err := json.Marshal(self)
	require.NoError(t, err)
	n := db.Node{Name: name, Instance: "instance of " + name, Started: time.Now().Add(-time.Hour), Details: string(details)}
	require.NoError(t, w.db.BeatNode(t.Context(), n))
}

// TestUnannouncedServer: a server is unknown, and takes no traffic, before its
// first heartbeat.
func TestUnannouncedServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := cluster.New(w.db, w.blobs, cluster.Options{Name: "b", Roles: []string{cluster.RoleWeb}, Fingerprints: []string{"key-1"}, Logger: dark})
	all, err := r.Members(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	require.Len(t, r.Problems(), 1)
	for _, other := range []string{"c", "a"} {
		w.server(t, other)
	}
	require.Nil(t, member(t, r, "b"))
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Problems())
	all, err = r.Members(t.Context())
	require.NoError(t, err)
	var names []string
	for _, m := range all {
		names = append(names, m.Name)
	}
	require.Equal(t, []string{"a", "b", "c"}, names)
}

// TestRunAnnounces: Run needs no Check before it, and ends without an error.
func TestRunAnnounces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.server(t, "watcher")
	r := cluster.New(w.db, w.blobs, cluster.Options{Name: "a", Roles: []string{cluster.RoleWeb}, Fingerprints: []string{"key-1"}, Logger: dark})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	require.Eventually(t, func() bool { return member(t, watcher, "a") != nil }, waitLong, waitShort)
	cancel()
	require.NoError(t, <-ended)
	require.Nil(t, member(t, watcher, "a"), "who stops in order is not missed")
	require.Equal(t, 2, w.objects(t), "the cluster's probe and the watcher's")
}

// TestRestart: a server that comes back at once under its own name is no second
// one, although the heartbeat of its former process is recent.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = w.server(t, "a")
	before := member(t, w.server(t, "watcher"), "a")
	again := w.server(t, "a")
	require.Empty(t, again.Problems())
	require.NoError(t, again.Check(t.Context()))
	require.Empty(t, again.Problems())
	require.False(t, member(t, again, "a").Started.Before(before.Started))
}

// TestTwoOfOneName: who came second stays out for as long as the other lives,
// and leaves no trace when it stops; the first one is not disturbed.
func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.beat(t, "twin", cluster.Self{Fingerprints: []string{"key-1"}, OS: "first"})
	second := w.server(t, "twin") // believes that the first was killed
	require.Empty(t, second.Problems())
	w.beat(t, "twin", cluster.Self{Fingerprints: []string{"key-1"}, OS: "first"})
	for range 3 {
		require.NoError(t, second.Check(t.Context()))
		require.Len(t, second.Problems(), 1)
		require.Contains(t, second.Problems()[0], "-node")
		require.Equal(t, "first", member(t, second, "twin").OS)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, second.Run(stopped))
	require.NotNil(t, member(t, second, "twin"))

	age(t, w, "twin")
	require.NoError(t, second.Check(t.Context()))
	require.Empty(t, second.Problems(), "the name is free")
}

// TestFirstOfOneName: who came first claims its name back.
func TestFirstOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.server(t, "twin", func(o *cluster.Options) { o.OS = "first" })
	second := w.server(t, "twin", func(o *cluster.Options) { o.OS = "second" })
	require.NotEqual(t, first.Candidate(), second.Candidate())
	require.Equal(t, "second", member(t, first, "twin").OS)
	require.NoError(t, first.Check(t.Context()))
	require.Empty(t, first.Problems())
	require.Equal(t, "first", member(t, first, "twin").OS)
	require.NoError(t, second.Check(t.Context()))
	require.NotEmpty(t, second.Problems())
}

// TestWhileHealthy: work of the cluster runs on a server that belongs to it, and
// ends when it does no longer.
func TestWhileHealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "twin")
	w.beat(t, "twin", cluster.Self{Fingerprints: []string{"key-1"}})
	require.NoError(t, r.Check(t.Context()))
	require.NotEmpty(t, r.Problems())

	ctx, cancel := context.WithCancel(t.Context())
	began, ended, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		over <- r.WhileHealthy(ctx, func(ctx context.Context) error {
			began <- struct{}{}
			<-ctx.Done()
			ended <- struct{}{}
			return nil
		})
	}()
	select {
	case <-began:
		t.Fatal("a server with problems does no work")
	default:
	}
	for range 2 {
		age(t, w, "twin")
		require.NoError(t, r.Check(t.Context()))
		<-began
		w.beat(t, "twin", cluster.Self{Fingerprints: []string{"key-1"}})
		require.NoError(t, r.Check(t.Context()))
		<-ended
	}
	cancel()
	require.NoError(t, <-over)

	broken := errors.New("broken")
	age(t, w, "twin")
	require.NoError(t, r.Check(t.Context()))
	require.ErrorIs(t, r.WhileHealthy(t.Context(), func(context.Context) error { return broken }), broken)
}

// TestUnreadableProbe: a server that cannot read what another one wrote names
// it, unless the other one says itself that its storage is wrong.
func TestUnreadableProbe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a")
	elsewhere, err := newWorld(t).blobs.NewProbe(t.Context(), "b")
	require.NoError(t, err)
	other := cluster.Self{Fingerprints: []string{"key-1"}, Probe: elsewhere}
	w.beat(t, "b", other)
	require.NoError(t, r.Check(t.Context()))
	require.Len(t, r.Problems(), 1)
	require.Contains(t, r.Problems()[0], "server b")

	other.Storage = "It is not the cluster's."
	w.beat(t, "b", other)
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Problems())
}

// TestChangedProbe: bytes that are not what was written are as bad as none.
func TestChangedProbe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a")
	probe := member(t, r, "a").Probe
	w.beat(t, "b", cluster.Self{Fingerprints: []string{"key-1"}, Probe: storage.Probe{Key: probe.Key, Value: "other"}})
	require.NoError(t, r.Check(t.Context()))
	require.Len(t, r.Problems(), 1)
	require.Contains(t, r.Problems()[0], "server b")
}

func TestSkewedMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a")
	for skew, wrong := range map[time.Duration]bool{0: false, 29 * time.Second: false, time.Minute: true, -time.Minute: true} {
		w.beat(t, "b", cluster.Self{Fingerprints: []string{"key-1"}, Skew: skew})
		require.Equal(t, wrong, member(t, r, "b").Skewed(), "%s", skew)
	}
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Problems(), "the clock of another is not this server's trouble")
}

// TestNoAnswer: a heartbeat that the database does not answer is an error, and
// what was known about the server before stays.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sound, stranger := w.server(t, "a"), w.server(t, "b", withKeys("key-2"))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range []*cluster.Registry{sound, stranger} {
		before := r.Problems()
		require.Error(t, r.Check(gone))
		require.Equal(t, before, r.Problems())
	}
	_, err := sound.Members(gone)
	require.Error(t, err)
	_, err = sound.Modes(gone)
	require.Error(t, err)
}

func TestRemoveUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.server(t, "a").Remove(t.Context(), "nobody", proget.Principal{User: "ann"})
	require.ErrorIs(t, err, proget.ErrConflict)
	require.Contains(t, proget.Message(err), "nobody")
}

// TestModesAreLogged: switching a mode is a change of the system, and its log
// says who made it.
func TestModesAreLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "a")
	for _, on := range []bool{true, true, false} { // twice is no conflict
		require.NoError(t, r.SetMode(t.Context(), cluster.HighAvailability, on, proget.Principal{User: "ann"}))
	}
	entries, err := w.db.LogAfter(t.Context(), proget.SystemFeed, 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	for _, e := range entries {
		require.Equal(t, "ann", e.Actor)
		require.Equal(t, proget.SystemChanged, e.Change)
	}
}

// removePaused removes a server as if it had been silent, and running.
func (w *world) removePaused(t *testing.T, by *cluster.Registry, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		age(t, w, name)
		return by.Remove(t.Context(), name, proget.Principal{User: "ann"}) == nil
	}, waitLong, time.Millisecond)
}

// beatUntil has a server that runs write heartbeats until another sees it so.
func beatUntil(t *testing.T, r, other *cluster.Registry, name string, ok func(*cluster.Member) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		m := member(t, other, name)
		if m != nil && ok(m) {
			return true
		}
		r.Hurry()
		return false
	}, waitLong, 10*time.Millisecond)
}

func listed(*cluster.Member) bool      { return true }
func withProbe(m *cluster.Member) bool { return m.Probe.Key != "" }
func noProbe(m *cluster.Member) bool   { return m.Probe.Key == "" }

// TestRemovedComesBack: a server that was paused, and removed meanwhile, tells
// the others of nothing in storage that was removed with it, although it has not
// looked there yet. None of them is worse off for that.
func TestRemovedComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	paused, other := w.server(t, "paused"), w.server(t, "other")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = paused.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for range 3 {
		beatUntil(t, paused, other, "paused", withProbe)
		w.removePaused(t, other, "paused")
		beatUntil(t, paused, other, "paused", listed)
		require.NoError(t, other.Check(t.Context()))
		require.Empty(t, other.Problems())
		require.Empty(t, other.Warnings())
	}
	require.Empty(t, paused.Problems())
}

// TestRemoverIsLate: who removes a server deletes its probe a moment later, when
// it may have looked again already. It leaves another then.
func TestRemoverIsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	paused, other := w.server(t, "paused"), w.server(t, "other")
	before := member(t, other, "paused").Probe
	age(t, w, "paused")
	require.NoError(t, w.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.RemoveNode(t.Context(), "paused", cluster.StaleAfter) }))
	for range 3 {
		require.NoError(t, paused.Check(t.Context()))
		require.NotEqual(t, before, member(t, other, "paused").Probe)
	}
	require.NotEmpty(t, member(t, other, "paused").Probe.Key)
	require.NoError(t, w.blobs.Delete(t.Context(), before.Key))
	require.NoError(t, other.Check(t.Context()))
	require.Empty(t, other.Problems())
	require.Equal(t, 3, w.objects(t), "the cluster's and the servers' own")
}

// TestRemovedDuringLook: a look that found the probe in time brings it back no
// more.
func TestRemovedDuringLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faults, store := w.failing(t)
	other, paused := w.server(t, "other"), w.serverOn(t, store, "paused", patient)
	before := member(t, other, "paused").Probe
	hold := make(chan struct{})
	faults.Inject(faulty.Fault{Op: faulty.Open, Key: member(t, other, "other").Probe.Key, Wait: hold})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = paused.Run(ctx) })
	defer running.Wait()
	defer cancel()
	require.Eventually(t, func() bool { return faults.Fired() == 1 }, waitLong, time.Millisecond)
	w.removePaused(t, other, "paused")
	beatUntil(t, paused, other, "paused", noProbe)
	close(hold)
	beatUntil(t, paused, other, "paused", withProbe)
	require.NotEqual(t, before, member(t, other, "paused").Probe)
}

// TestLostProbe: a server sees that what it left in storage is gone, before the
// others believe that they have another storage.
func TestLostProbe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, other := w.server(t, "a"), w.server(t, "other")
	before := member(t, r, "a").Probe
	require.NoError(t, w.blobs.Delete(t.Context(), before.Key))
	require.NoError(t, r.Check(t.Context()))
	require.NotEqual(t, before, member(t, r, "a").Probe)
	require.NoError(t, other.Check(t.Context()))
	require.Empty(t, other.Problems())
	require.Empty(t, append(r.Problems(), r.Warnings()...))
}

// TestFirstOfOneNameLeaves: it takes along what it left in storage, which the
// second one has found there, too.
func TestFirstOfOneNameLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second, other := w.server(t, "twin"), w.server(t, "twin"), w.server(t, "other")
	for range 2 {
		require.NoError(t, first.Check(t.Context())) // claims its name back
	}
	require.NotEmpty(t, member(t, other, "twin").Probe.Key)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = second.Run(ctx) })
	defer running.Wait()
	defer cancel()
	require.Eventually(t, func() bool { return len(second.Problems()) > 0 }, waitLong, time.Millisecond)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, first.Run(stopped))
	beatUntil(t, second, other, "twin", listed)
	require.NoError(t, other.Check(t.Context()))
	require.Empty(t, other.Problems())
}

// TestLeavesMeanwhile: a server that stops in order while another looks for its
// probe does not take that one out.
func TestLeavesMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faults, store := w.failing(t)
	leaving, other := w.server(t, "leaving"), w.serverOn(t, store, "other", patient)
	hold := make(chan struct{})
	faults.Inject(faulty.Fault{Op: faulty.Open, Key: member(t, other, "leaving").Probe.Key, Wait: hold})
	looked := make(chan error, 1)
	go func() { looked <- other.Check(t.Context()) }()
	require.Eventually(t, func() bool { return faults.Fired() == 1 }, waitLong, time.Millisecond)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, leaving.Run(stopped))
	close(hold)
	require.NoError(t, <-looked)
	require.Empty(t, other.Problems())
	require.Empty(t, other.Warnings())
}
