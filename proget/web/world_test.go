package web_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/proget/web"
	"github.com/proget-go/ha/storage"
)

const (
	password = "correct horse"
)

// A world is an installation with the feeds "main", which all may see, and
// "secret", which only the administrator "admin" may. "ann" manages main, and
// "bob" has an account and no more.
type world struct {
	t         *testing.T
	path      string // of the database
	store     *db.Store
	catalog   *catalog.Catalog
	publisher *publish.Publisher
	registry  *cluster.Registry
	handler   http.Handler
	main      *proget.Feed
	secret    *proget.Feed

	base   string // the site's URL
	away   error  // what Sync returns
	broken error  // what Deleted returns
	closed error  // what GuardChange returns
	found  int    // how many packages a search says that it found, whatever it shows of them; 0: those it shows

	log bytes.Buffer // what pages logged for administrators
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "proget.db"), base: "http://example.com"}
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	var err error
	w.store, err = sqlite.Open(ctx, w.path, &db.Options{Logger: log})
	require.NoError(t, err)
	blobs, err := storage.Open(ctx, "mem:", nil)
	require.NoError(t, err)
	ring, err := auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	types := []feed.Type{demoType(), imageType(), fileType()}
	authority := auth.New(w.store, ring, nil)
	w.catalog = catalog.New(w.store, types, nil)
	w.publisher = publish.New(w.store, storage.NewSet(blobs, nil), types, &publish.Options{Logger: log})
	w.registry = cluster.New(w.store, blobs, cluster.Options{Name: "web1", Roles: []string{cluster.RoleWeb}, Fingerprints: ring.Fingerprints(),
		Version: "1.2.3", OS: "linux/amd64", Address: "http://10.0.0.1:8624", Office: "indexing", Logger: log,
		State: func() cluster.State { return cluster.State{IndexLag: 7, Ready: true} }})
	tail := indexing.NewTail(w.store, &indexing.TailOptions{Logger: log}, w.catalog, authority)
	t.Cleanup(func() {
		tail.Close()
		require.NoError(t, w.store.Close())
		require.NoError(t, blobs.Close())
	})
	w.handler, err = web.New(web.Config{
		Catalog: w.catalog, Search: listing{w}, Publisher: w.publisher, Files: catalog.NewFiles(w.store, storage.NewSet(blobs, nil), log),
		Authority: authority, Admin: admin.New(w.store, types, w.scheduler(), log), Cluster: w.registry, Types: types, Stats: w.stats, Daily: w.store.DailyDownloads,
		Deleted: w.deleted, Restore: w.publisher.Restore,
		Sync: func(ctx context.Context, _ bool) error {
			if w.away != nil {
				return w.away
			}
			return tail.Sync(ctx)
		},
		GuardChange: func() error { return w.closed },
		BaseURL:     func(*http.Request) string { return w.base },
		Engine:      w.store.Engine(), Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	require.NoError(t, err)
	w.populate()
	return w
}

func (w *world) populate() {
	w.t.Helper()
	w.main = &proget.Feed{Name: "main", Type: "demo", Description: "Our own packages", Active: true}
	w.secret = &proget.Feed{Name: "secret", Type: "demo", Active: true}
	// Cheap parameters: hashing well takes a while under the race detector.
	hash, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16})
	require.NoError(w.t, err)
	w.change(func(ctx context.Context, tx *db.Tx) error {
		for _, f := range []*proget.Feed{w.main, w.secret, {Name: "retired", Type: "demo"}} {
			if err := tx.CreateFeed(ctx, f); err != nil {
				return err
			}
		}
		for _, name := range []string{"admin", "ann", "bob"} {
			if err := tx.CreateUser(ctx, name, hash); err != nil {
				return err
			}
		}
		for _, p := range []db.Permission{
			{Subject: auth.SubjectAnonymous, FeedID: w.main.ID, Task: proget.TaskView},
			{Subject: auth.SubjectUser("ann"), FeedID: w.main.ID, Task: proget.TaskManage},
			{Subject: auth.SubjectUser("admin"), Task: proget.TaskAdminister},
		} {
			if err := tx.Grant(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// change makes a change of the installation as an administrator's tool would.
func (w *world) change(fn func(context.Context, *db.Tx) error) {
	w.t.Helper()
	require.NoError(w.t, w.store.Administer(w.t.Context(), "test", func(tx *db.Tx) error { return fn(w.t.Context(), tx) }))
}

func (w *world) stats(ctx context.Context) (map[int64]web.Totals, error) {
	all, err := w.store.ListFeedStats(ctx)
	totals := make(map[int64]web.Totals)
	for id, s := range all {
		totals[id] = web.Totals{Packages: s.Packages, Versions: s.Versions, Bytes: s.Bytes}
	}
	return totals, err
}

func (w *world) deleted(ctx context.Context, feedID, before int64, limit int) ([]proget.Deletion, error) {
	if w.broken != nil {
		return nil, w.broken
	}
	return w.store.ListDeleted(ctx, feedID, before, limit)
}

// publish puts a version into a feed.
func (w *world) publish(f *proget.Feed, p demoPackage) *proget.Version {
	w.t.Helper()
	body, err := json.Marshal(p)
	require.NoError(w.t, err)
	v, err := w.publisher.Publish(w.t.Context(), feed.Upload{Feed: f, Body: strings.NewReader(string(body)), By: proget.Principal{User: "ann"}})
	require.NoError(w.t, err)
	return v
}

// server announces another server; age is that of its heartbeat.
func (w *world) server(name string, self cluster.Self, age time.Duration) {
	w.t.Helper()
	details, err := json.Marshal(self)
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.BeatNode(w.t.Context(), db.Node{Name: name, Instance: "instance of " + name, Details: string(details)}))
	// Nobody can write an old heartbeat through the store, and rightly so.
	raw, err := sql.Open("sqlite", "file:"+w.path)
	require.NoError(w.t, err)
	defer raw.Close()
	_, err = raw.ExecContext(w.t.Context(), "UPDATE node SET heartbeat = heartbeat - ? WHERE name = ?", age.Microseconds(), name)
	require.NoError(w.t, err)
}

// scheduler has one task.
func (w *world) scheduler() *indexing.Scheduler {
	return &indexing.Scheduler{DB: w.store, Office: "indexing", Tasks: []indexing.Task{
		{Name: "clean", Title: "Clean the attic", About: "Sweeps & dusts.", Expression: "30 2 * * 0", Job: db.NewJob{Kind: "attic"}, Preview: "look"}}}
}

// working has a server work on a job of which it has done 21 of 50.
func (w *world) working() *proget.Job {
	w.t.Helper()
	ctx := w.t.Context()
	require.NoError(w.t, w.store.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: "attic", QueuedBy: "ann"}) }))
	j, err := w.store.ClaimJob(ctx, "index1", "", time.Minute)
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.BeatJob(ctx, j, time.Minute, 21, 50, "<b>sweeping</b>"))
	return j
}

