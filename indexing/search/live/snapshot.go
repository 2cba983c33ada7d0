package live

import (
	"context"
	"errors"
	"time"

	"github.com/proget-go/ha/indexing/search/snapshot"
	"github.com/proget-go/ha/proget"
)

const (
	snapshotEntries = 10_000           // log entries after which a snapshot is published early
	fetchAgain      = 10 * time.Minute // pause after a snapshot could not be used
)

// fetch fills an empty index from the cluster's snapshot. Later changes follow from the
// logs.
func (x *Index) fetch(ctx context.Context) {
	index, ok := x.cfg.Index.(snapshot.Index)
	if !ok || !x.empty() || time.Since(x.fetched) < fetchAgain {
		return
	}
	x.fetched = time.Now()
	clear(x.familiar)
	m, err := x.cfg.Shelf.Fetch(ctx, index, x.cfg.Dir)
	switch {
	case errors.Is(err, proget.ErrNotFound), ctx.Err() != nil:
	case err != nil:
		x.cfg.Logger.WarnContext(ctx, "the cluster's snapshot of the search index cannot be used; the index is built from the packages", "error", err)
	default:
		x.cfg.Logger.InfoContext(ctx, "the search index was initialized from the cluster's snapshot",
			"bytes", m.Bytes(), "made", m.Made, "seconds", time.Since(x.fetched).Seconds())
	}
}

// empty reports whether the index contains no feed.
func (x *Index) empty() bool {
	for feed := range x.cfg.Tail.Applied() {
		if at, _ := x.cfg.Index.Position(feed); at != 0 {
			return false
		}
	}
	return true
}

// Snapshots publishes snapshots of an index, with which new nodes begin. Only the primary
// publishes any.
type Snapshots struct {
	of        *Index
	index     snapshot.Index
	every     time.Duration
	known     bool            // whether positions and made are set
	positions map[int64]int64 // of the newest snapshot
	made      time.Time       // when the newest snapshot was made, or when this node first looked
}

// Snapshots returns what publishes snapshots of x during one term, or nil if the index
// cannot be copied. Small changes are gathered for the time every.
func (x *Index) Snapshots(every time.Duration) *Snapshots {
	index, ok := x.cfg.Index.(snapshot.Index)
	if !ok {
		return nil
	}
	return &Snapshots{of: x, index: index, every: every}
}

// Publish publishes a snapshot if many changes were made since the newest one, or if any
// were made and the newest one is old. It returns proget.ErrStale if the term of office is
// over.
func (s *Snapshots) Publish(ctx context.Context, office string, fence proget.Fence) error {
	if s.of.behind.Load() {
		return nil
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	positions := make(map[int64]int64)
	var entries int64
	for feed := range s.of.cfg.Tail.Applied() {
		at, _ := s.index.Position(feed)
		if at > 0 {
			positions[feed] = at
			entries += max(at-s.positions[feed], 0)
		}
	}
	if entries == 0 || entries < snapshotEntries && time.Since(s.made) < s.every {
		return nil
	}
	began := time.Now()
	m, stored, err := s.of.cfg.Shelf.Publish(ctx, s.index, positions, s.of.cfg.Dir, office, fence)
	if err != nil {
		return err
	}
	s.positions, s.made = positions, began
	s.of.cfg.Logger.InfoContext(ctx, "a snapshot of the search index was published",
		"bytes", m.Bytes(), "stored", stored, "seconds", time.Since(began).Seconds())
	return nil
}

// look finds the newest snapshot. It ignores one that cannot be read.
func (s *Snapshots) look(ctx context.Context) error {
	if s.known {
		return nil
	}
	m, err := s.of.cfg.Shelf.Newest(ctx)
	if errors.Is(err, proget.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	s.known, s.made = true, time.Now()
	if err == nil && m.Format == s.index.Format() {
		s.positions, s.made = m.Positions, m.Made
	}
	return nil
}
