package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
)

// RunFaults tests a store whose bucket fails. newBucket opens an empty bucket to which
// nobody else writes; RunFaults closes it.
func RunFaults(t *testing.T, newBucket func(t *testing.T) *blob.Bucket) {
	for _, task := range tasks {
		t.Run(task.name, func(t *testing.T) {
			t.Parallel()
			testEachFault(t, newFaultWorld(t, newBucket(t)), task)
		})
	}
	cases := []struct {
		name string
		run  func(t *testing.T, w *faultWorld)
	}{
		{"BucketIsGone", testBucketIsGone},
		{"RemovalFailsToo", testRemovalFailsToo},
		{"ShortWrite", testShortWrite},
		{"ShortReads", testShortReads},
		{"ReadEndsInTheMiddle", testReadEndsInTheMiddle},
		{"Vanished", testVanished},
		{"HalfAcknowledged", testHalfAcknowledged},
		{"Hangs", testHangs},
		{"NoRoom", testNoRoom},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newFaultWorld(t, newBucket(t)))
		})
	}
}

// faultWorld is a store that fails at times, with what it must hold.
type faultWorld struct {
	bucket *faulty.Bucket
	store  *storage.Store
	blobs  map[string]storage.Blob // what Put has acknowledged
	bytes  map[string][]byte
	read   map[string]bool // objects whose bytes were checked since they were written
}

func newFaultWorld(t *testing.T, bucket *blob.Bucket) *faultWorld {
	w := &faultWorld{bucket: faulty.New(bucket), blobs: map[string]storage.Blob{}, bytes: map[string][]byte{}, read: map[string]bool{}}
	w.store = storage.New(blob.NewBucket(w.bucket), nil)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	return w
}

// put stores an object in three writes.
func (w *faultWorld) put(ctx context.Context) error {
	content := randomBytes(300_000 + len(w.blobs))
	b, err := w.store.Put(ctx, bytes.NewReader(content), nil)
	if err == nil {
		w.blobs[b.Key], w.bytes[b.Key] = b, content
	}
	return err
}

// some returns one of the objects.
func (w *faultWorld) some() storage.Blob {
	return w.blobs[slices.Min(slices.Collect(maps.Keys(w.blobs)))]
}

// check asserts that storage holds what was acknowledged, and nothing else. It reads
// the objects that it has not read before.
func (w *faultWorld) check(t *testing.T, during string) {
	t.Helper()
	require.Equal(t, slices.Sorted(maps.Keys(w.blobs)), keys(t, w.store, storage.BlobPrefix), during)
	for key, content := range w.bytes {
		if w.read[key] {
			continue
		}
		w.read[key] = true
		got, err := read(t.Context(), w.store, key)
		require.NoError(t, err, during)
		require.True(t, bytes.Equal(content, got), "%s: content of %s differs", during, key)
	}
}