// A browser keeps cookies and sends what browsers send.
type browser struct {
	w       *world
	cookies map[string]*http.Cookie
}

func (w *world) browser() *browser { return &browser{w, make(map[string]*http.Cookie)} }

// as returns a browser in which a user has signed in.
func (w *world) as(user string) *browser {
	w.t.Helper()
	b := w.browser()
	rec := b.post("/sign-in", "user", user, "password", password)
	require.Equal(w.t, http.StatusSeeOther, rec.Code, rec.Body)
	return b
}

func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	b.w.t.Helper()
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	b.w.handler.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return rec
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	b.w.t.Helper()
	return b.do(httptest.NewRequestWithContext(b.w.t.Context(), http.MethodGet, target, nil))
}

// page expects a page and returns it.
func (b *browser) page(target string) string {
	b.w.t.Helper()
	rec := b.get(target)
	require.Equal(b.w.t, http.StatusOK, rec.Code, "%s: %s", target, rec.Body)
	require.Equal(b.w.t, "text/html; charset=utf-8", rec.Header().Get("Content-Type"))
	return rec.Body.String()
}

// post sends a form of names and values.
func (b *browser) post(target string, fields ...string) *httptest.ResponseRecorder {
	b.w.t.Helper()
	return b.do(b.form(target, fields...))
}

