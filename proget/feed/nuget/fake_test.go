package nuget

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A world is a server in memory with one feed: all of feed.Services, and an
// http.Handler that treats requests as a node does.
type world struct {
	searches int // of the index

	feed.Packages  // what NuGet's tests have no use for
	feed.Publisher // likewise

	t       *testing.T
	feed    *proget.Feed
	typ     feed.Type
	handler feed.Handler
	base    string // overrides the requests' own host

	mu       sync.Mutex
	packages map[string]*feed.Package
	blobs    map[string][]byte
	tasks    []proget.Task // that requests needed
	clock    time.Time
	fail     error // what Publish returns after reading, if not nil
}

func newWorld(t *testing.T, opts *Options) *world {
	w := &world{
		t:        t,
		feed:     &proget.Feed{ID: 1, Name: "main", Type: "nuget", Active: true},
		typ:      New(opts),
		base:     "https://feeds.example/nuget/main",
		packages: map[string]*feed.Package{},
		blobs:    map[string][]byte{},
		clock:    time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC),
	}
	w.handler = w.typ.Handler(feed.Services{
		Packages: w, Publisher: w, Search: w, Files: w, Indexes: w,
		Logger: slog.New(slog.DiscardHandler),
	})
	return w
}

// ServeHTTP resolves a request below /nuget/main and answers errors.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/nuget/main")
	if !ok {
		http.NotFound(rw, r)
		return
	}
	req := &feed.Request{Request: r, Feed: w.feed, Base: w.base, Path: strings.TrimPrefix(path, "/"), Principal: proget.Principal{User: "ann"}}
	if req.Base == "" {
		req.Base = "http://" + r.Host + "/nuget/main"
	}
	task, err := w.typ.Operations.Task(w.handler.Operation(req))
	require.NoError(w.t, err)
	w.mu.Lock()
	w.tasks = append(w.tasks, task)
	w.mu.Unlock()
	if err := w.handler.ServeFeed(rw, req); err != nil {
		w.typ.WriteError(rw, r, status(err), message(err), err)
	}
}

func status(err error) int {
	for kind, code := range map[error]int{
		proget.ErrNotFound: 404, proget.ErrConflict: 409, proget.ErrInvalid: 400, proget.ErrTooLarge: 413, proget.ErrUnavailable: 503, feed.ErrMethod: 405,
	} {
		if errors.Is(err, kind) {
			return code
		}
	}
	return 500
}

func message(err error) string {
	if m := proget.Message(err); m != "" {
		return m
	}
	return "internal error: " + err.Error() // a node would not show it
}

// do sends a request to the world and returns the answer.
func (w *world) do(method, path string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "/nuget/main/"+path, body)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.do("GET", path, nil)
}

// getJSON expects a document and decodes it.
func getJSON[T any](w *world, path string) T {
	w.t.Helper()
	rec := w.get(path)
	require.Equal(w.t, 200, rec.Code, "%s: %s", path, rec.Body)
	require.Equal(w.t, "application/json", rec.Header().Get("Content-Type"))
	var doc T
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &doc))
	return doc
}

// publish puts a package into the feed without going through the protocol.
func (w *world) publish(pkg []byte) *proget.Version {
	w.t.Helper()
	v, err := w.Publish(w.t.Context(), feed.Upload{Feed: w.feed, Body: bytes.NewReader(pkg), By: proget.Principal{User: "ann"}})
	require.NoError(w.t, err)
	return v
}

// change edits the status of a version.
func (w *world) change(id, version string, edit func(*proget.Status)) {
	w.t.Helper()
	ref := feed.Ref{Feed: w.feed, NameKey: nameKey(id), VersionKey: versionKey(version)}
	require.NoError(w.t, w.SetStatus(w.t.Context(), ref, proget.Principal{}, edit))
}

func (w *world) Package(_ context.Context, _ *proget.Feed, key string) (*feed.Package, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.packages[key]; p != nil {
		return p, nil
	}
	return nil, proget.Errorf(proget.ErrNotFound, "The feed has no package %s.", key)
}

func (w *world) List(_ context.Context, _ *proget.Feed, after string, limit int) (some []*feed.Package, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(w.packages)) {
		if key > after && len(some) < limit {
			some = append(some, w.packages[key])
		}
	}
	return some, nil
}

// Read is what a world says of files that nobody has built.
func (w *world) Read(_ context.Context, _ int64, _, name string) ([]byte, error) {
	return nil, proget.Errorf(proget.ErrNotFound, "There is no file %s.", name)
}