func read(ctx context.Context, s *storage.Store, key string) ([]byte, error) {
	r, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// A task is an operation on storage. It returns storage's error, or its own if storage
// returned a wrong result without an error.
type task struct {
	name string
	run  func(ctx context.Context, w *faultWorld) error
}

var errWrong = errors.New("storage gave a wrong answer")

var tasks = []task{
	{"Put", func(ctx context.Context, w *faultWorld) error { return w.put(ctx) }},
	{"Read", func(ctx context.Context, w *faultWorld) error {
		b := w.some()
		content, err := read(ctx, w.store, b.Key)
		return verdict(err, bytes.Equal(content, w.bytes[b.Key]))
	}},
	{"ReadAt", func(ctx context.Context, w *faultWorld) error {
		b := w.some()
		r, err := w.store.ReaderAt(ctx, b.Key)
		if err != nil {
			return err
		}
		defer r.Close()
		p := make([]byte, 1000)
		_, err = r.ReadAt(p, 200_000)
		return verdict(err, bytes.Equal(p, w.bytes[b.Key][200_000:201_000]))
	}},
	{"Verify", func(ctx context.Context, w *faultWorld) error { return w.store.Verify(ctx, w.some(), nil) }},
	{"Delete", func(ctx context.Context, w *faultWorld) error {
		if err := w.put(ctx); err != nil {
			return err
		}
		b := w.some()
		err := w.store.Delete(ctx, b.Key)
		if _, rerr := read(context.WithoutCancel(ctx), w.store, b.Key); err == nil || errors.Is(rerr, proget.ErrNotFound) {
			delete(w.blobs, b.Key)
			delete(w.bytes, b.Key)
		}
		return err
	}},
	{"List", func(ctx context.Context, w *faultWorld) error {
		n := 0
		for _, err := range w.store.List(ctx, storage.BlobPrefix) {
			if err != nil {
				return err
			}
			n++
		}
		return verdict(nil, n == len(w.blobs))
	}},
	{"Probe", func(ctx context.Context, w *faultWorld) error {
		p, err := w.store.NewProbe(ctx, "web-1")
		if err != nil {
			return err
		}
		return errors.Join(w.store.CheckProbe(ctx, p), w.store.Delete(ctx, p.Key))
	}},
	{"CheckWritable", func(ctx context.Context, w *faultWorld) error { return w.store.CheckWritable(ctx, "web-1") }},
}

func verdict(err error, right bool) error {
	if err == nil && !right {
		return errWrong
	}
	return err
}

// faultKinds are the errors that storage fails with, and what callers see.
var faultKinds = []struct{ err, kind error }{
	{faulty.ErrNoSpace, proget.ErrNoSpace},
	{faulty.ErrStale, proget.ErrUnavailable},
	{faulty.ErrIO, proget.ErrUnavailable},
	{faulty.ErrDenied, proget.ErrUnavailable},
	{faulty.ErrReadOnly, proget.ErrUnavailable},
}

// testEachFault lets each call of each operation fail once, in each way.
func testEachFault(t *testing.T, w *faultWorld, do task) {
	require.NoError(t, w.put(t.Context()))
	met := 0
	for i, kind := range faultKinds {
		for _, op := range faulty.Ops {
			for effect := faulty.Refuse; effect <= faulty.Tear; effect++ {
				if i > 0 && effect > faulty.Refuse && kind.err != faulty.ErrIO {
					continue // the effect does not depend on the error
				}
				met += eachCall(t, w, do, faulty.Fault{Op: op, Err: kind.err, Effect: effect}, kind.kind)
			}
		}
	}
	require.NotZero(t, met, "no fault was met")
	clear(w.read)
	w.check(t, "in the end")
}

// eachCall makes the first, the second and each further call of the task fail, and
// returns how many there were.
func eachCall(t *testing.T, w *faultWorld, do task, f faulty.Fault, kind error) (met int) {
	for f.Nth = 1; ; f.Nth++ {
		during := fmt.Sprintf("%s, call %d of %s, effect %d, %v", do.name, f.Nth, f.Op, f.Effect, f.Err)
		w.bucket.Inject(f)
		err := do.run(t.Context(), w)
		fired := w.bucket.Fired() > 0
		w.bucket.Clear()
		if err != nil {
			requireKind(t, err, kind, during)
		}
		if f.Op != faulty.Delete { // otherwise what it should have removed may remain
			w.check(t, during)
		}
		if !fired {
			require.NoError(t, err, during)
			return met
		}
		met++
		require.NoError(t, do.run(t.Context(), w), "once more after %s", during)
		w.check(t, "after "+during)
	}
}

// requireKind asserts that an error is of one kind only, and safe to show to clients.
func requireKind(t *testing.T, err, kind error, during string) {
	t.Helper()
	require.ErrorIs(t, err, kind, during)
	for _, other := range []error{proget.ErrNotFound, proget.ErrNoSpace, proget.ErrUnavailable, storage.ErrDamaged, storage.ErrNotShared} {
		if other != kind {
			require.NotErrorIs(t, err, other, during)
		}
	}
	require.NotEmpty(t, proget.Message(err), during)
	require.NotContains(t, proget.Message(err), "/", "%s: a path", during)
}

// testBucketIsGone: a write that reports "not found" means the bucket, not the object.
func testBucketIsGone(t *testing.T, w *faultWorld) {
	for _, op := range []faulty.Op{faulty.Create, faulty.Write, faulty.Close} {
		w.bucket.Inject(faulty.Fault{Op: op, Err: fs.ErrNotExist})
		requireKind(t, w.put(t.Context()), proget.ErrUnavailable, string(op))
		w.bucket.Clear()
		w.check(t, string(op))
	}
}

// testRemovalFailsToo: what a failed upload cannot remove remains for the sweep: whole,
// or half if storage tears what it writes. Nobody knows its key.
func testRemovalFailsToo(t *testing.T, w *faultWorld) {
	for _, effect := range []faulty.Effect{faulty.LoseAnswer, faulty.Tear} {
		w.bucket.Inject(faulty.Fault{Op: faulty.Close, Err: faulty.ErrIO, Effect: effect}, faulty.Fault{Op: faulty.Delete, Err: faulty.ErrIO})
		requireKind(t, w.put(t.Context()), proget.ErrUnavailable, "close and delete")
		w.bucket.Clear()
		left := keys(t, w.store, "")
		require.Len(t, left, 1)
		require.NoError(t, w.store.Delete(t.Context(), left[0]))
		requireEmpty(t, w.store)
	}
}

// testShortWrite: a driver that takes less than it was given is not believed,
// even if it returns no error.
func testShortWrite(t *testing.T, w *faultWorld) {
	for nth := 1; nth <= 3; nth++ {
		w.bucket.Inject(faulty.Fault{Op: faulty.Write, Nth: nth, Effect: faulty.Tear})
		requireKind(t, w.put(t.Context()), proget.ErrUnavailable, "short write")
		w.bucket.Clear()
		requireEmpty(t, w.store)
	}
	require.NoError(t, w.put(t.Context()))
	w.check(t, "after the short writes")
}

// testShortReads: a reader may give less than it was asked for.
func testShortReads(t *testing.T, w *faultWorld) {
	require.NoError(t, w.put(t.Context()))
	w.bucket.Inject(faulty.Fault{Op: faulty.Read, Times: -1, Effect: faulty.Tear})
	got, err := read(t.Context(), w.store, w.some().Key)
	require.NoError(t, err)
	require.True(t, bytes.Equal(w.bytes[w.some().Key], got))
	require.NoError(t, w.store.Verify(t.Context(), w.some(), nil))
	require.NotZero(t, w.bucket.Fired())
}

// testReadEndsInTheMiddle: what was read before the error is right.
func testReadEndsInTheMiddle(t *testing.T, w *faultWorld) {
	require.NoError(t, w.put(t.Context()))
	b := w.some()
	w.bucket.Inject(faulty.Fault{Op: faulty.Read, Nth: 5, Err: faulty.ErrStale, Effect: faulty.Tear})
	got, err := read(t.Context(), w.store, b.Key)
	requireKind(t, err, proget.ErrUnavailable, "read")
	require.NotEmpty(t, got)
	require.True(t, bytes.HasPrefix(w.bytes[b.Key], got))
}

// testVanished: an object that vanished is reported missing, and the others are not.
func testVanished(t *testing.T, w *faultWorld) {
	require.NoError(t, w.put(t.Context()))
	w.bucket.Inject(faulty.Fault{Op: faulty.Close, Effect: faulty.Vanish})
	gone, err := w.store.Put(t.Context(), bytes.NewReader(randomBytes(1000)), nil)
	require.NoError(t, err)
	_, err = w.store.Open(t.Context(), gone.Key)
	requireKind(t, err, proget.ErrNotFound, "open")
	_, err = w.store.ReaderAt(t.Context(), gone.Key)
	requireKind(t, err, proget.ErrNotFound, "random access")
	require.ErrorIs(t, w.store.Verify(t.Context(), gone, nil), proget.ErrNotFound)
	require.NoError(t, w.store.Delete(t.Context(), gone.Key))
	w.check(t, "others")
}

// testHalfAcknowledged: a storage that acknowledges half an object is found out
// when the object is verified, and by its size.
func testHalfAcknowledged(t *testing.T, w *faultWorld) {
	w.bucket.Inject(faulty.Fault{Op: faulty.Close, Effect: faulty.Tear})
	b, err := w.store.Put(t.Context(), bytes.NewReader(randomBytes(1000)), nil)
	require.NoError(t, err)
	require.ErrorIs(t, w.store.Verify(t.Context(), b, nil), storage.ErrDamaged)
	require.EqualValues(t, 500, open(t, w.store, b.Key).Size())
}

// testHangs: a call to a storage that does not answer returns when its context ends,
// and leaves nothing; when storage answers again, everything works.
func testHangs(t *testing.T, w *faultWorld) {
	require.NoError(t, w.put(t.Context()))
	for _, op := range []faulty.Op{faulty.Create, faulty.Write, faulty.Close, faulty.Open} {
		answers := make(chan struct{})
		w.bucket.Inject(faulty.Fault{Op: op, Times: -1, Wait: answers})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			if op == faulty.Open {
				_, err := read(ctx, w.store, w.some().Key)
				done <- err
				return
			}
			_, err := w.store.Put(ctx, bytes.NewReader(randomBytes(1000)), nil)
			done <- err
		}()
		require.Eventually(t, func() bool { return w.bucket.Fired() > 0 }, 10*time.Second, time.Millisecond)
		select {
		case err := <-done:
			require.Fail(t, "nothing was waited for", "%s: %v", op, err)
		default:
		}
		cancel()
		require.ErrorIs(t, <-done, context.Canceled, op)
		close(answers)
		w.check(t, string(op))
		w.bucket.Clear()
	}
}

