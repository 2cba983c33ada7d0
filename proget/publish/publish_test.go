package publish_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/storage"
)

const maxSize = 1 << 20

var (
	ann  = proget.Principal{User: "ann"}
	dark = slog.New(slog.DiscardHandler)
)

// An installation is a database and a storage with one feed. Its stores and
// publishers share nothing else, like those of several servers.
type installation struct {
	path  string
	blobs *storage.Store
	feed  *proget.Feed
	db    *db.Store // to look at what is there
}

func newInstallation(t *testing.T, bucket string) *installation {
	t.Helper()
	ctx := t.Context()
	in := &installation{path: filepath.Join(t.TempDir(), "test.db"), feed: &proget.Feed{Name: "main", Type: "plain", Active: true}}
	var err error
	in.blobs, err = storage.Open(ctx, bucket, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.blobs.Close() })
	in.db = in.store(t)
	require.NoError(t, in.db.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateFeed(ctx, in.feed) }))
	return in
}

func (in *installation) store(t *testing.T) *db.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), in.path, &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// publisher returns a publisher with a store of its own.
func (in *installation) publisher(t *testing.T, inspect ...func() error) *publish.Publisher {
	t.Helper()
	return publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{plain(inspect...)}, &publish.Options{MaxSize: maxSize, Logger: dark})
}

// plain is a feed type whose packages are any bytes: the upload's name says
// "name@version". Each inspect is called when a file is inspected and may
// refuse it.
func plain(inspect ...func() error) feed.Type {
	return feed.Type{
		Name: "plain", Algorithms: []proget.Algorithm{proget.MD5, proget.SHA1, proget.SHA512},
		NameKey: strings.ToLower, VersionKey: strings.ToLower, CompareVersions: strings.Compare,
		Inspect: func(_ context.Context, f feed.File) (*feed.Manifest, error) {
			for _, fn := range inspect {
				if err := fn(); err != nil {
					return nil, err
				}
			}
			at := strings.LastIndex(f.Name, "@")
			m := &feed.Manifest{Name: f.Name[:at], Version: f.Name[at+1:], FileName: fileName(f.Name), Data: f.Size}
			switch m.Version {
			case "endless":
				m.Data = strings.Repeat("x", feed.MaxManifest)
			case "unspeakable":
				m.Data = func() {}
			}
			return m, nil
		},
	}
}

// fileName is a name for the file of any package.
func fileName(name string) string {
	escaped := url.PathEscape(name)
	return escaped[:min(len(escaped), 100)]
}

// always lets an upload replace whatever is there.
func always(*proget.Version, *feed.Manifest) error { return nil }

// upload is one of "name@version".
func (in *installation) upload(name string, body io.Reader) feed.Upload {
	return feed.Upload{Feed: in.feed, Name: name, Body: body, By: ann}
}

