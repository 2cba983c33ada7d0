package db

import (
	"context"
	"time"

	"github.com/proget-go/ha/proget"
)

// A Node is a server's newest heartbeat.
type Node struct {
	Name     string
	Instance string // the process; differs from start to start
	Started  time.Time
	Age      time.Duration // since the heartbeat, by the database's clock
	Details  string        // JSON; the node package's own
}

// BeatNode writes a node's heartbeat. It ignores Age.
func (s *Store) BeatNode(ctx context.Context, n Node) error {
	_, err := s.transact(ctx, vital, func(tx *Tx) error {
		return tx.put(ctx, "UpdateNode", "InsertNode", arg("name", n.Name), arg("instance", n.Instance),
			arg("started", n.Started.UnixMicro()), arg("details", n.Details))
	})
	return err
}

// RenewNode is BeatNode for a process that is listed, and reports whether it is:
// it may have been removed, or its name be another's by now.
func (s *Store) RenewNode(ctx context.Context, n Node) (listed bool, err error) {
	rows, err := run(ctx, s.writeVital, "RenewNode", arg("name", n.Name), arg("instance", n.Instance), arg("details", n.Details))
	return rows > 0, err
}

// ListNodes returns every node that was not removed, by name.
func (s *Store) ListNodes(ctx context.Context) ([]Node, error) {
	return list(ctx, s.readVital, "ListNodes", (*Node).fields)
}

func (n *Node) fields() []any {
	return []any{&n.Name, &n.Instance, (*instant)(&n.Started), (*span)(&n.Age), &n.Details}
}

// LeaveNode forgets a node, unless its name is that of another process or of
// none, and reports whether it did.
func (s *Store) LeaveNode(ctx context.Context, name, instance string) (left bool, err error) {
	n, err := run(ctx, s.writeVital, "LeaveNode", arg("name", name), arg("instance", instance))
	return n > 0, err
}

// RemoveNode forgets a node whose heartbeat is older than the given age, and
// returns proget.ErrConflict if it is not: a living node cannot be removed.
func (tx *Tx) RemoveNode(ctx context.Context, name string, olderThan time.Duration) error {
	n, err := tx.run(ctx, "DeleteNode", arg("name", name), arg("older_than", olderThan.Microseconds()))
	if err == nil && n == 0 {
		err = proget.Errorf(proget.ErrConflict, "Server %s is alive, or was removed already.", name)
	}
	return err
}
