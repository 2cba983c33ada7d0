package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

const (
	smallFile  = 256 << 10 // bytes; the kernel sends larger files more cheaply
	smallBytes = 32 << 20  // bytes of all kept files
	smallSeen  = 8192      // names of files, whether or not their bytes are kept
)

// small caches small files that were requested before: opening one costs more than
// sending it. Objects never change and keys are never reused, so the cache stays true;
// the digests were checked.
type small struct {
	mu    sync.Mutex
	files *simplelru.LRU[object, []byte] // nil after a single request
	bytes int
}

type object struct {
	storage int64
	key     string
}

func newSmall() *small {
	s := &small{}
	s.files, _ = simplelru.NewLRU(smallSeen, func(_ object, body []byte) { s.bytes -= len(body) }) // the size is valid
	return s
}

// get returns a file's bytes if they are kept; again says that the file was requested
// before.
func (s *small) get(of object) (body []byte, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, again = s.files.Get(of)
	if !again {
		s.files.Add(of, nil)
	}
	return body, again
}

func (s *small) keep(of object, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files.Remove(of)
	s.files.Add(of, body)
	s.bytes += len(body)
	for s.bytes > smallBytes {
		s.files.RemoveOldest()
	}
}

// wantsAll reports whether a request asks unconditionally for a whole file.
func wantsAll(r *http.Request) bool {
	for _, name := range []string{"Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return r.Method == http.MethodGet
}

// kept returns the bytes of a small file that was requested before, or nil.
func (f *Files) kept(r *feed.Request, file proget.File) ([]byte, error) {
	if file.Size > smallFile || file.Size == 0 || !wantsAll(r.Request) {
		return nil, nil
	}
	of := object{file.StorageID, file.StorageKey}
	body, again := f.small.get(of)
	if body != nil || !again {
		return body, nil
	}
	content, err := whole(r.Context(), f, file, (*storage.Store).OpenBlob)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	body = make([]byte, file.Size)
	_, err = io.ReadFull(content, body)
	if sum := sha256.Sum256(body); err == nil && hex.EncodeToString(sum[:]) != file.Digests[proget.SHA256] {
		err = fmt.Errorf("%w: its SHA-256 is %x", storage.ErrDamaged, sum)
	}
	switch {
	case errors.Is(err, storage.ErrDamaged):
		return nil, f.refuse(r.Context(), file, err)
	case err != nil:
		return nil, nil // Serve handles and reports it like any other file
	}
	f.small.keep(of, body)
	return body, nil
}

// serveKept is http.ServeContent for a request for which wantsAll is true.
func serveKept(w http.ResponseWriter, r *http.Request, published time.Time, body []byte) {
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if !published.IsZero() {
		h.Set("Last-Modified", published.UTC().Format(http.TimeFormat))
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // an error means that the client went away
}