func (in *installation) objects(t *testing.T) (keys []string) {
	t.Helper()
	for o, err := range in.blobs.List(context.WithoutCancel(t.Context()), "") {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	return keys
}

func (in *installation) content(t *testing.T, key string) []byte {
	t.Helper()
	r, err := in.blobs.Open(t.Context(), key)
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

// log returns what the feed's log says.
func (in *installation) log(t *testing.T) (changes []string) {
	t.Helper()
	entries, err := in.db.LogAfter(t.Context(), in.feed.ID, 0, 1000)
	require.NoError(t, err)
	for i, e := range entries {
		require.EqualValues(t, i+1, e.Seq)
		changes = append(changes, fmt.Sprintf("%s %s %s by %s", e.Change, e.PackageKey, e.VersionKey, e.Actor))
	}
	return changes
}

// requireNothing: the database knows of no package and no bytes.
func (in *installation) requireNothing(t *testing.T) {
	t.Helper()
	keys, err := in.db.ListPackageKeys(t.Context(), in.feed.ID, "", 10)
	require.NoError(t, err)
	require.Empty(t, keys)
	count, _, err := in.db.CountBlobs(t.Context())
	require.NoError(t, err)
	require.Zero(t, count)
	require.Empty(t, in.log(t))
}

// totals sums the whole log up as the primary does. It can be asked once.
func (in *installation) totals(t *testing.T) db.FeedStats {
	t.Helper()
	ctx := t.Context()
	heads, err := in.db.Heads(ctx)
	require.NoError(t, err)
	require.NoError(t, in.db.Tx(ctx, func(tx *db.Tx) error { return tx.AddFeedStats(ctx, in.feed.ID, 0, heads[in.feed.ID]) }))
	all, err := in.db.ListFeedStats(ctx)
	require.NoError(t, err)
	return all[in.feed.ID]
}

func TestPublish(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	body := bytes.Repeat([]byte("0123456789"), 40_000) // several buffers
	v, err := in.publisher(t).Publish(t.Context(), in.upload("Acme.Lib@1.0-RC", iotest.OneByteReader(bytes.NewReader(body))))
	require.NoError(t, err)
	require.Equal(t, proget.Digests{
		proget.MD5: fmt.Sprintf("%x", md5.Sum(body)), proget.SHA1: fmt.Sprintf("%x", sha1.Sum(body)),
		proget.SHA256: fmt.Sprintf("%x", sha256.Sum256(body)), proget.SHA512: fmt.Sprintf("%x", sha512.Sum512(body)),
	}, v.Files[0].Digests)
	require.Equal(t, []string{v.Files[0].StorageKey}, in.objects(t), "the bytes land once")
	require.Equal(t, body, in.content(t, v.Files[0].StorageKey))

	p, err := in.db.LoadPackage(t.Context(), in.feed.ID, "acme.lib")
	require.NoError(t, err)
	require.Equal(t, []*proget.Version{v}, p.Versions, "what was answered is what every server reads")
	require.Equal(t, "Acme.Lib", v.Name)
	require.Equal(t, "1.0-rc", v.Key)
	require.JSONEq(t, "400000", string(v.Manifest))
	require.True(t, v.Status.Listed)
	require.Equal(t, []string{"published acme.lib 1.0-rc by ann"}, in.log(t))
	require.Equal(t, db.FeedStats{Packages: 1, Versions: 1, Bytes: 400_000}, in.totals(t))
}

func TestSameBytesAreStoredOnce(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	p := in.publisher(t)
	first, err := p.Publish(t.Context(), in.upload("a@1", strings.NewReader("same")))
	require.NoError(t, err)
	second, err := p.Publish(t.Context(), in.upload("b@1", strings.NewReader("same")))
	require.NoError(t, err)
	require.Equal(t, first.Files[0].StorageKey, second.Files[0].StorageKey)
	require.Equal(t, []string{first.Files[0].StorageKey}, in.objects(t), "the second copy is gone again")
}

// TestSameBytesMend: an upload whose bytes are stored already, but not as they
// were, takes their place, for every version that refers to them.
func TestSameBytesMend(t *testing.T) {
	t.Parallel()
	for damage, do := range map[string]func(file string) error{
		"missing":   os.Remove,
		"cut short": func(file string) error { return os.Truncate(file, 2) },
		"altered":   func(file string) error { return os.WriteFile(file, []byte("none"), 0o600) },
	} {
		t.Run(damage, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			in := newInstallation(t, "file:///"+strings.TrimPrefix(filepath.ToSlash(folder), "/"))
			p := in.publisher(t)
			first, err := p.Publish(t.Context(), in.upload("a@1", strings.NewReader("same")))
			require.NoError(t, err)
			require.NoError(t, do(filepath.Join(folder, filepath.FromSlash(first.Files[0].StorageKey))))
			second, err := p.Publish(t.Context(), in.upload("b@1", strings.NewReader("same")))
			require.NoError(t, err)
			require.NotEqual(t, first.Files[0].StorageKey, second.Files[0].StorageKey)
			for _, key := range []string{"a", "b"} {
				p, err := in.db.LoadPackage(t.Context(), in.feed.ID, key)
				require.NoError(t, err)
				require.Equal(t, "same", string(in.content(t, p.Versions[0].Files[0].StorageKey)), key)
			}
			third, err := p.Publish(t.Context(), in.upload("c@1", strings.NewReader("same")))
			require.NoError(t, err)
			require.Equal(t, second.Files[0].StorageKey, third.Files[0].StorageKey, "it is whole now")
		})
	}
}

// TestOneOfManyWins: of many pushes of one version through two servers one is
// accepted, the others are conflicts and leave nothing behind.
func TestOneOfManyWins(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func(n int) string{
		"different bytes": func(n int) string { return fmt.Sprint("body ", n) },
		"same bytes":      func(int) string { return "body" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t, "mem:")
			publishers := []*publish.Publisher{in.publisher(t), in.publisher(t)}
			const pushes = 16
			versions, errs := make([]*proget.Version, pushes), make([]error, pushes)
			var all sync.WaitGroup
			for n := range pushes {
				all.Go(func() {
					versions[n], errs[n] = publishers[n%2].Publish(t.Context(), in.upload("Acme@1", strings.NewReader(body(n))))
				})
			}
			all.Wait()
			winner := -1
			for n, err := range errs {
				if err == nil {
					require.Equal(t, -1, winner, "a second push was accepted")
					winner = n
					continue
				}
				require.ErrorIs(t, err, proget.ErrConflict)
				require.Contains(t, proget.Message(err), "Acme 1 already exists in feed main")
			}
			require.NotEqual(t, -1, winner)
			key := versions[winner].Files[0].StorageKey
			require.Equal(t, []string{key}, in.objects(t), "only the winner's object stays")
			require.Equal(t, body(winner), string(in.content(t, key)))
			require.Equal(t, []string{"published acme 1 by ann"}, in.log(t))
		})
	}
}

