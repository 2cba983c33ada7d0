package db

import (
	"context"
	"time"

	"github.com/proget-go/ha/proget"
)

// A Node is the newest heartbeat of a server.
type Node struct {
	Name     string
	Instance string // of the process; differs at each start
	Started  time.Time
	Age      time.Duration // since the heartbeat, by the database's clock
	Details  string        // JSON in the format of package node
}

// BeatNode writes a node's heartbeat. It ignores Age.
func (s *Store) BeatNode(ctx context.Context, n Node) error {
	_, err := s.transact(ctx, vital, func(tx *Tx) error {
		return tx.put(ctx, "UpdateNode", "InsertNode", arg("name", n.Name), arg("instance", n.Instance),
			arg("started", n.Started.UnixMicro()), arg("details", n.Details))
	})
	return err
}

// RenewNode is BeatNode for a process that is listed, and reports whether it still is:
// it may have been removed, or another process may have taken its name.
func (s *Store) RenewNode(ctx context.Context, n Node) (listed bool, err error) {
	rows, err := run(ctx, s.writeVital, "RenewNode", arg("name", n.Name), arg("instance", n.Instance), arg("details", n.Details))
	return rows > 0, err
}

// ListNodes returns all nodes that were not removed, by name.
func (s *Store) ListNodes(ctx context.Context) ([]Node, error) {
	return list(ctx, s.readVital, "ListNodes", (*Node).fields)
}

func (n *Node) fields() []any {
	return []any{&n.Name, &n.Instance, (*instant)(&n.Started), (*span)(&n.Age), &n.Details}
}

// LeaveNode removes a node if its name still belongs to the given process, and reports
// whether it did.
func (s *Store) LeaveNode(ctx context.Context, name, instance string) (left bool, err error) {
	n, err := run(ctx, s.writeVital, "LeaveNode", arg("name", name), arg("instance", instance))
	return n > 0, err
}

// RemoveNode removes a node whose heartbeat is older than olderThan. Otherwise it
// returns proget.ErrConflict, because a living node cannot be removed.
func (tx *Tx) RemoveNode(ctx context.Context, name string, olderThan time.Duration) error {
	n, err := tx.run(ctx, "DeleteNode", arg("name", name), arg("older_than", olderThan.Microseconds()))
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrConflict, "Server %s is alive, or has already been removed.", name)
	}
	return err
}
