package feed_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// TestStatus: the newest judgement of an error counts, and one without a kind is the
// server's own.
func TestStatus(t *testing.T) {
	t.Parallel()
	missing := proget.Errorf(proget.ErrNotFound, "There is no such package.")
	for want, err := range map[int]error{
		http.StatusNotFound:             fmt.Errorf("look: %w", missing),
		http.StatusConflict:             proget.WrapError(proget.ErrConflict, missing, "It has gone meanwhile."),
		http.StatusMethodNotAllowed:     proget.Errorf(feed.ErrMethod, "This address takes GET."),
		http.StatusPreconditionFailed:   proget.Errorf(feed.ErrPrecondition, "It was changed since."),
		http.StatusUnsupportedMediaType: proget.Errorf(feed.ErrMediaType, "Send it without gzip."),
		http.StatusServiceUnavailable:   fmt.Errorf("ask: %w", context.DeadlineExceeded),
		http.StatusInternalServerError:  io.ErrUnexpectedEOF,
	} {
		require.Equal(t, want, feed.Status(err), err)
	}
}
