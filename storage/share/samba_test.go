package share_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/storagetest"
)

// TestSamba: a share of a Windows file server, mounted over the network, is fit
// for packages.
func TestSamba(t *testing.T) {
	t.Parallel()
	samba := testenv.StartSamba(t)
	var n atomic.Int32
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		s, err := storage.OpenFolder(filepath.Join(samba.Folder, fmt.Sprint("store-", n.Add(1))), nil)
		require.NoError(t, err)
		return s
	})
}

// TestSambaRestart: while the file server is killed and started again, every
// upload that was acknowledged is there afterwards, whole; the others failed
// with an error that is worth a repetition, and left nothing that no sweep
// removes.
func TestSambaRestart(t *testing.T) {
	t.Parallel()
	samba := testenv.StartSamba(t)
	s, err := storage.OpenFolder(filepath.Join(samba.Folder, "store"), nil)
	require.NoError(t, err)
	u := &uploads{store: s, digests: map[string]bool{}, stored: map[string]storage.Blob{}}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() { u.run(ctx, rand.NewChaCha8([32]byte{byte(n)})) })
	}
	for range 3 {
		u.await(t, &u.succeeded, 20)
		samba.Stop()
		u.await(t, &u.failed, 4)
		samba.Start(t)
	}
	u.await(t, &u.succeeded, 20)
	stop()
	writers.Wait()
	require.NoError(t, u.wrong, "an error of another kind")
	t.Logf("%d uploads were acknowledged, %d failed", u.succeeded.Load(), u.failed.Load())

	for key, blob := range u.stored {
		require.NoError(t, s.Verify(t.Context(), blob, nil), key)
	}
	_, err = s.RemoveLeftovers(t.Context(), -time.Minute) // clocks may differ
	require.NoError(t, err)
	unknown := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(samba.Data, "store"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		require.NotContains(t, entry.Name(), ".tmp-", "the sweep removes it")
		return nil
	}))
	for object, err := range s.List(t.Context(), storage.BlobPrefix) {
		require.NoError(t, err)
		if _, ok := u.stored[object.Key]; !ok {
			unknown++
			require.True(t, u.digests[digest(t, s, object.Key)], "an object that nobody wrote")
		}
	}
	t.Logf("%d uploads are complete although their answer was lost", unknown)
}

// uploads are what some writers do at once.
type uploads struct {
	store             *storage.Store
	succeeded, failed atomic.Int64

	mu      sync.Mutex
	digests map[string]bool // of all that was tried
	stored  map[string]storage.Blob
	wrong   error
}

func (u *uploads) run(ctx context.Context, random *rand.ChaCha8) {
	for ctx.Err() == nil {
		content := make([]byte, 1+random.Uint64()%(1<<20))
		_, _ = random.Read(content)
		sum := sha256.Sum256(content)
		u.mu.Lock()
		u.digests[hex.EncodeToString(sum[:])] = true
		u.mu.Unlock()
		blob, err := u.store.Put(context.WithoutCancel(ctx), bytes.NewReader(content), nil)
		u.note(blob, err)
		if err != nil {
			<-time.After(10 * time.Millisecond) // as a client does
		}
	}
}

func (u *uploads) note(blob storage.Blob, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil:
		u.stored[blob.Key] = blob
		u.succeeded.Add(1)
	case errors.Is(err, proget.ErrUnavailable):
		u.failed.Add(1)
	default:
		u.wrong = err
		u.failed.Add(1)
	}
}

// await waits until the count has grown by n.
func (u *uploads) await(t *testing.T, count *atomic.Int64, n int64) {
	t.Helper()
	before := count.Load()
	require.Eventually(t, func() bool { return count.Load() >= before+n }, time.Minute, 10*time.Millisecond)
}

func digest(t *testing.T, s *storage.Store, key string) string {
	t.Helper()
	r, err := s.Open(t.Context(), key)
	require.NoError(t, err)
	defer r.Close()
	sum := sha256.New()
	_, err = r.WriteTo(sum)
	require.NoError(t, err)
	return hex.EncodeToString(sum.Sum(nil))
}
