package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/proget-go/ha/indexing/search/snapshot"
	"github.com/proget-go/ha/proget"
)

const (
	snapshotEntries = 10_000           // log entries after which a snapshot is published early
	fetchAgain      = 10 * time.Minute // pause after a snapshot could not be used
	snapshotFolder  = "search-snapshot"
)

// shelf returns the store of the cluster's search index snapshots.
func (n *Node) shelf() *snapshot.Shelf { return &snapshot.Shelf{DB: n.cfg.DB, Files: n.indexes} }

func (n *Node) snapshotDir() string { return filepath.Join(n.cfg.CacheDir, snapshotFolder) }

// snapshots publishes snapshots of this node's search index while it leads.
type snapshots struct {
	node      *Node
	index     snapshot.Index
	known     bool            // whether positions and made are set
	positions map[int64]int64 // of the newest snapshot
	made      time.Time       // when the newest snapshot was made, or when this node first looked
}

// newSnapshots returns nil if the index does not support snapshots.
func newSnapshots(n *Node) *snapshots {
	x, ok := n.index.(snapshot.Index)
	if !ok {
		return nil
	}
	return &snapshots{node: n, index: x}
}

// publish publishes a snapshot if many changes were made since the newest one, or if
// any were made and the newest one is old.
func (s *snapshots) publish(ctx context.Context, fence proget.Fence) error {
	if s.node.searcher.behind.Load() {
		return nil
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	positions := make(map[int64]int64)
	var entries int64
	for feed := range s.node.tail.Applied() {
		at, _ := s.index.Position(feed)
		if at > 0 {
			positions[feed] = at
			entries += max(at-s.positions[feed], 0)
		}
	}
	if entries == 0 || entries < snapshotEntries && time.Since(s.made) < s.node.cfg.SnapshotEvery {
		return nil
	}
	began := time.Now()
	m, stored, err := s.node.shelf().Publish(ctx, s.index, positions, s.node.snapshotDir(), Office, fence)
	if err != nil {
		return err
	}
	s.positions, s.made = positions, began
	s.node.cfg.Logger.InfoContext(ctx, "a snapshot of the search index was published",
		"bytes", m.Bytes(), "stored", stored, "seconds", time.Since(began).Seconds())
	return nil
}

// look finds the newest snapshot. It ignores one that cannot be read.
func (s *snapshots) look(ctx context.Context) error {
	if s.known {
		return nil
	}
	m, err := s.node.shelf().Newest(ctx)
	if errors.Is(err, proget.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	s.known, s.made = true, time.Now()
	if err == nil && m.Format == s.index.Format() {
		s.positions, s.made = m.Positions, m.Made
	}
	return nil
}

// fetch fills an empty index from the cluster's snapshot. Later changes follow from the
// logs.
func (s *searcher) fetch(ctx context.Context) {
	x, ok := s.node.index.(snapshot.Index)
	if !ok || !s.empty() || time.Since(s.fetched) < fetchAgain {
		return
	}
	s.fetched = time.Now()
	clear(s.familiar)
	m, err := s.node.shelf().Fetch(ctx, x, s.node.snapshotDir())
	switch {
	case errors.Is(err, proget.ErrNotFound), ctx.Err() != nil:
	case err != nil:
		s.node.cfg.Logger.WarnContext(ctx, "the cluster's snapshot of the search index is of no use; the index is built from the packages", "error", err)
	default:
		s.node.cfg.Logger.InfoContext(ctx, "the search index begins with the cluster's snapshot",
			"bytes", m.Bytes(), "made", m.Made, "seconds", time.Since(s.fetched).Seconds())
	}
}

// empty reports whether the index contains no feed.
func (s *searcher) empty() bool {
	for feed := range s.node.tail.Applied() {
		if at, _ := s.node.index.Position(feed); at != 0 {
			return false
		}
	}
	return true
}
