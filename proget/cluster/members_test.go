package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/storage"
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
	r := cluster.New(w.db, w.blobs, cluster.Options{Name: "b", Roles: []string{"web"}, Fingerprints: []string{"key-1"}, Logger: dark})
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
	r := cluster.New(w.db, w.blobs, cluster.Options{Name: "a", Roles: []string{"web"}, Fingerprints: []string{"key-1"}, Logger: dark})
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
		require.NoError(t, r.SetMode(t.Context(), cluster.SettingHA, on, proget.Principal{User: "ann"}))
	}
	entries, err := w.db.LogAfter(t.Context(), proget.SystemFeed, 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	for _, e := range entries {
		require.Equal(t, "ann", e.Actor)
		require.Equal(t, proget.SystemChanged, e.Change)
	}
}
