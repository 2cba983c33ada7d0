package asset

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
)

// TestLongList: a list that is too long for a document is sent while it is made,
// and one that cannot be ended is cut off.
func TestLongList(t *testing.T) {
	t.Parallel()
	h := &handler{feed.Services{Logger: slog.New(slog.DiscardHandler)}}
	for _, tc := range []struct {
		items int
		long  bool
	}{{0, false}, {3, false}, {40000, true}} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := httptest.NewRecorder()
			l := &list{w: w, r: &feed.Request{Request: httptest.NewRequestWithContext(t.Context(), method, "/", nil)}}
			var err error
			for i := 0; i < tc.items && err == nil; i++ {
				err = l.add(item{Name: fmt.Sprint("item ", i), Type: "dir", CacheHeader: cacheHeader{Type: inherit}})
			}
			require.NoError(t, l.end(h, err))
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, tc.long, w.Header().Get("ETag") == "")
			require.Less(t, l.body.Cap(), 3*maxDocument)
			if method == http.MethodHead {
				require.Zero(t, w.Body.Len())
				continue
			}
			var items []item
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &items))
			require.Len(t, items, tc.items)
		}
	}
	broken := errors.New("broken")
	l := &list{w: httptest.NewRecorder(), r: &feed.Request{Request: httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)}}
	require.ErrorIs(t, l.end(h, broken), broken, "nothing was sent yet")
	l.sent = true
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { _ = l.end(h, broken) })
}