// testNoRoom: an upload whose known size is too large is refused before its bytes are
// read; if storage does not report its space, no upload is.
func testNoRoom(t *testing.T, w *faultWorld) {
	const gib = 1 << 30
	for _, c := range []struct {
		name              string
		size, free, total int64
		err               error
		refused           bool
	}{
		{"fits", 2 << 20, gib, 100 * gib, nil, false},
		{"does not fit", 2 * gib, gib, 100 * gib, nil, true},
		{"fits into the reserve only", gib - 1<<20, gib, 100 * gib, nil, true},
		{"nothing is free", 2 << 20, 0, gib, nil, true},
		{"unknown size", 0, 0, gib, nil, false},
		{"small", 1 << 10, 0, gib, nil, false},
		{"storage fails to say", 2 * gib, 0, gib, faulty.ErrIO, false},
		{"storage does not know", 2 * gib, 0, 0, nil, false},
	} {
		w.bucket.SetSpace(func(context.Context) (int64, int64, error) { return c.free, c.total, c.err })
		body := bytes.NewReader([]byte("some bytes"))
		_, err := w.store.Put(t.Context(), body, &storage.PutOptions{Size: c.size})
		if !c.refused {
			require.NoError(t, err, c.name)
			continue
		}
		requireKind(t, err, proget.ErrNoSpace, c.name)
		require.Equal(t, 10, body.Len(), "%s: bytes were taken", c.name)
	}
	w.bucket.SetSpace(nil)
}
