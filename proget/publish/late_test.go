package publish_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/proget/upload"
	"github.com/proget-go/ha/storage"
)

// onPostgres is an installation whose commits can be lost.
func onPostgres(t *testing.T) (*installation, *publish.Publisher, *testenv.LateCommits) {
	t.Helper()
	server := testenv.StartPostgres(t)
	late := testenv.StartLateCommits(t, server.Host())
	in := &installation{path: server.NewDatabase(t), feed: &proget.Feed{Name: "main", Type: "plain", Active: true}}
	var err error
	in.db, err = postgres.Open(t.Context(), strings.Replace(in.path, server.Host(), late.Host(), 1), &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.db.Close() })
	in.blobs, err = storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.blobs.Close() })
	require.NoError(t, in.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), in.feed) }))
	return in, publish.New(in.db, storage.NewSet(in.blobs, nil), []feed.Type{plain()}, &publish.Options{MaxSize: maxSize, Logger: dark}), late
}

// TestLateCommit: what is committed while it is tried again is what the caller gets,
// and its object stays.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	in, p, late := onPostgres(t)
	restore := func(t *testing.T, u feed.Upload) (*proget.Version, error) {
		_, err := p.Publish(t.Context(), u)
		require.NoError(t, err)
		require.NoError(t, p.Delete(t.Context(), feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "restore"}, ann))
		all, err := in.db.ListDeleted(t.Context(), in.feed.ID, 0, 10)
		require.NoError(t, err)
		late.LoseNext(300 * time.Millisecond)
		return p.Restore(t.Context(), in.feed, all[0].ID, ann)
	}
	for name, change := range map[string]func(t *testing.T, u feed.Upload) (*proget.Version, error){
		"whole": func(t *testing.T, u feed.Upload) (*proget.Version, error) {
			late.LoseNext(300 * time.Millisecond)
			return p.Publish(t.Context(), u)
		},
		"replace": func(t *testing.T, u feed.Upload) (*proget.Version, error) {
			u.Replace = func(*proget.Version, *feed.Manifest) error { return nil }
			late.LoseNext(300 * time.Millisecond)
			return p.Publish(t.Context(), u)
		},
		"restore": restore,
	} {
		before := late.Lost()
		v, err := change(t, in.upload("a@"+name, strings.NewReader("bytes "+name)))
		require.NoError(t, err, name)
		require.Greater(t, late.Lost(), before, name)
		pkg, err := in.db.LoadPackage(t.Context(), in.feed.ID, "a")
		require.NoError(t, err)
		recorded := pkg.Versions[len(pkg.Versions)-1]
		require.Equal(t, []any{name, recorded.Files[0].StorageKey}, []any{v.Key, v.Files[0].StorageKey})
		f := v.Files[0]
		require.NoError(t, in.blobs.Verify(t.Context(), storage.Blob{Key: f.StorageKey, Size: f.Size, Digests: f.Digests}, nil), name)
	}
}

// TestReplaceMeanwhile: a version that is being replaced is there all the time.
func TestReplaceMeanwhile(t *testing.T) {
	t.Parallel()
	in, p, _ := onPostgres(t)
	server, err := sql.Open("pgx", in.path)
	require.NoError(t, err)
	defer server.Close()
	_, err = p.Publish(t.Context(), in.upload("a@1", strings.NewReader("one")))
	require.NoError(t, err)
	inside, goOn, replaced := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	u := in.upload("a@1", strings.NewReader("two"))
	u.Replace = func(*proget.Version, *feed.Manifest) error {
		close(inside)
		<-goOn
		return nil
	}
	go func() {
		_, err := p.Publish(t.Context(), u)
		replaced <- err
	}()
	<-inside
	unlisted := make(chan error, 1)
	go func() {
		unlisted <- p.SetStatus(t.Context(), feed.Ref{Feed: in.feed, NameKey: "a", VersionKey: "1"}, ann, func(st *proget.Status) { st.Listed = false })
	}()
	waiting := func() (n int) {
		_ = server.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
		return n
	}
	require.Eventually(t, func() bool { return waiting() > 0 }, 10*time.Second, 10*time.Millisecond)
	close(goOn)
	require.NoError(t, <-replaced)
	require.NoError(t, <-unlisted)
	pkg, err := in.db.LoadPackage(t.Context(), in.feed.ID, "a")
	require.NoError(t, err)
	require.False(t, pkg.Versions[0].Status.Listed)
}

// TestMendByParts: an upload in parts whose bytes are there, in an object that is lost,
// does not refer to that.
func TestMendByParts(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	p := in.publisher(t)
	v, err := p.Publish(t.Context(), in.upload("a@1", strings.NewReader("bytes")))
	require.NoError(t, err)
	require.NoError(t, in.blobs.Delete(t.Context(), v.Files[0].StorageKey))
	keys, err := auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	uploads := upload.New(in.db, storage.NewSet(in.blobs, nil), keys, nil)
	r := feed.UploadRef{Feed: in.feed, Scope: "s", ID: "1"}
	require.NoError(t, uploads.Begin(t.Context(), r, ann, proget.MD5, proget.SHA1, proget.SHA512))
	_, err = uploads.Append(t.Context(), r, 0, strings.NewReader("bytes"))
	require.NoError(t, err)
	stored, err := uploads.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err)
	u := in.upload("a@2", nil)
	u.Stored = &stored
	v, err = p.Publish(t.Context(), u)
	require.NoError(t, err)
	require.Equal(t, stored.Key, v.Files[0].StorageKey)
	require.NoError(t, uploads.Cancel(t.Context(), r))
	require.NoError(t, in.blobs.Verify(t.Context(), storage.Blob{Key: v.Files[0].StorageKey, Size: stored.Size, Digests: stored.Digests}, nil))
}