// TestRefusals: what is not accepted leaves nothing behind, neither in storage
// nor in the database.
func TestRefusals(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	body := func() io.Reader { return strings.NewReader("body") }
	for name, c := range map[string]struct {
		upload  feed.Upload
		inspect error
		want    error
		message string // that the client sees
	}{
		"not a package":       {upload: feed.Upload{Name: "a@1", Body: body()}, inspect: proget.Errorf(proget.ErrInvalid, "not a package"), want: proget.ErrInvalid, message: "not a package"},
		"another than wanted": {upload: feed.Upload{Name: "a@1", Body: body(), Check: func(*feed.Manifest) error { return proget.Errorf(proget.ErrInvalid, "not a 2") }}, want: proget.ErrInvalid, message: "not a 2"},
		"too large":           {upload: feed.Upload{Name: "a@1", Body: bytes.NewReader(make([]byte, maxSize+1))}, want: proget.ErrTooLarge, message: "larger than 1 MiB,"},
		"cut off": {upload: feed.Upload{Name: "a@1", Body: io.MultiReader(bytes.NewReader(make([]byte, maxSize/2)), iotest.ErrReader(broken))},
			want: broken, message: "send it again"},
		"cut off, as HTTP says it": {upload: feed.Upload{Name: "a@1", Body: io.MultiReader(body(), iotest.ErrReader(io.ErrUnexpectedEOF))}, want: proget.ErrInvalid, message: "send it again"},
		"refused by its reader":    {upload: feed.Upload{Name: "a@1", Body: io.MultiReader(body(), iotest.ErrReader(proget.Errorf(proget.ErrDenied, "not that one")))}, want: proget.ErrDenied, message: "not that one"},
		"manifest too large":       {upload: feed.Upload{Name: "a@endless", Body: body()}, want: proget.ErrInvalid, message: "manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t, "mem:")
			c.upload.Feed, c.upload.By = in.feed, ann
			_, err := in.publisher(t, func() error { return c.inspect }).Publish(t.Context(), c.upload)
			require.ErrorIs(t, err, c.want)
			require.Contains(t, proget.Message(err), c.message)
			require.Empty(t, in.objects(t))
			in.requireNothing(t)
		})
	}
}

// TestInternalErrors: a defect of a feed type leaves nothing behind either, and
// its text is for the log alone.
func TestInternalErrors(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	for _, u := range []feed.Upload{
		in.upload("a@unspeakable", strings.NewReader("body")),
		{Feed: &proget.Feed{Name: "other", Type: "unknown"}, Body: strings.NewReader("body")},
	} {
		_, err := in.publisher(t).Publish(t.Context(), u)
		require.Error(t, err)
		require.Empty(t, proget.Message(err))
	}
	require.Empty(t, in.objects(t))
	in.requireNothing(t)
}

// TestLargestIsAccepted: the limit itself is within it.
func TestLargestIsAccepted(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	for size, name := range map[int]string{0: "a@empty", maxSize: "a@largest"} {
		v, err := in.publisher(t).Publish(t.Context(), in.upload(name, bytes.NewReader(make([]byte, size))))
		require.NoError(t, err)
		require.EqualValues(t, size, v.Files[0].Size)
	}
}

// trap calls fn once, at the first Read.
type trap struct {
	fn func()
	r  io.Reader
}

func (t *trap) Read(b []byte) (int, error) {
	if t.fn != nil {
		t.fn()
		t.fn = nil
	}
	return t.r.Read(b)
}

func TestCanceledUpload(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(bytes.NewReader(make([]byte, maxSize/2)), &trap{cancel, bytes.NewReader(make([]byte, maxSize/4))})
	_, err := in.publisher(t).Publish(ctx, in.upload("a@1", body))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, in.objects(t), "it is removed although the request is over")
	in.requireNothing(t)
}

