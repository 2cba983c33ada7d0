package node

import (
	"context"
	"errors"

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

// CatchUp brings the search index and what is remembered of permissions up to date.
func (n *Node) CatchUp(ctx context.Context) error {
	return errors.Join(n.search.CatchUp(ctx), n.authority.Warm())
}

// Running reports whether Run is under way.
func (n *Node) Running() bool { return n.life.runs() }
