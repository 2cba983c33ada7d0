package cluster_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/storage"
)

// beat writes a heartbeat as a process of its own would.
func (w *world) beat(t *testing.T, name string, self cluster.Self) {
	t.Helper()
	details, err := json.Marshal(self)
	require.NoError(t, err)
	require.NoError(t, w.db.BeatNode(t.Context(), name, "instance of "+name, string(details)))
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
	require.NotNil(t, member(t, watcher, "a"), "who leaves stays known until it is removed")
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

// TestNameIsFreeAgain: once the other of one name is gone, nothing is wrong.
func TestNameIsFreeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.server(t, "twin")
	w.beat(t, "twin", cluster.Self{Fingerprints: []string{"key-1"}})
	require.NoError(t, r.Check(t.Context()))
	require.Len(t, r.Problems(), 1)
	require.NoError(t, r.Check(t.Context()))
	require.Empty(t, r.Problems())
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
	err := w.server(t, "a").Remove(t.Context(), "nobody")
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