func (w *world) Publish(ctx context.Context, u feed.Upload) (*proget.Version, error) {
	blob, err := io.ReadAll(u.Body)
	if err != nil {
		return nil, feed.UploadError(err)
	}
	if w.fail != nil {
		return nil, w.fail
	}
	m, err := w.typ.Inspect(ctx, feed.File{ReaderAt: bytes.NewReader(blob), Size: int64(len(blob)), Name: u.Name})
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(m.Data)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Hour)
	v := &proget.Version{
		Name: m.Name, Version: m.Version, Key: versionKey(m.Version), Prerelease: m.Prerelease,
		Status: proget.Status{Listed: true}, Manifest: data, Published: w.clock, PublishedBy: u.By.String(),
		Files: []proget.File{{Name: m.FileName, Size: int64(len(blob)), StorageKey: m.FileName}},
	}
	w.blobs[m.FileName] = blob
	return v, w.add(v)
}

// add replaces the package by one with the version, as published content and
// cached documents never change.
func (w *world) add(v *proget.Version) error {
	key := nameKey(v.Name)
	next := &feed.Package{Package: &proget.Package{ID: 1, FeedID: 1, Name: v.Name, Key: key}}
	if old := w.packages[key]; old != nil {
		if _, err := old.Version(v.Key); err == nil {
			return proget.Errorf(proget.ErrConflict, "%s %s exists already.", v.Name, v.Key)
		}
		next.Versions = slices.Clone(old.Versions)
	}
	next.Versions = append(next.Versions, v)
	slices.SortFunc(next.Versions, func(a, b *proget.Version) int { return compareVersions(a.Key, b.Key) })
	w.packages[key] = next
	return nil
}

func (w *world) SetStatus(_ context.Context, ref feed.Ref, _ proget.Principal, change func(*proget.Status)) error {
	return w.edit(ref, func(v proget.Version) *proget.Version {
		change(&v.Status)
		return &v
	})
}

func (w *world) Delete(_ context.Context, ref feed.Ref, _ proget.Principal) error {
	return w.edit(ref, func(proget.Version) *proget.Version { return nil })
}

func (w *world) edit(ref feed.Ref, change func(proget.Version) *proget.Version) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.packages[ref.NameKey]
	if old == nil {
		return proget.Errorf(proget.ErrNotFound, "The feed has no package %s.", ref.NameKey)
	}
	if _, err := old.Version(ref.VersionKey); err != nil {
		return err
	}
	header := *old.Package
	header.Versions = nil
	for _, v := range old.Versions {
		if v.Key == ref.VersionKey {
			v = change(*v)
		}
		if v != nil {
			header.Versions = append(header.Versions, v)
		}
	}
	delete(w.packages, ref.NameKey)
	if len(header.Versions) > 0 {
		w.packages[ref.NameKey] = &feed.Package{Package: &header}
	}
	return nil
}

func (w *world) Search(_ context.Context, _ *proget.Feed, q feed.Query) (feed.Hits, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.searches++
	var keys []string
	for key, p := range w.packages {
		found := p.Latest(func(v *proget.Version) bool {
			return v.Status.Listed && (q.Prerelease || !v.Prerelease) && (!q.Old || !needsSemVer2(v))
		})
		typed := func(name string) bool { return strings.EqualFold(name, q.Type) }
		if found != nil && (q.Type == "" || slices.ContainsFunc(summary(found).Types, typed)) && (q.Tag == "" || tagged(p, []string{q.Tag})) && strings.Contains(key, strings.ToLower(q.Text)) && strings.HasPrefix(key, strings.ToLower(q.NamePrefix)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	hits := feed.Hits{Total: len(keys)}
	keys = keys[min(q.Skip, len(keys)):]
	hits.Keys = keys[:min(q.Take, len(keys), maxHits)]
	return hits, nil
}

func (w *world) Serve(rw http.ResponseWriter, r *feed.Request, _ *proget.Version, f proget.File, contentType string) error {
	w.mu.Lock()
	blob := w.blobs[f.StorageKey]
	w.mu.Unlock()
	rw.Header().Set("Content-Type", contentType)
	http.ServeContent(rw, r.Request, "", time.Time{}, bytes.NewReader(blob))
	return nil
}

func (w *world) Count(*proget.Version) {}

func (w *world) Use(*proget.Version) {}

func (w *world) Open(_ context.Context, f proget.File) (feed.Content, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return content{bytes.NewReader(w.blobs[f.StorageKey])}, nil
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

// absent is a read path that lacks one package.
type absent struct {
	feed.Packages
	key string
}

func (a absent) Package(ctx context.Context, f *proget.Feed, key string) (*feed.Package, error) {
	if key == a.key {
		return nil, proget.Errorf(proget.ErrNotFound, "The feed has no package %s.", key)
	}
	return a.Packages.Package(ctx, f, key)
}
