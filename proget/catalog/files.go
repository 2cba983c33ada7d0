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

// Files serves package files out of storage and counts downloads.
type Files struct {
	blobs *storage.Set
	db    *db.Store
	log   *slog.Logger

	damaged atomic.Int64
	small   *small

	mu     sync.Mutex
	counts map[int64]int64 // downloads not yet in the database, by version id; 0 for what was only used
}

// NewFiles returns a Files over the storages. log may be nil: slog.Default().
func NewFiles(store *db.Store, blobs *storage.Set, log *slog.Logger) *Files {
	if log == nil {
		log = slog.Default()
	}
	return &Files{blobs: blobs, db: store, log: log, small: newSmall(), counts: make(map[int64]int64)}
}

func isNotFound(err error) bool    { return errors.Is(err, proget.ErrNotFound) }
func isUnavailable(err error) bool { return errors.Is(err, proget.ErrUnavailable) }

// Serve answers a GET or HEAD with a file. Its bytes never change, so its
// SHA-256 is its ETag and any part of it may be kept for ever. A version that is
// blocked is refused. Without v no download is counted.
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
	// ServeContent hands the kernel an *os.File, which is what Content is on a
	// file share. For several ranges it reads in a goroutine for which it does not wait:
	// what is no file is sent whole then, as RFC 9110 section 14.2 allows.
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

// fetches reports whether a request wants bytes, so that storage can answer it: a URL
// that is signed for GET is for nothing else, and storage does not know the ETag by
// which a client asks whether there is anything new.
func fetches(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Modified-Since") == ""
}

// counts reports whether a request is a download: neither a part of one nor a
// question whether there is anything new.
func counts(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Range") == "" && r.Header.Get("If-None-Match") == ""
}

// urlTTL is how long a client may take to follow a redirect. A download that has
// begun goes on.
const urlTTL = 5 * time.Minute

// redirect sends the client to storage, if it can be sent there.
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

// refuse tells the administrator that a file is missing or damaged, and returns
// what to tell the client.
func (f *Files) refuse(ctx context.Context, file proget.File, err error) error {
	f.damaged.Add(1)
	f.log.ErrorContext(ctx, "a file is missing or damaged in storage", "file", file.Name, "key", file.StorageKey, "error", err)
	return proget.WrapError(proget.ErrUnavailable, err, "The file %s is missing or damaged in the server's storage; its administrator has been told.", file.Name)
}

// broke notes a response that ended short of its length, which is all that the
// client learns: its header was sent before.
func (f *Files) broke(ctx context.Context, file proget.File, err error) {
	if ctx.Err() != nil {
		return // the client is gone
	}
	if errors.Is(err, storage.ErrDamaged) {
		f.damaged.Add(1)
	}
	f.log.ErrorContext(ctx, "a download was cut off, since the file could not be read as it was stored", "file", file.Name, "key", file.StorageKey, "error", err)
}

// Damaged returns how often a file was found to be missing or damaged when it
// was asked for.
func (f *Files) Damaged() int64 { return f.damaged.Load() }

// Open gives random access to a file.
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

// whole opens a file's object, which must have the file's size. An object that
// was missing or damaged may have been replaced since the file was read from
// the database, so that is asked once more.
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

// Count counts a download; without a version, none.
func (f *Files) Count(v *proget.Version) {
	if v == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[v.ID]++
}

// Use is a download that does not count.
func (f *Files) Use(v *proget.Version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[v.ID] += 0
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

// downloadBatch bounds the rows that one transaction locks: SQL Server takes
// the whole table instead of some thousands.
const downloadBatch = 500

// uncounted adds counts that are not in the database to those of the next time. Of those
// that may be there, only the use is noted again: too few are better than twice as many.
func (f *Files) uncounted(ctx context.Context, counts map[int64]int64, err error) {
	open, what := errors.Is(err, db.ErrUncertain), "downloads could not be counted; they will be with the next ones"
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
