package storage_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// TestSet: the first storage is the one given, each other one is opened once,
// when it is needed, and tried again if that failed.
func TestSet(t *testing.T) {
	t.Parallel()
	main, err := storage.Open(t.Context(), "mem:", nil)
	require.NoError(t, err)
	defer main.Close()
	second := filepath.Join(t.TempDir(), "second")
	folder := fileURL(second)
	var asked atomic.Int64
	away := errors.New("away")
	set := storage.NewSet(main, func(_ context.Context, id int64) (string, error) {
		switch asked.Add(1); {
		case id != 2:
			return "", errors.New("unknown")
		case asked.Load() == 1:
			return "", away
		}
		return folder, nil
	})
	first, err := set.Store(t.Context(), 0)
	require.NoError(t, err)
	require.Same(t, main, first)
	_, err = set.Store(t.Context(), 2)
	require.ErrorIs(t, err, away)
	_, err = set.Store(t.Context(), 2)
	require.ErrorIs(t, err, proget.ErrUnavailable, "its share is not mounted")
	require.NoDirExists(t, second)
	require.NoError(t, os.Mkdir(second, 0o700))
	stores := make([]*storage.Store, 8)
	var all sync.WaitGroup
	for i := range stores {
		all.Go(func() { stores[i], _ = set.Store(context.WithoutCancel(t.Context()), 2) })
	}
	all.Wait()
	for _, s := range stores {
		require.Same(t, stores[0], s)
	}
	_, err = stores[0].Put(t.Context(), strings.NewReader("x"), nil)
	require.NoError(t, err)
	_, err = set.Store(t.Context(), 3)
	require.ErrorContains(t, err, "unknown")
	_, err = storage.NewSet(main, nil).Store(t.Context(), 2)
	require.Error(t, err)
	require.NoError(t, set.Close())
}

// slow is a service whose buckets open when they are told to.
type slow struct {
	asked  chan struct{}
	answer chan *blob.Bucket
}

func (s *slow) set(t *testing.T) *storage.Set {
	main, err := storage.Open(t.Context(), "mem:", &storage.Options{Services: []storage.Service{{
		Scheme: "slow", Form: "slow://bucket", Open: func(context.Context, *url.URL) (*storage.Bucket, error) {
			s.asked <- struct{}{}
			return &storage.Bucket{Bucket: <-s.answer}, nil
		}}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = main.Close() })
	return storage.NewSet(main, func(context.Context, int64) (string, error) { return "slow://bucket", nil })
}

// TestSetDoesNotAnswer: whoever does not want to wait for a storage any longer leaves;
// the next one finds it open.
func TestSetDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := slow{make(chan struct{}, 2), make(chan *blob.Bucket)}
	set := s.set(t)
	gone := errors.New("the client has left")
	for range 3 {
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error)
		go func() {
			_, err := set.Store(ctx, 2)
			failed <- err
		}()
		cancel(gone)
		err := <-failed
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.ErrorIs(t, err, gone)
	}
	s.answer <- memblob.OpenBucket(nil)
	st, err := set.Store(t.Context(), 2)
	require.NoError(t, err)
	_, err = st.Put(t.Context(), strings.NewReader("x"), nil)
	require.NoError(t, err)
	require.Len(t, s.asked, 1, "it was opened once for all")
	require.NoError(t, set.Close())
}

// TestSetClosed: what opens after the set was closed is closed, and nothing is opened
// any more.
func TestSetClosed(t *testing.T) {
	t.Parallel()
	s := slow{make(chan struct{}, 2), make(chan *blob.Bucket)}
	set := s.set(t)
	failed := make(chan error)
	go func() {
		_, err := set.Store(t.Context(), 2)
		failed <- err
	}()
	<-s.asked
	require.NoError(t, set.Close())
	late := memblob.OpenBucket(nil)
	s.answer <- late
	require.Error(t, <-failed)
	_, _, err := late.ListPage(t.Context(), blob.FirstPageToken, 1, nil)
	require.Error(t, err, "it is closed")
	_, err = set.Store(t.Context(), 2)
	require.Error(t, err)
	require.Empty(t, s.asked)
}