func (b *browser) form(target string, fields ...string) *http.Request {
	form := url.Values{}
	for pair := range slices.Chunk(fields, 2) {
		form.Set(pair[0], pair[1])
	}
	r := httptest.NewRequestWithContext(b.w.t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// demoPackage is the package file of the demo type: JSON.
type demoPackage struct {
	Name, Version string
	Prerelease    bool
	Summary       feed.Summary
}

func demoType() feed.Type {
	return feed.Type{
		Name: "demo", Title: "Demo", Algorithms: []proget.Algorithm{proget.SHA512},
		NameKey: strings.ToLower, VersionKey: strings.ToLower, CompareVersions: strings.Compare,
		Form: &feed.Form{Accept: ".json", Path: "Folder", Hint: "Any <JSON>."},
		Inspect: func(_ context.Context, f feed.File) (*feed.Manifest, error) {
			var p demoPackage
			if err := json.NewDecoder(io.NewSectionReader(f, 0, f.Size)).Decode(&p); err != nil {
				return nil, proget.Errorf(proget.ErrInvalid, "not JSON: %w", err)
			}
			return &feed.Manifest{Name: p.Name, Version: p.Version, Prerelease: p.Prerelease, FileName: "package " + strings.ReplaceAll(p.Version, "/", "\\") + ".json", Data: p.Summary,
				Aliases: []string{"/" + f.Name}}, nil
		},
		Summary: func(v *proget.Version) (sum feed.Summary) {
			_ = json.Unmarshal(v.Manifest, &sum)
			return sum
		},
		Install: func(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
			return []feed.Instruction{{Tool: "demo CLI", Command: "demo add " + v.Name + " --from " + base}}
		},
	}
}

// imageType is demoType for what people know by tags.
func imageType() feed.Type {
	t := demoType()
	t.Name, t.Title, t.TagsName = "image", "Image", true
	t.Install = func(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
		return []feed.Instruction{{Tool: "demo CLI", Command: "demo pull " + v.Name + " at " + v.Version}}
	}
	return t
}

// fileType is demoType for files in folders.
func fileType() feed.Type {
	t := demoType()
	t.Name, t.Title, t.Naming.Unversioned = "file", "Files", true
	t.Folder = func(nameKey string) bool { return strings.HasSuffix(nameKey, "/") }
	return t
}

// feed makes a feed.
func (w *world) feed(f proget.Feed) *proget.Feed {
	w.t.Helper()
	w.change(func(ctx context.Context, tx *db.Tx) error { return tx.CreateFeed(ctx, &f) })
	return &f
}

// listing searches by looking at every package.
type listing struct{ w *world }

func (l listing) Search(ctx context.Context, f *proget.Feed, q feed.Query) (feed.Hits, error) {
	all, err := l.w.catalog.List(ctx, f, "", 1000)
	if err != nil {
		return feed.Hits{}, err
	}
	var hits feed.Hits
	for _, p := range all {
		shown := p.Latest(func(v *proget.Version) bool { return v.Status.Listed && (q.Prerelease || !v.Prerelease) })
		if shown != nil && strings.Contains(p.Key, strings.ToLower(q.Text)) {
			hits.Keys = append(hits.Keys, p.Key)
		}
	}
	if hits.Total = l.w.found; hits.Total > 0 {
		return hits, nil
	}
	hits.Total = len(hits.Keys)
	hits.Keys = hits.Keys[min(q.Skip, hits.Total):]
	hits.Keys = hits.Keys[:min(q.Take, len(hits.Keys))]
	return hits, nil
}
