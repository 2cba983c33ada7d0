package storage_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/storage"
)

// kernelWriter is a response as net/http's own is, with a ReadFrom that looks
// for a file in its source, which it can give to sendfile. Like net/http, it
// sees through an [io.LimitedReader], and no further.
type kernelWriter struct {
	*httptest.ResponseRecorder
	files int
}

func (w *kernelWriter) ReadFrom(r io.Reader) (int64, error) {
	source := r
	if limited, ok := r.(*io.LimitedReader); ok {
		source = limited.R
	}
	// net/http asks for syscall.Conn; here os itself wraps a file to hide WriteTo.
	if _, ok := source.(interface{ Fd() uintptr }); ok {
		w.files++
	}
	return io.Copy(w.ResponseRecorder, r)
}

// TestSendfile: a file reaches net/http as a file, in whole and in part.
func TestSendfile(t *testing.T) {
	t.Parallel()
	s, err := storage.Open(t.Context(), fileURL(t.TempDir()), nil)
	require.NoError(t, err)
	b, err := s.Put(t.Context(), strings.NewReader("0123456789"), nil)
	require.NoError(t, err)

	for header, want := range map[string]string{"": "0123456789", "bytes=2-4": "234"} {
		r, err := s.Open(t.Context(), b.Key)
		require.NoError(t, err)
		require.IsType(t, &os.File{}, r.Content())
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Range", header)
		w := &kernelWriter{ResponseRecorder: httptest.NewRecorder()}
		http.ServeContent(w, req, "a.bin", time.Time{}, r.Content())
		require.Equal(t, 1, w.files, header)
		require.Equal(t, want, w.Body.String())
		require.NoError(t, r.Close())
	}

	r, err := s.Open(t.Context(), b.Key)
	require.NoError(t, err)
	defer r.Close()
	w := &kernelWriter{ResponseRecorder: httptest.NewRecorder()}
	_, err = io.Copy(w, r)
	require.NoError(t, err)
	require.Equal(t, 1, w.files, "io.Copy")
}
