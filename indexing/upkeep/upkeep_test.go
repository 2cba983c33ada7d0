package upkeep_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

var (
	ann  = proget.Principal{User: "ann"}
	dark = slog.New(slog.DiscardHandler)
)

// An installation is a database and a folder with one feed, as one process sees
// them.
type installation struct {
	dir       string
	db        *db.Store
	folder    string // of the objects
	blobs     *storage.Store
	stores    *storage.Set
	feed      *proget.Feed
	publisher *publish.Publisher
}

// open opens the installation in dir, and makes it if need be.
func open(ctx context.Context, dir string) (*installation, error) {
	in := &installation{dir: dir, folder: filepath.Join(dir, "packages")}
	var err error
	if in.db, err = sqlite.Open(ctx, filepath.Join(dir, "test.db"), &db.Options{Logger: dark}); err != nil {
		return nil, err
	}
	if in.blobs, err = storage.OpenFolder(in.folder, nil); err != nil {
		return nil, err
	}
	in.stores = storage.NewSet(in.blobs, in.urlOf)
	in.publisher = publish.New(in.db, in.stores, []feed.Type{plain()}, &publish.Options{Logger: dark})
	feeds, err := in.db.ListFeeds(ctx)
	if err != nil {
		return nil, err
	}
	if len(feeds) > 0 {
		in.feed = feeds[0]
		return in, nil
	}
	in.feed = &proget.Feed{Name: "main", Type: "plain", Active: true}
	return in, in.db.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateFeed(ctx, in.feed) })
}

func newInstallation(t testing.TB) *installation {
	t.Helper()
	in, err := open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { in.close(t) })
	return in
}

func (in *installation) close(t testing.TB) {
	t.Helper()
	require.NoError(t, in.stores.Close())
	require.NoError(t, in.blobs.Close())
	require.NoError(t, in.db.Close())
}

func (in *installation) urlOf(ctx context.Context, id int64) (string, error) {
	all, err := in.db.ListStorages(ctx)
	for _, st := range all {
		if st.ID == id {
			return st.URL, nil
		}
	}
	return "", err
}

// plain is a feed type whose files begin with the package's name; what the
// client calls the file is the version.
func plain() feed.Type {
	same := func(s string) string { return s }
	return feed.Type{Name: "plain", NameKey: same, VersionKey: same, Inspect: func(_ context.Context, f feed.File) (*feed.Manifest, error) {
		text, err := io.ReadAll(io.NewSectionReader(f, 0, min(f.Size, 100)))
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(string(text), " ")
		return &feed.Manifest{Name: name, Version: f.Name, FileName: "f"}, nil
	}}
}

// push publishes a file as a version of the package that it begins with.
func (in *installation) push(ctx context.Context, version, content string) (*proget.Version, error) {
	return in.publisher.Publish(ctx, feed.Upload{Feed: in.feed, Body: strings.NewReader(content), Name: version, By: ann})
}

func (in *installation) mustPush(t testing.TB, version, content string) *proget.Version {
	t.Helper()
	v, err := in.push(t.Context(), version, content)
	require.NoError(t, err)
	return v
}

func (in *installation) delete(ctx context.Context, name, version string) error {
	return in.publisher.Delete(ctx, feed.Ref{Feed: in.feed, NameKey: name, VersionKey: version}, ann)
}

// versions returns the versions of a package by their keys.
func (in *installation) versions(t testing.TB, name string) map[string]*proget.Version {
	t.Helper()
	all := make(map[string]*proget.Version)
	p, err := in.db.LoadPackage(t.Context(), in.feed.ID, name)
	if err != nil {
		require.ErrorIs(t, err, proget.ErrNotFound)
		return all
	}
	for _, v := range p.Versions {
		all[v.Key] = v
	}
	return all
}

// requireWhole checks that a file has its bytes.
func (in *installation) requireWhole(t testing.TB, f proget.File) {
	t.Helper()
	sum := sha256.Sum256([]byte(in.content(t, f)))
	require.Equal(t, f.Digests[proget.SHA256], hex.EncodeToString(sum[:]))
}

func (in *installation) content(t testing.TB, f proget.File) string {
	t.Helper()
	blobs, err := in.stores.Store(t.Context(), f.StorageID)
	require.NoError(t, err)
	r, err := blobs.Open(t.Context(), f.StorageKey)
	require.NoError(t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(text)
}

// files returns the names of all files in both folders, temporary ones too.
func (in *installation) files(t testing.TB) []string {
	t.Helper()
	return append(filesIn(t, in.folder), filesIn(t, in.second())...)
}

// second is the folder of the storage that addStorage adds.
func (in *installation) second() string { return filepath.Join(in.dir, "second") }

// filesIn returns the names of the files below a folder that may be missing.
func filesIn(t testing.TB, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(folder, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return names
}

// age makes everything in both folders look two days old.
func (in *installation) age(t testing.TB) {
	t.Helper()
	then := time.Now().Add(-48 * time.Hour)
	for _, folder := range []string{in.folder, in.second()} {
		for _, name := range filesIn(t, folder) {
			require.NoError(t, os.Chtimes(filepath.Join(folder, name), then, then))
		}
	}
}

// run does a job and returns its last message.
func run(t testing.TB, w indexing.Worker, argument string) (string, error) {
	t.Helper()
	p := new(indexing.Progress)
	err := w.Work(t.Context(), &proget.Job{Kind: w.Kind(), Argument: argument}, p)
	_, _, message := p.Get()
	return message, err
}

func (in *installation) collector(grace time.Duration) *upkeep.Collector {
	return upkeep.NewCollector(in.db, in.stores, &upkeep.CollectorOptions{Grace: grace, Logger: dark,
		Probes: func(context.Context) (map[string]bool, error) { return nil, nil }}) // no server has any
}
