package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// Files serves package files from storage and counts downloads.
type Files struct {
	blobs *storage.Set
	db    *db.Store
	log   *slog.Logger

	damaged atomic.Int64
	small   *small

	mu     sync.Mutex
	counts map[int64]int64 // downloads not yet in the database, by version ID; 0 if the version was only used
}

// NewFiles returns a Files for the storages. If log is nil, it uses slog.Default().
func NewFiles(store *db.Store, blobs *storage.Set, log *slog.Logger) *Files {
	if log == nil {
		log = slog.Default()
	}
	return &Files{blobs: blobs, db: store, log: log, small: newSmall(), counts: make(map[int64]int64)}
}

func isNotFound(err error) bool { return errors.Is(err, proget.ErrNotFound) }

// Serve answers a GET or HEAD request with a file. A file's bytes never change, so its
// SHA-256 is its ETag; caches keep it, and ask each time whether it may be had, unless
// the handler has set another Cache-Control. It refuses a blocked version. If v is nil,
// it counts no download.
func (f *Files) Serve(w http.ResponseWriter, r *feed.Request, v *proget.Version, file proget.File, contentType string) error {
	if v != nil {
		if err := feed.CheckAllowed(v); err != nil {
			return err
		}
	}
	if r.Feed.Redirect && fetches(r.Request) {
		if done, err := f.redirect(w, r, v, file, contentType); done || err != nil {
			return err
		}
	}
	body, err := f.kept(r, file)
	if err != nil {
		return err
	}
	var content *storage.Reader
	if body == nil {
		if content, err = whole(r.Context(), f, file, (*storage.Store).OpenBlob); err != nil {
			return err
		}
		defer content.Close()
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("ETag", `"`+file.Digests[proget.SHA256]+`"`)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	h.Set("X-Content-Type-Options", "nosniff")
	feed.Revalidate(h)
	if counts(r.Request) {
		f.Count(v)
	}
	var published time.Time
	if v != nil {
		published = v.Published
	}
	if body != nil {
		serveKept(w, r.Request, published, body)
		return nil
	}
	// ServeContent hands the kernel an *os.File, which Content is on a file share. For
	// several ranges, it reads in a goroutine without waiting for its end; so anything
	// but an *os.File is then sent whole, as RFC 9110 section 14.2 allows.
	req := r.Request
	if _, file := content.Content().(*os.File); !file && strings.Contains(req.Header.Get("Range"), ",") {
		req = req.Clone(req.Context())
		req.Header.Del("Range")
	}
	http.ServeContent(w, req, "", published, content.Content())
	if err := content.Err(); err != nil {
		f.broke(r.Context(), file, err)
	}
	return nil
}

// fetches reports whether a request wants bytes, so that storage can answer it. A URL
// signed for GET permits nothing else, and storage does not know the ETag in a
// conditional request.
func fetches(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Modified-Since") == ""
}

// counts reports whether a request is a download, and neither asks for a part nor is
// conditional.
func counts(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Range") == "" && r.Header.Get("If-None-Match") == ""
}

// urlTTL is how long a client may take to follow a redirect. It does not limit a
// download that has begun.
const urlTTL = 5 * time.Minute

// redirect redirects the client to storage and returns true, if the storage supports
// that.
func (f *Files) redirect(w http.ResponseWriter, r *feed.Request, v *proget.Version, file proget.File, contentType string) (done bool, err error) {
	blobs, err := f.blobs.Store(r.Context(), file.StorageID)
	if err != nil {
		return false, err
	}
	u, err := blobs.SignedURL(r.Context(), file.StorageKey, urlTTL, &storage.SignedURLOptions{FileName: file.Name, ContentType: contentType})
	if errors.Is(err, storage.ErrUnsupported) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if counts(r.Request) {
		f.Count(v)
	}
	w.Header().Set("Cache-Control", "no-store") // the URL expires
	http.Redirect(w, r.Request, u.String(), http.StatusTemporaryRedirect)
	return true, nil
}

// refuse logs a missing or damaged file for the administrator, and returns the error
// for the client.
func (f *Files) refuse(ctx context.Context, file proget.File, err error) error {
	f.damaged.Add(1)
	f.log.ErrorContext(ctx, "a file is missing or damaged in storage", "file", file.Name, "key", file.StorageKey, "error", err)
	return proget.WrapError(proget.ErrUnavailable, err, "The file %s is missing or damaged in the server's storage. Tell the server's administrator; the server's log has the details.", file.Name)
}

// broke logs a response that ended short of its length. That is all the client can
// notice, because the header was sent before.
func (f *Files) broke(ctx context.Context, file proget.File, err error) {
	if ctx.Err() != nil {
		return // the client is gone
	}
	if errors.Is(err, storage.ErrDamaged) {
		f.damaged.Add(1)
	}
	f.log.ErrorContext(ctx, "a download was cut off, since the file could not be read as it was stored", "file", file.Name, "key", file.StorageKey, "error", err)
}

// Damaged returns how often a requested file was found to be missing or damaged.
func (f *Files) Damaged() int64 { return f.damaged.Load() }

// Open gives random access to a file. The caller must close it.
func (f *Files) Open(ctx context.Context, file proget.File) (feed.Content, error) {
	content, err := whole(ctx, f, file, func(s *storage.Store, ctx context.Context, b storage.Blob) (*storage.ReaderAt, error) {
		return s.ReaderAt(ctx, b.Key)
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

// sizer is an open object.
type sizer interface {
	io.Closer
	Size() int64
}

// whole opens a file's object and checks its size. If the object is missing or damaged,
// it asks the database once whether another has replaced it since the file was read
// from there.
func whole[R sizer](ctx context.Context, f *Files, file proget.File, opener func(*storage.Store, context.Context, storage.Blob) (R, error)) (none R, err error) {
	blobs, err := f.blobs.Store(ctx, file.StorageID)
	if err != nil {
		return none, err
	}
	open := func(ctx context.Context, key string) (R, error) {
		return opener(blobs, ctx, storage.Blob{Key: key, Size: file.Size, Digests: file.Digests})
	}
	content, err := sized(ctx, file, file.StorageKey, open)
	if err == nil || !errors.Is(err, proget.ErrNotFound) && !errors.Is(err, storage.ErrDamaged) {
		return content, err
	}
	if now, ferr := f.db.FindBlob(ctx, file.StorageID, file.Digests[proget.SHA256], file.Size); ferr == nil && now.StorageKey != file.StorageKey {
		if content, again := sized(ctx, file, now.StorageKey, open); again == nil {
			return content, nil
		}
	}
	return content, f.refuse(ctx, file, err)
}

func sized[R sizer](ctx context.Context, file proget.File, key string, open func(context.Context, string) (R, error)) (none R, err error) {
	content, err := open(ctx, key)
	if err != nil {
		return none, err
	}
	if content.Size() != file.Size {
		_ = content.Close()
		return none, fmt.Errorf("%w: %s has %d bytes instead of %d", storage.ErrDamaged, key, content.Size(), file.Size)
	}
	return content, nil
}

// Count counts a download of v; nil counts nothing.
func (f *Files) Count(v *proget.Version) {
	if v == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[v.ID]++
}

// Use records that v is in use, without counting a download.
func (f *Files) Use(v *proget.Version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[v.ID] += 0
}

// Run writes the counted downloads to the database every 5 seconds, and a last time
// when ctx ends.
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
	today, err := f.db.Clock(ctx)
	if err != nil {
		f.uncounted(ctx, counts, err)
		return
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(counts)), downloadBatch) {
		batch := make(map[int64]int64, len(ids))
		for _, id := range ids {
			batch[id] = counts[id]
		}
		if err := f.db.AddDownloads(ctx, today, batch); err != nil {
			f.uncounted(ctx, batch, err)
		}
	}
}

// downloadBatch bounds the rows that one transaction locks: beyond some thousands, SQL
// Server locks the whole table.
const downloadBatch = 500

// uncounted puts counts that are not in the database back for the next time. Of counts
// that may be there, it keeps only the use: counting too few is better than counting
// twice.
func (f *Files) uncounted(ctx context.Context, counts map[int64]int64, err error) {
	open, what := errors.Is(err, db.ErrUncertain), "downloads could not be counted now; they will be counted later"
	if open {
		what = "the database did not say whether downloads were counted; they are not counted again"
	}
	f.log.WarnContext(ctx, what, "error", err)
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, n := range counts {
		if open {
			n = 0
		}
		f.counts[id] += n
	}
}
