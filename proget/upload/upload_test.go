package upload_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha512"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/proget/upload"
	"github.com/proget-go/ha/storage"
)

var (
	ann  = proget.Principal{User: "ann"}
	dark = slog.New(slog.DiscardHandler)
)

// An installation is a database and a storage; each server has its own view of
// the first.
type installation struct {
	path   string
	folder string // of the objects
	blobs  *storage.Store
	db     *db.Store
	keys   *auth.Keyring
	feed   *proget.Feed
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{path: filepath.Join(t.TempDir(), "test.db"), folder: filepath.Join(t.TempDir(), "packages"), feed: &proget.Feed{Name: "main", Type: "plain", Active: true}}
	var err error
	in.keys, err = auth.ParseKeyring(auth.NewEncryptionKey())
	require.NoError(t, err)
	in.blobs, err = storage.OpenFolder(in.folder, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.blobs.Close() })
	in.db = in.store(t)
	require.NoError(t, in.db.Administer(t.Context(), "test", func(tx *db.Tx) error { return tx.CreateFeed(t.Context(), in.feed) }))
	return in
}

func (in *installation) store(t *testing.T) *db.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), in.path, &db.Options{Logger: dark})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// server returns the uploads as one more server sees them.
func (in *installation) server(t *testing.T, opts upload.Options) *upload.Uploads {
	t.Helper()
	opts.Logger = dark
	return upload.New(in.store(t), storage.NewSet(in.blobs, nil), in.keys, &opts)
}

// begin begins an upload.
func (in *installation) begin(t *testing.T, u *upload.Uploads, algorithms ...proget.Algorithm) feed.UploadRef {
	t.Helper()
	r := feed.UploadRef{Feed: in.feed, Scope: "repository", ID: rand.Text()}
	require.NoError(t, u.Begin(t.Context(), r, ann, algorithms...))
	return r
}

// offer offers an upload.
func (in *installation) offer(t *testing.T, u *upload.Uploads, algorithms ...proget.Algorithm) feed.UploadRef {
	t.Helper()
	r := feed.UploadRef{Feed: in.feed, Scope: "repository", ID: rand.Text()}
	var err error
	r.Offer, err = u.Offer(r, ann, algorithms...)
	require.NoError(t, err)
	return r
}