func TestStorageFails(t *testing.T) {
	t.Parallel()
	refused := proget.Errorf(proget.ErrInvalid, "not a package")
	for name, test := range map[string]func(t *testing.T, in *installation, folder string) error{
		"before the upload": func(t *testing.T, in *installation, _ string) error {
			require.NoError(t, in.blobs.Close())
			_, err := in.publisher(t).Publish(t.Context(), in.upload("a@1", strings.NewReader("body")))
			require.NotErrorIs(t, err, proget.ErrInvalid, "it is not the client's fault")
			return err
		},
		"during the upload": func(t *testing.T, in *installation, folder string) error {
			unmount := func() { require.NoError(t, os.RemoveAll(folder)) }
			body := io.MultiReader(bytes.NewReader(make([]byte, maxSize/2)), &trap{unmount, strings.NewReader("rest")})
			_, err := in.publisher(t).Publish(t.Context(), in.upload("a@1", body))
			require.NotErrorIs(t, err, proget.ErrInvalid, "it is not the client's fault")
			return err
		},
		"after the upload": func(t *testing.T, in *installation, _ string) error {
			p := in.publisher(t, in.blobs.Close, func() error { return refused })
			_, err := p.Publish(t.Context(), in.upload("a@1", strings.NewReader("body")))
			require.ErrorIs(t, err, refused, "that the object could not be removed does not hide why")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "packages")
			in := newInstallation(t, "file:///"+strings.TrimPrefix(filepath.ToSlash(folder), "/"))
			require.Error(t, test(t, in, folder))
			in.requireNothing(t)
		})
	}
}

// TestDatabaseFails: the bytes of a version that was certainly not recorded
// are removed.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	store := in.store(t)
	p := publish.New(store, storage.NewSet(in.blobs, nil), []feed.Type{plain(store.Close)}, &publish.Options{Logger: dark})
	_, err := p.Publish(t.Context(), in.upload("a@1", strings.NewReader("body")))
	require.Error(t, err)
	require.Empty(t, in.objects(t))
	in.requireNothing(t)
}

// TestHostileNames: whatever a package calls itself is kept to the letter and
// leads nowhere.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, "mem:")
	p := in.publisher(t)
	names := []string{".", "../../../etc/passwd", `..\..\windows`, "/", "a/b", "c:nul", "a\r\nSet-Cookie: x", "'; DROP TABLE package; --",
		`"><script>alert(1)</script>`, "%s%n%2e%2e%2f", "@now", "日本語\u202egpj", strings.Repeat("x", feed.MaxName)}
	for _, name := range names {
		v, err := p.Publish(t.Context(), in.upload(name+"@1", strings.NewReader(name)))
		require.NoError(t, err, "%q", name)
		loaded, err := in.db.LoadPackage(t.Context(), in.feed.ID, strings.ToLower(name))
		require.NoError(t, err, "%q", name)
		require.Equal(t, []*proget.Version{v}, loaded.Versions)
		require.Equal(t, name, loaded.Name)
		require.Regexp(t, `^blobs/[0-9a-f/]+$`, v.Files[0].StorageKey, "no name is part of a key")
		require.Equal(t, name, string(in.content(t, v.Files[0].StorageKey)))
	}
	for _, name := range []string{"a\x00b", "\xff", strings.Repeat("x", feed.MaxName+1)} { // which not every database keeps
		_, err := p.Publish(t.Context(), in.upload(name+"@1", strings.NewReader(name)))
		require.ErrorIs(t, err, proget.ErrInvalid, "%q", name)
	}
	require.Len(t, in.objects(t), len(names))
}

// TestFaultyManifest: what a feed type must not make of a file is its own fault, not the client's, and is not stored.
func TestFaultyManifest(t *testing.T) {
	t.Parallel()
	manifest := func(change func(*feed.Manifest)) *feed.Manifest {
		m := &feed.Manifest{Name: "a", Version: "1", FileName: "a-1"}
		change(m)
		return m
	}
	named := func(name string) *feed.Manifest { return manifest(func(m *feed.Manifest) { m.FileName = name }) }
	for name, m := range map[string]*feed.Manifest{
		"nothing":      nil,
		"no name":      manifest(func(m *feed.Manifest) { m.Name = "" }),
		"no version":   manifest(func(m *feed.Manifest) { m.Version = "" }),
		"no file name": named(""),
		"a folder":     named("a/b"), "up": named(".."), "a line": named("x\r\nSet-Cookie: a=b"), "NUL": named("a\x00"), "bytes": named("a\xff"),
		"a file beside it": manifest(func(m *feed.Manifest) { m.Refers = []proget.File{{Name: "../b"}} }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t, "mem:")
			typ := plain()
			typ.Inspect = func(context.Context, feed.File) (*feed.Manifest, error) { return m, nil }
			p := publish.New(in.store(t), storage.NewSet(in.blobs, nil), []feed.Type{typ}, &publish.Options{Logger: dark})
			u := in.upload("a@1", strings.NewReader("body"))
			u.Check = func(m *feed.Manifest) error { m.Tags = nil; return nil }
			_, err := p.Publish(t.Context(), u)
			require.ErrorContains(t, err, "feed type plain")
			require.Empty(t, proget.Message(err), "to the client it is an internal error")
			require.Empty(t, in.objects(t))
			in.requireNothing(t)
		})
	}
}
