package feed

import (
	"fmt"

	"github.com/proget-go/ha/proget"
)

// An Operation is one of the things that clients can ask a feed for, by a name
// of the type's own: "getPackage". The zero value is a request that the type does
// not know.
type Operation string

// Operations are all that a type serves, with the permission that each needs.
type Operations map[Operation]proget.Task

// Task returns the permission that an operation needs: proget.TaskView for a
// request that is not known, so that strangers learn nothing of a feed. One that
// is not declared is an error of the type's, and is not served.
func (o Operations) Task(op Operation) (proget.Task, error) {
	if op == "" {
		return proget.TaskView, nil
	}
	task, ok := o[op]
	if !ok {
		return "", fmt.Errorf("the feed type does not declare the operation %q", op)
	}
	return task, nil
}
