package feed

import (
	"fmt"

	"github.com/proget-go/ha/proget"
)

// An Operation names one of the things that clients can ask a feed for, such as
// "getPackage". Each type has its own names. The zero value stands for a request that
// the type does not know.
type Operation string

// Operations maps all operations of a type to the permission that each requires.
type Operations map[Operation]proget.Task

// Task returns the permission that op requires: proget.TaskView for an unknown request,
// so that strangers learn nothing about a feed. For an undeclared operation, which is a
// bug of the type, Task returns an error and the node does not serve the request.
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
