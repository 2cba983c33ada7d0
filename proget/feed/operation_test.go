package feed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestUndeclaredOperation: what a type does not say the permission of is not
// served.
func TestUndeclaredOperation(t *testing.T) {
	t.Parallel()
	all := feed.Operations{"push": proget.TaskPublish, "ping": proget.TaskNone}
	for op, want := range map[feed.Operation]proget.Task{"push": proget.TaskPublish, "ping": proget.TaskNone, "": proget.TaskView} {
		task, err := all.Task(op)
		require.NoError(t, err)
		require.Equal(t, want, task)
	}
	_, err := all.Task("forgotten")
	require.Error(t, err)
	require.Empty(t, proget.Message(err), "nobody but the type's author can do anything about it")
}
