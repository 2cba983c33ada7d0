package catalog

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// Files serves package files out of storage and counts downloads.
type Files struct {
	blobs *storage.Store
	db    *db.Store
	log   *slog.Logger

	mu     sync.Mutex
	counts map[int64]int64 // downloads not yet in the database, by version id
}

// NewFiles returns a Files over a storage.
func NewFiles(blobs *storage.Store, store *db.Store, log *slog.Logger) *Files {
	return &Files{blobs: blobs, db: store, log: log, counts: make(map[int64]int64)}
}

func isNotFound(err error) bool    { return errors.Is(err, proget.ErrNotFound) }
func isUnavailable(err error) bool { return errors.Is(err, proget.ErrUnavailable) }

// Serve answers a GET or HEAD with a file. Its bytes never change, so its
// SHA-256 is its ETag and any part of it may be kept for ever.
func (f *Files) Serve(w http.ResponseWriter, r *feed.Request, v *proget.Version, file proget.File, contentType string) error {
	content, err := f.blobs.Open(r.Context(), file.StorageKey)
	if errors.Is(err, proget.ErrNotFound) {
		f.log.ErrorContext(r.Context(), "a file is missing in storage", "feed", r.Feed.Name, "file", file.Name, "key", file.StorageKey)
		return proget.WrapError(proget.ErrUnavailable, err, "The file %s is missing in the server's storage; its administrator has been told.", file.Name)
	}
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("ETag", `"`+file.Digests[proget.SHA256]+`"`)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodGet && r.Header.Get("Range") == "" && r.Header.Get("If-None-Match") == "" {
		f.count(v.ID)
	}
	// ServeContent hands the kernel an *os.File, which is what Content is on a
	// file share.
	http.ServeContent(w, r.Request, "", v.Published, content.Content())
	return nil
}

// Open gives random access to a file.
func (f *Files) Open(ctx context.Context, file proget.File) (feed.Content, error) {
	return f.blobs.ReaderAt(ctx, file.StorageKey)
}

func (f *Files) count(versionID int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[versionID]++
}

// Run adds the counted downloads to the database every few seconds, and a last
// time when ctx ends.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			f.flush(last)
			return nil
		}
	}
}

func (f *Files) flush(ctx context.Context) {
	f.mu.Lock()
	counts := f.counts
	f.counts = make(map[int64]int64)
	f.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	if err := f.db.AddDownloads(ctx, counts); err != nil {
		f.log.WarnContext(ctx, "downloads could not be counted; they will be with the next ones", "error", err)
		f.mu.Lock()
		defer f.mu.Unlock()
		for id, n := range counts {
			f.counts[id] += n
		}
	}
}
