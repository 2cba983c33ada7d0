package node

import (
	"context"
	"time"

	"github.com/proget-go/ha/proget"
)

// Patterns returns those of http.ServeMux under which anything is served, the
// feeds' mounts included.
func (n *Node) Patterns() []string { return n.patterns }

// Duties returns the names of the primary's duties.
func (n *Node) Duties() (names []string) {
	for _, d := range n.duties() {
		names = append(names, d.name)
	}
	return names
}

// Do does a duty as in a round that leaves nothing out: as the first of a term,
// and as one that looks for what is too old.
func (n *Node) Do(ctx context.Context, name string, fence proget.Fence) error {
	for _, d := range n.duties() {
		if d.name != name {
			continue
		}
		for _, round := range []int{0, housekeeping} {
			if err := d.do(ctx, fence, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// CatchUpSearch brings the search index up to date.
func (n *Node) CatchUpSearch(ctx context.Context) error { return n.searcher.catchUp(ctx) }

// Pauses returns how long a feed's index rests after each of several failures in a row.
func Pauses(err error, failures int) (pauses []time.Duration) {
	var b setback
	for range failures {
		now := time.Now()
		b = b.after(err, now)
		pauses = append(pauses, b.until.Sub(now))
	}
	return pauses
}

// ErrRebuild is errRebuild.
var ErrRebuild = errRebuild

// Running reports whether Run is under way.
func (n *Node) Running() bool { return n.life.runs() }