func (in *installation) objects(t *testing.T) (keys []string) {
	t.Helper()
	for o, err := range in.blobs.List(t.Context(), "") {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	return keys
}

// collect gives up all uploads and frees what they left, without grace.
func (in *installation) collect(t *testing.T) {
	t.Helper()
	require.NoError(t, upkeep.NewUploadCleaner(in.db, -time.Minute).Work(t.Context(), new(proget.Job), new(indexing.Progress)))
	c := upkeep.NewCollector(in.db, storage.NewSet(in.blobs, nil), &upkeep.CollectorOptions{Grace: -time.Minute, Logger: dark})
	require.NoError(t, c.Work(t.Context(), new(proget.Job), new(indexing.Progress)))
}

func (in *installation) requireContent(t *testing.T, b storage.Blob, want string) {
	t.Helper()
	require.EqualValues(t, len(want), b.Size)
	require.NoError(t, in.blobs.Verify(t.Context(), b, nil))
	r, err := in.blobs.Open(t.Context(), b.Key)
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func digests(t *testing.T, content string) proget.Digests {
	t.Helper()
	d := proget.Digests{}
	for _, a := range []proget.Algorithm{proget.SHA256, proget.SHA512} {
		h, err := a.New()
		require.NoError(t, err)
		h.Write([]byte(content))
		d[a] = fmt.Sprintf("%x", h.Sum(nil))
	}
	return d
}

// TestChunksThroughManyServers: each chunk reaches another server.
func TestChunksThroughManyServers(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	servers := make([]*upload.Uploads, 3)
	for i := range servers {
		servers[i] = in.server(t, upload.Options{})
	}
	r := in.begin(t, servers[0], proget.SHA512)
	require.ErrorIs(t, servers[1].Begin(t.Context(), r, ann), proget.ErrConflict)
	var want string
	for n := range 7 {
		chunk := strings.Repeat(fmt.Sprint(n), 1000*n+1)
		size, err := servers[n%3].Append(t.Context(), r, int64(len(want)), strings.NewReader(chunk))
		require.NoError(t, err)
		want += chunk
		require.EqualValues(t, len(want), size)
		size, err = servers[(n+1)%3].Size(t.Context(), r)
		require.NoError(t, err)
		require.EqualValues(t, len(want), size)
	}
	size, err := servers[0].Append(t.Context(), r, int64(len(want)), strings.NewReader(""))
	require.NoError(t, err, "an empty chunk is none")
	require.EqualValues(t, len(want), size)
	wrong := digests(t, "other")
	_, err = servers[1].Finish(t.Context(), r, -1, wrong)
	require.ErrorIs(t, err, proget.ErrInvalid)
	all := digests(t, want)
	all[proget.MD5] = fmt.Sprintf("%x", md5.Sum([]byte(want))) // of which nothing was said before
	b, err := servers[2].Finish(t.Context(), r, -1, all)
	require.NoError(t, err)
	require.Equal(t, all, b.Digests)
	in.requireContent(t, b, want)
	for _, s := range servers { // until somebody has made something of it
		again, err := s.Finish(t.Context(), r, int64(len(want)), all)
		require.NoError(t, err)
		require.Equal(t, []any{b.Key, b.Size, b.Digests}, []any{again.Key, again.Size, again.Digests})
		_, err = s.Append(t.Context(), r, b.Size, strings.NewReader("more"))
		require.ErrorIs(t, err, feed.ErrFinished)
		_, err = s.Finish(t.Context(), r, -1, wrong)
		require.ErrorIs(t, err, proget.ErrInvalid)
	}
	require.NoError(t, servers[0].Cancel(t.Context(), r))
	for _, s := range servers {
		_, err = s.Size(t.Context(), r)
		require.ErrorIs(t, err, proget.ErrNotFound)
		_, err = s.Finish(t.Context(), r, -1, nil)
		require.ErrorIs(t, err, proget.ErrNotFound)
	}
}

// TestOneChunk: what came in one chunk is not copied to be finished.
func TestOneChunk(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	u := in.server(t, upload.Options{})
	r := in.begin(t, u)
	_, err := u.Append(t.Context(), r, 0, strings.NewReader("all of it"))
	require.NoError(t, err)
	before := in.objects(t)
	b, err := u.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err)
	require.Equal(t, []string{b.Key}, before)
	require.Equal(t, before, in.objects(t))
	in.requireContent(t, b, "all of it")
	empty := in.begin(t, u)
	b, err = u.Finish(t.Context(), empty, -1, nil)
	require.NoError(t, err)
	in.requireContent(t, b, "")
}

// TestWrongChunks: a chunk that comes twice, early, late or in half changes
// nothing.
func TestWrongChunks(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	u := in.server(t, upload.Options{MaxSize: 10})
	r := in.begin(t, u)
	_, err := u.Append(t.Context(), r, 0, strings.NewReader("first"))
	require.NoError(t, err)
	for _, offset := range []int64{0, 3, 6} {
		size, err := u.Append(t.Context(), r, offset, strings.NewReader("again"))
		wrong, ok := errors.AsType[*feed.OffsetError](err)
		require.True(t, ok, "%v", err)
		require.EqualValues(t, 5, wrong.Size)
		require.EqualValues(t, 5, size)
		require.ErrorIs(t, err, proget.ErrInvalid)
	}
	_, err = u.Append(t.Context(), r, 5, io.MultiReader(strings.NewReader("ha"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, proget.ErrInvalid, "it is the client who broke off")
	_, err = u.Append(t.Context(), r, 5, iotest.ErrReader(proget.Errorf(proget.ErrDenied, "Not that one.")))
	require.ErrorIs(t, err, proget.ErrDenied)
	require.Equal(t, "Not that one.", proget.Message(err))
	_, err = u.Append(t.Context(), r, 5, strings.NewReader("too long"))
	require.ErrorIs(t, err, proget.ErrTooLarge)
	for name, other := range map[string]feed.UploadRef{
		"id":    {Feed: in.feed, Scope: r.Scope, ID: "other"},
		"scope": {Feed: in.feed, Scope: "other", ID: r.ID},
		"feed":  {Feed: &proget.Feed{ID: 77}, Scope: r.Scope, ID: r.ID},
	} {
		_, err = u.Append(t.Context(), other, 5, strings.NewReader("x"))
		require.ErrorIs(t, err, proget.ErrNotFound, name)
	}
	require.Len(t, in.objects(t), 1)
	size, err := u.Append(t.Context(), r, -1, strings.NewReader(" rest"))
	require.NoError(t, err)
	require.EqualValues(t, 10, size)
	_, err = u.Append(t.Context(), r, 10, strings.NewReader("x"))
	require.ErrorIs(t, err, proget.ErrTooLarge, "the last chunk ended where the upload must")
	size, err = u.Append(t.Context(), r, 10, strings.NewReader(""))
	require.NoError(t, err)
	require.EqualValues(t, 10, size)
	b, err := u.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err)
	in.requireContent(t, b, "first rest")
	require.Len(t, in.objects(t), 3, "two parts and the whole")
}

// TestChunkAfterTheEnd: a chunk that was still on its way when another server finished
// the upload is refused, and changes nothing.
func TestChunkAfterTheEnd(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	a, b := in.server(t, upload.Options{}), in.server(t, upload.Options{})
	r := in.begin(t, a)
	_, err := a.Append(t.Context(), r, 0, strings.NewReader("abc"))
	require.NoError(t, err)
	body, client := io.Pipe()
	late := make(chan error, 1)
	go func() {
		_, err := a.Append(t.Context(), r, 3, body)
		late <- err
	}()
	_, err = client.Write([]byte("x")) // it is read: the upload was not finished when a looked
	require.NoError(t, err)
	blob, err := b.Finish(t.Context(), r, 3, nil)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	err = <-late
	require.ErrorIs(t, err, feed.ErrFinished)
	require.ErrorIs(t, err, proget.ErrInvalid)
	again, err := b.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err)
	require.Equal(t, blob, again)
	require.Len(t, in.objects(t), 1)
}

// TestManyParts: an upload has so many parts and no more, in order or not, and one
// that is refused leaves nothing in storage.
func TestManyParts(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	u := in.server(t, upload.Options{})
	r := in.begin(t, u)
	_, err := u.Append(t.Context(), r, 0, strings.NewReader("x"))
	require.NoError(t, err)
	raw, err := sql.Open("sqlite", in.path)
	require.NoError(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(), fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO upload_part (upload_key, part_offset, size, blob_id) SELECT upload_key, 1000 + i, 1, blob_id FROM upload_part, n`, db.MaxParts-2))
	require.NoError(t, err)
	_, err = u.Append(t.Context(), r, 1, strings.NewReader("y"))
	require.NoError(t, err, "the last that it may have")
	_, err = u.Append(t.Context(), r, 2, strings.NewReader("z"))
	require.ErrorIs(t, err, proget.ErrInvalid)
	require.ErrorIs(t, u.PutPart(t.Context(), r, 100, 1, strings.NewReader("z")), proget.ErrInvalid)
	require.Len(t, in.objects(t), 2)
}

// TestSameChunkAtOnce: of several servers that take the same chunk at the same
// moment, one has it.
func TestSameChunkAtOnce(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	first := in.server(t, upload.Options{})
	r := in.begin(t, first)
	var wins, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range 6 {
		u := in.server(t, upload.Options{})
		all.Go(func() {
			_, err := u.Append(context.WithoutCancel(t.Context()), r, 0, strings.NewReader(fmt.Sprint("chunk ", n)))
			mu.Lock()
			defer mu.Unlock()
			if _, ok := errors.AsType[*feed.OffsetError](err); ok {
				refused++
			} else if err == nil {
				wins++
			}
		})
	}
	all.Wait()
	require.Equal(t, []int{1, 5}, []int{wins, refused})
	require.Len(t, in.objects(t), 1)
	b, err := first.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err)
	require.NoError(t, in.blobs.Verify(t.Context(), b, nil))
}

// TestParts: parts may come in any order, each once.
func TestParts(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	a, b := in.server(t, upload.Options{MaxSize: 100}), in.server(t, upload.Options{MaxSize: 100})
	r := in.begin(t, a)
	require.NoError(t, a.PutPart(t.Context(), r, 10, 5, strings.NewReader("third")))
	require.NoError(t, b.PutPart(t.Context(), r, 0, 4, strings.NewReader("one ")))
	_, err := b.Finish(t.Context(), r, -1, nil)
	require.ErrorIs(t, err, proget.ErrInvalid)
	require.Contains(t, proget.Message(err), "from 4 to 9")
	for _, wrong := range []struct {
		offset, size int64
		body         string
	}{{9, 2, "xx"}, {11, 5, "third"}, {0, 100, strings.Repeat("x", 100)}, {4, 6, "short"}, {4, 6, "too long"}, {-1, 2, "xx"}, {4, 0, ""}, {90, 20, "x"}} {
		err := b.PutPart(t.Context(), r, wrong.offset, wrong.size, strings.NewReader(wrong.body))
		require.True(t, errors.Is(err, proget.ErrInvalid) || errors.Is(err, proget.ErrTooLarge), "%+v: %v", wrong, err)
	}
	require.Len(t, in.objects(t), 2, "what was refused is gone")
	require.NoError(t, b.PutPart(t.Context(), r, 10, 5, strings.NewReader("third")), "its answer was lost")
	require.Len(t, in.objects(t), 2)
	require.NoError(t, b.PutPart(t.Context(), r, 4, 6, strings.NewReader("second")))
	_, err = a.Finish(t.Context(), r, 20, nil)
	require.ErrorIs(t, err, proget.ErrInvalid, "the last part is missing")
	blob, err := a.Finish(t.Context(), r, -1, proget.Digests{proget.SHA256: digests(t, "one secondthird")[proget.SHA256]})
	require.NoError(t, err)
	in.requireContent(t, blob, "one secondthird")

	err = b.PutPart(t.Context(), r, 15, 4, strings.NewReader("late"))
	require.ErrorIs(t, err, feed.ErrFinished)
	require.ErrorIs(t, err, proget.ErrInvalid)
	again, err := b.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err)
	require.Equal(t, blob.Key, again.Key)
	require.Len(t, in.objects(t), 4, "three parts and the whole")
}

// TestPartCutShort: parts that storage has not kept whole become no file.
func TestPartCutShort(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	u := in.server(t, upload.Options{})
	for _, ordered := range []bool{true, false} {
		r := in.begin(t, u)
		for i, body := range []string{"first", "second"} {
			before := in.objects(t)
			if offset := int64(5 * i); ordered {
				_, err := u.Append(t.Context(), r, offset, strings.NewReader(body))
				require.NoError(t, err)
			} else {
				require.NoError(t, u.PutPart(t.Context(), r, offset, int64(len(body)), strings.NewReader(body)))
			}
			for _, key := range in.objects(t) {
				if i == 0 && !slices.Contains(before, key) {
					require.NoError(t, os.Truncate(filepath.Join(in.folder, filepath.FromSlash(key)), 2))
				}
			}
		}
		before := in.objects(t)
		_, err := u.Finish(t.Context(), r, 11, nil)
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.ErrorIs(t, err, storage.ErrDamaged)
		require.Equal(t, before, in.objects(t), "what was joined is gone")
	}
}

// TestAbandoned: parts under way are kept; what was canceled or left alone goes.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	u := in.server(t, upload.Options{})
	canceled, left := in.begin(t, u), in.begin(t, u)
	for _, r := range []feed.UploadRef{canceled, left} {
		_, err := u.Append(t.Context(), r, 0, strings.NewReader("part"))
		require.NoError(t, err)
	}
	marked, err := in.db.MarkBlobs(t.Context(), 0, 1000, -time.Minute)
	require.NoError(t, err)
	require.Zero(t, marked, "they are needed")
	require.NoError(t, u.Cancel(t.Context(), canceled))
	require.NoError(t, u.Cancel(t.Context(), canceled), "twice")
	marked, err = in.db.MarkBlobs(t.Context(), 0, 1000, -time.Minute)
	require.NoError(t, err)
	require.EqualValues(t, 1, marked)
	in.collect(t)
	require.Empty(t, in.objects(t))
	_, err = u.Append(t.Context(), left, 4, strings.NewReader("more"))
	require.ErrorIs(t, err, proget.ErrNotFound)
	require.Empty(t, in.objects(t))
}

// TestPublishStored: what was uploaded becomes a package without another copy.
func TestPublishStored(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	same := func(s string) string { return s }
	typ := feed.Type{Name: "plain", NameKey: same, VersionKey: same, Inspect: func(context.Context, feed.File) (*feed.Manifest, error) {
		return &feed.Manifest{Name: "a", Version: "1", FileName: "f"}, nil
	}}
	p := publish.New(in.db, storage.NewSet(in.blobs, nil), []feed.Type{typ}, &publish.Options{Logger: dark})
	u := in.server(t, upload.Options{})
	r := in.begin(t, u)
	_, err := u.Append(t.Context(), r, 0, bytes.NewReader(make([]byte, 300_000)))
	require.NoError(t, err)
	b, err := u.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err)
	v, err := p.Publish(t.Context(), feed.Upload{Feed: in.feed, Stored: &b, By: ann})
	require.NoError(t, err)
	require.Equal(t, b.Key, v.Files[0].StorageKey)
	_, err = p.Publish(t.Context(), feed.Upload{Feed: in.feed, Stored: &b, By: ann})
	require.ErrorIs(t, err, proget.ErrConflict)
	in.collect(t)
	require.Equal(t, []string{b.Key}, in.objects(t), "a refused second version does not take it away")
}

// TestKeepWhole: what comes as one chunk with the end is kept at once, or leaves
// nothing; what has begun goes on with it.
func TestKeepWhole(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	u, other := in.server(t, upload.Options{MaxSize: 20}), in.server(t, upload.Options{MaxSize: 20})
	name := feed.UploadRef{Feed: in.feed, Scope: "blobs", ID: "layer"}
	keep := func(r feed.UploadRef, offset int64, body io.Reader) error {
		want := digests(t, "a layer")
		want[proget.SHA512] = sha512Of("a layer") // nobody said at the beginning that it would be asked for
		return other.Keep(t.Context(), r, name, ann, want, offset, body)
	}
	r := in.offer(t, u)
	require.ErrorIs(t, keep(r, -1, strings.NewReader("another")), feed.ErrDigest)
	require.ErrorIs(t, keep(r, -1, strings.NewReader("longer than an upload may be")), proget.ErrTooLarge)
	require.ErrorIs(t, keep(r, -1, iotest.ErrReader(io.ErrUnexpectedEOF)), proget.ErrInvalid)
	var offset *feed.OffsetError
	require.ErrorAs(t, keep(r, 5, strings.NewReader("a layer")), &offset)
	require.ErrorIs(t, u.Keep(t.Context(), r, name, ann, proget.Digests{"md4": "00"}, 0, strings.NewReader("a layer")), proget.ErrInvalid)
	require.ErrorIs(t, keep(r, 0, nil), proget.ErrNotFound, "nothing has come of it")
	require.Empty(t, in.objects(t))
	require.NoError(t, keep(r, 0, strings.NewReader("a layer")))
	f, err := u.Held(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, []string{f.StorageKey}, in.objects(t))
	in.requireContent(t, storage.Blob{Key: f.StorageKey, Size: f.Size, Digests: f.Digests}, "a layer")

	require.NoError(t, keep(r, 0, strings.NewReader("a layer")), "its answer may have been lost")
	again, err := u.Held(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, f, again)
	require.NoError(t, u.Keep(t.Context(), in.offer(t, u), feed.UploadRef{Feed: in.feed, ID: "nothing"}, ann, digests(t, ""), -1, nil), "a file may be empty")

	for _, begun := range []feed.UploadRef{in.begin(t, u), in.offer(t, u)} {
		_, err = u.Append(t.Context(), begun, 0, strings.NewReader("a la"))
		require.NoError(t, err)
		require.ErrorAs(t, keep(begun, 0, strings.NewReader("a layer")), &offset)
		require.NoError(t, keep(begun, 4, strings.NewReader("yer")))
	}
}

// TestOffer: an upload that was offered begins with its first bytes, of those that
// come at once by one; nothing is there before, and another's offer is none.
func TestOffer(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	servers := []*upload.Uploads{in.server(t, upload.Options{}), in.server(t, upload.Options{})}
	r := in.offer(t, servers[0], proget.SHA512)
	size, err := servers[1].Size(t.Context(), r)
	require.NoError(t, err)
	require.Zero(t, size)
	elsewhere := feed.UploadRef{Feed: r.Feed, Scope: "another", ID: r.ID, Offer: r.Offer}
	for name, other := range map[string]feed.UploadRef{
		"no offer":  {Feed: r.Feed, Scope: r.Scope, ID: r.ID},
		"another's": elsewhere,
		"no text":   {Feed: r.Feed, Scope: r.Scope, ID: r.ID, Offer: "." + r.Offer},
	} {
		_, err := servers[1].Size(t.Context(), other)
		require.ErrorIs(t, err, proget.ErrNotFound, name)
		_, err = servers[1].Append(t.Context(), other, 0, strings.NewReader("x"))
		require.ErrorIs(t, err, proget.ErrNotFound, name)
		require.ErrorIs(t, servers[1].Keep(t.Context(), other, elsewhere, ann, nil, 0, strings.NewReader("x")), proget.ErrNotFound, name)
	}
	_, err = servers[0].Append(t.Context(), r, 0, strings.NewReader(""))
	require.NoError(t, err)
	require.Empty(t, in.objects(t))
	_, err = in.db.PurgePartials(t.Context(), -time.Hour)
	require.NoError(t, err)

	var began, late atomic.Int64
	var all errgroup.Group
	for n := range 6 {
		all.Go(func() error {
			size, err := servers[n%2].Append(t.Context(), r, 0, strings.NewReader("a la"))
			switch _, overtaken := errors.AsType[*feed.OffsetError](err); {
			case overtaken && size == 4:
				late.Add(1)
				return nil
			case err == nil:
				began.Add(1)
			}
			return err
		})
	}
	require.NoError(t, all.Wait())
	require.Equal(t, []int64{1, 5}, []int64{began.Load(), late.Load()})
	require.Len(t, in.objects(t), 1)
	r.Offer = ""
	_, err = servers[0].Append(t.Context(), r, -1, strings.NewReader("yer"))
	require.NoError(t, err)
	b, err := servers[1].Finish(t.Context(), r, 7, proget.Digests{proget.SHA512: sha512Of("a layer")})
	require.NoError(t, err)
	in.requireContent(t, b, "a layer")
}

func sha512Of(text string) string {
	sum := sha512.Sum512([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestHold: what was uploaded is kept under a name, without a version, until that
// is given up; a name that keeps it twice keeps it once.
func TestHold(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	u, other := in.server(t, upload.Options{}), in.server(t, upload.Options{})
	r := in.begin(t, u)
	_, err := u.Append(t.Context(), r, 0, strings.NewReader("a layer"))
	require.NoError(t, err)
	name := feed.UploadRef{Feed: in.feed, Scope: "blobs", ID: "layer"}
	_, err = u.Held(t.Context(), name)
	require.ErrorIs(t, err, proget.ErrNotFound)
	sum := digests(t, "a layer")[proget.SHA256]
	require.ErrorIs(t, other.Keep(t.Context(), r, name, ann, digests(t, "another"), 0, nil), proget.ErrInvalid)
	b, err := u.Finish(t.Context(), r, -1, nil)
	require.NoError(t, err, "what was not kept can be tried again")
	require.NoError(t, other.Keep(t.Context(), r, name, ann, digests(t, "a layer"), 0, nil), "whoever finished it may have been interrupted")
	require.ErrorIs(t, u.Keep(t.Context(), r, name, ann, nil, 0, nil), proget.ErrNotFound, "the upload is done")
	for _, u := range []*upload.Uploads{u, other} {
		require.NoError(t, u.Hold(t.Context(), name, ann, sum, b.Size))
	}
	require.ErrorIs(t, u.Hold(t.Context(), name, ann, sum, b.Size+1), proget.ErrNotFound)
	c := upkeep.NewCollector(in.db, storage.NewSet(in.blobs, nil), &upkeep.CollectorOptions{Grace: -time.Minute, Logger: dark})
	require.NoError(t, c.Work(t.Context(), new(proget.Job), new(indexing.Progress)))
	f, err := other.Held(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, []any{b.Key, b.Size, sum}, []any{f.StorageKey, f.Size, f.Digests[proget.SHA256]})
	in.requireContent(t, b, "a layer")
	require.NoError(t, u.Cancel(t.Context(), name))
	_, err = other.Held(t.Context(), name)
	require.ErrorIs(t, err, proget.ErrNotFound)
	in.collect(t)
	require.Empty(t, in.objects(t))
}
