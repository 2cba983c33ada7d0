package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/azure"
	"github.com/proget-go/ha/storage/gcs"
	"github.com/proget-go/ha/storage/s3"
	"github.com/proget-go/ha/storage/storagetest"
)

var services = &storage.Options{Services: []storage.Service{s3.Service(), azure.Service(), gcs.Service()}}

// A server is one that object stores can lie on. Its URL leads to it through
// the address of a proxy, or directly.
type server struct {
	address string
	url     func(address, prefix string) string
	busy    string // the body with which it answers 503

	signsHost bool // the address a request was sent to is part of its signature
}

func (s server) open(t *testing.T, address, prefix string) *storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), s.url(address, prefix), services)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func TestS3(t *testing.T) {
	running := testenv.StartS3(t)
	s := server{running.Address, running.BucketURL, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`, true}
	t.Run("Refused", func(t *testing.T) {
		s.refused(t, "s3://packages",
			map[string]string{"AWS_ACCESS_KEY_ID": "unknown"}, map[string]string{"AWS_SECRET_ACCESS_KEY": "hidden-other"})
		_, err := storage.Open(t.Context(), strings.Replace(s.url(s.address, ""), "region=us-east-1", "", 1), services)
		require.ErrorIs(t, err, proget.ErrInvalid)
		require.ErrorContains(t, err, "add region=")
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		_, err = storage.Open(t.Context(), s.url(s.address, ""), services)
		require.ErrorContains(t, err, "there are no credentials; set AWS_ACCESS_KEY_ID")
	})
	t.Run("Memory", func(t *testing.T) { s.memory(t) })
	t.Run("Conformance", s.conform)
	t.Run("Aborted", func(t *testing.T) {
		t.Parallel()
		s.aborted(t)
		require.Empty(t, uploads(t, s, "aborted/"))
	})
	t.Run("Leftovers", s.leftovers)
	s.parallel(t)
}

func TestAzure(t *testing.T) {
	running := testenv.StartAzurite(t)
	s := server{running.Address, running.BucketURL, `<Error><Code>ServerBusy</Code></Error>`, false}
	t.Run("Refused", func(t *testing.T) {
		s.refused(t, "azblob://packages", map[string]string{"AZURE_STORAGE_KEY": "aGlkZGVuLWtleQ=="})
		t.Setenv("AZURE_STORAGE_KEY", "hidden-key!")
		_, err := storage.Open(t.Context(), s.url(s.address, ""), services)
		require.ErrorIs(t, err, proget.ErrInvalid)
		require.NotContains(t, err.Error(), "hidden")
	})
	t.Run("ConnectionString", s.connectionString)
	t.Run("SAS", s.sas)
	t.Run("Memory", func(t *testing.T) { s.memory(t) })
	t.Run("Conformance", s.conform)
	t.Run("Aborted", func(t *testing.T) {
		t.Parallel()
		s.aborted(t)
	})
	s.parallel(t)
}

func TestGCS(t *testing.T) {
	running := testenv.StartGCS(t)
	s := server{running.Address, func(_, prefix string) string { return running.BucketURL(prefix) }, `{}`, false}
	t.Run("Memory", func(t *testing.T) { s.memory(t) })
	t.Run("Busy", s.behindEmulator(s.busyForAWhile))
	t.Run("AlwaysBusy", s.behindEmulator(s.alwaysBusy))
	t.Run("BreaksOff", s.behindEmulator(s.goesOn))
	t.Run("MissingBucket", func(t *testing.T) {
		_, err := storage.Open(t.Context(), "gs://missing", services)
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.ErrorContains(t, err, "the bucket gs://missing does not exist")
	})
	t.Run("Conformance", s.conform)
	t.Run("Aborted", func(t *testing.T) {
		t.Parallel()
		s.aborted(t)
	})
	t.Run("Prefix", s.prefixes)
}

// parallel runs what needs no environment of its own.
func (s server) parallel(t *testing.T) {
	for name, run := range map[string]func(*testing.T, *proxy){"Busy": s.busyForAWhile, "AlwaysBusy": s.alwaysBusy, "BreaksOff": s.breaksOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, s.proxy(t))
		})
	}
	t.Run("Prefix", s.prefixes)
	t.Run("SignedURL", s.signedURL)
}

// behindEmulator is for Google's client, which only the environment tells where
// its emulator is.
func (s server) behindEmulator(run func(*testing.T, *proxy)) func(*testing.T) {
	return func(t *testing.T) {
		p := s.proxy(t)
		t.Setenv("STORAGE_EMULATOR_HOST", p.address)
		run(t, p)
	}
}

// conform gives each case a part of the bucket of its own.
func (s server) conform(t *testing.T) {
	var n atomic.Int64
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		store, err := storage.Open(t.Context(), s.url(s.address, fmt.Sprintf("conformance/%d", n.Add(1))), services)
		require.NoError(t, err)
		return store
	})
}

// refused: what is wrong at start is said in a sentence that holds no secret.
func (s server) refused(t *testing.T, bucket string, wrong ...map[string]string) {
	closed := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	missing := strings.Replace(s.url(s.address, ""), "packages", "missing", 1)
	sentence := func(url, says string) {
		_, err := storage.Open(t.Context(), url, services)
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.ErrorContains(t, err, says)
		for _, secret := range []string{"hidden", "aGlkZGVu", "\n", "RequestID"} {
			require.NotContains(t, err.Error(), secret)
		}
	}
	sentence(missing, "missing does not exist")
	sentence(s.url(closed, ""), "the bucket "+bucket+" cannot be reached")
	for _, environment := range wrong {
		t.Run("", func(t *testing.T) {
			for name, value := range environment {
				t.Setenv(name, value)
			}
			sentence(s.url(s.address, ""), "the bucket "+bucket+" refuses this server")
		})
	}
}

// prefixes: stores in parts of a bucket do not see each other, although the name
// of one begins like that of the other.
func (s server) prefixes(t *testing.T) {
	t.Parallel()
	a, ab, same := s.open(t, s.address, "prefix/a"), s.open(t, s.address, "prefix/ab/"), s.open(t, s.address, "prefix/a/")
	b, err := a.Put(t.Context(), strings.NewReader("hello"), nil)
	require.NoError(t, err)
	require.ErrorIs(t, ab.Verify(t.Context(), b, nil), proget.ErrNotFound)
	for range ab.List(t.Context(), "") {
		require.Fail(t, "an object of another part is listed")
	}
	require.NoError(t, ab.Delete(t.Context(), b.Key))
	require.NoError(t, same.Verify(t.Context(), b, nil))
	for object, err := range same.List(t.Context(), storage.BlobPrefix) {
		require.NoError(t, err)
		require.Equal(t, b.Key, object.Key)
	}
	for _, wrong := range []string{"/a", "a//b", "../a", "a b", "a%23"} {
		_, err := storage.Open(t.Context(), s.url(s.address, wrong), services)
		require.ErrorIs(t, err, proget.ErrInvalid, wrong)
	}
}

// aborted: an upload that fails or whose client goes away leaves nothing.
func (s server) aborted(t *testing.T) {
	store := s.open(t, s.address, "aborted")
	broken := errors.New("broken")
	_, err := store.Put(t.Context(), io.MultiReader(io.LimitReader(zeros{}, 30<<20), failing{broken}), nil)
	require.ErrorIs(t, err, broken)

	ctx, cancel := context.WithCancel(t.Context())
	gone := readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	_, err = store.Put(ctx, io.MultiReader(io.LimitReader(zeros{}, 30<<20), gone), nil)
	require.ErrorIs(t, err, context.Canceled)
	for range store.List(t.Context(), "") {
		require.Fail(t, "something stayed behind")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// client returns the AWS SDK's own.
func client(t *testing.T, s server) *awss3.Client {
	t.Helper()
	b, err := blob.OpenBucket(t.Context(), strings.TrimSuffix(s.url(s.address, ""), "&prefix="))
	require.NoError(t, err)
	var c *awss3.Client
	require.True(t, b.As(&c))
	return c
}

// uploads returns the keys of uploads that were begun and not completed.
func uploads(t *testing.T, s server, prefix string) (keys []string) {
	t.Helper()
	bucket := testenv.Bucket
	page, err := client(t, s).ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix})
	require.NoError(t, err)
	for _, upload := range page.Uploads {
		keys = append(keys, *upload.Key)
	}
	return keys
}

// leftovers: uploads of processes that were killed are removed when they are old
// enough, and those of other parts of the bucket stay.
func (s server) leftovers(t *testing.T) {
	t.Parallel()
	bucket := testenv.Bucket
	for _, key := range []string{"killed/blobs/aa", "killed/blobs/bb", "killed-other/blobs/aa"} {
		_, err := client(t, s).CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		require.NoError(t, err)
	}
	store := s.open(t, s.address, "killed")
	removed, err := store.RemoveLeftovers(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Zero(t, removed)
	require.Len(t, uploads(t, s, "killed/"), 2)
	removed, err = store.RemoveLeftovers(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 2, removed)
	require.Len(t, uploads(t, s, "killed"), 1)
}

// memory: a large upload takes the memory of a few parts. What is garbage does
// not count, nor does what an SDK maps outside the heap.
func (s server) memory(t *testing.T) {
	store := s.open(t, s.address, "memory")
	base, peak := live(), uint64(0)
	var read int64
	r := io.LimitReader(readerFunc(func(p []byte) (int, error) {
		if n := int64(len(p)); read/(10<<20) != (read+n)/(10<<20) {
			peak = max(peak, live())
		}
		read += int64(len(p))
		return len(p), nil
	}), 200<<20)
	b, err := store.Put(t.Context(), r, nil)
	require.NoError(t, err)
	require.EqualValues(t, 200<<20, b.Size)
	t.Logf("heap: %d KiB more than before", (int64(peak)-int64(base))>>10)
	require.Less(t, int64(peak)-int64(base), int64(3*8<<20+4<<20))
	require.NoError(t, store.Delete(t.Context(), b.Key))
}

// live returns how much of the heap is in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A proxy stands before a server and can answer in its place.
type proxy struct {
	address string
	busy    atomic.Int64 // how many requests are answered with 503
	cut     atomic.Int64 // after how many bytes answers to GET break off; 0 means never
	seen    atomic.Int64
}

func (s server) proxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: s.address})
			if s.signsHost {
				r.Out.Host = r.In.Host
			}
		},
		ErrorLog: log.New(io.Discard, "", 0),
		ModifyResponse: func(r *http.Response) error {
			if n := p.cut.Load(); n > 0 && r.Request.Method == http.MethodGet && r.ContentLength > n {
				r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, n), failing{io.ErrUnexpectedEOF}))
			}
			return nil
		},
	}
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.seen.Add(1)
		if p.busy.Add(-1) >= 0 {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, s.busy)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(listening.Close)
	p.address = strings.TrimPrefix(listening.URL, "http://")
	return p
}

// busyForAWhile: a service that asks to slow down gets the request again.
func (s server) busyForAWhile(t *testing.T, p *proxy) {
	store := s.open(t, p.address, "busy")
	for _, size := range []int64{5, 20 << 20} {
		p.busy.Store(2)
		b, err := store.Put(t.Context(), io.LimitReader(zeros{}, size), nil)
		require.NoError(t, err)
		p.busy.Store(2)
		require.NoError(t, store.Verify(t.Context(), b, nil))
		p.busy.Store(2)
		require.NoError(t, store.Delete(t.Context(), b.Key))
	}
}

// alwaysBusy: it is not asked for ever.
func (s server) alwaysBusy(t *testing.T, p *proxy) {
	store := s.open(t, p.address, "always-busy")
	b, err := store.Put(t.Context(), strings.NewReader("hello"), nil)
	require.NoError(t, err)
	p.busy.Store(1 << 30)
	before := p.seen.Load()
	_, err = store.Open(t.Context(), b.Key)
	require.EqualValues(t, 5, p.seen.Load()-before)
	requireBusy(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = store.Put(ctx, strings.NewReader("hello"), nil)
	requireBusy(t, err)
}

func requireBusy(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.Equal(t, "Storage cannot be reached at the moment.", proget.Message(err))
}

// breaksOff: half an object is an error, in whatever way it is read.
func (s server) breaksOff(t *testing.T, p *proxy) {
	store := s.open(t, p.address, "breaks-off")
	b, err := store.Put(t.Context(), io.LimitReader(zeros{}, 1<<20), nil)
	require.NoError(t, err)
	p.cut.Store(100_000)
	plain := func(ctx context.Context, b storage.Blob) (*storage.Reader, error) { return store.Open(ctx, b.Key) }
	for _, open := range []func(context.Context, storage.Blob) (*storage.Reader, error){plain, store.OpenBlob} {
		r, err := open(t.Context(), b)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, r)
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.Equal(t, err, r.Err())
		require.NoError(t, r.Close())
	}
	at, err := store.ReaderAt(t.Context(), b.Key)
	require.NoError(t, err)
	_, err = at.ReadAt(make([]byte, 1<<20), 0)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.ErrorIs(t, store.Verify(t.Context(), b, nil), proget.ErrUnavailable)
	require.NotErrorIs(t, store.Verify(t.Context(), b, nil), storage.ErrDamaged)
}

// goesOn: Google's client asks for the rest of what broke off.
func (s server) goesOn(t *testing.T, p *proxy) {
	store := s.open(t, p.address, "goes-on")
	b, err := store.Put(t.Context(), io.LimitReader(zeros{}, 1<<20), nil)
	require.NoError(t, err)
	p.cut.Store(100_000)
	before := p.seen.Load()
	require.NoError(t, store.Verify(t.Context(), b, nil))
	require.Greater(t, p.seen.Load()-before, int64(5))
}

// signedURL fetches an object without credentials.
func (s server) signedURL(t *testing.T) {
	t.Parallel()
	store := s.open(t, s.address, "signed")
	content := bytes.Repeat([]byte("0123456789"), 1000)
	b, err := store.Put(t.Context(), bytes.NewReader(content), nil)
	require.NoError(t, err)
	for _, c := range []struct {
		opts              *storage.SignedURLOptions
		kind, disposition string
	}{
		{nil, "application/octet-stream", ""},
		{&storage.SignedURLOptions{ContentType: "application/zip"}, "application/zip", ""},
		{&storage.SignedURLOptions{FileName: "a b.1.0.nupkg", ContentType: "application/zip"}, "application/zip", `attachment; filename="a b.1.0.nupkg"`},
		{&storage.SignedURLOptions{FileName: "päckage&x=1.zip"}, "application/octet-stream", "attachment; filename*=utf-8''p%C3%A4ckage&x%3D1.zip"},
	} {
		u, err := store.SignedURL(t.Context(), b.Key, time.Minute, c.opts)
		require.NoError(t, err)
		status, header, body := get(t, u.String())
		require.Equal(t, http.StatusOK, status, "%s", body)
		require.True(t, bytes.Equal(content, body))
		require.Equal(t, c.kind, header.Get("Content-Type"))
		require.Equal(t, c.disposition, header.Get("Content-Disposition"))
	}
	u, err := store.SignedURL(t.Context(), b.Key, time.Second, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		status, _, _ := get(t, u.String())
		return status == http.StatusForbidden
	}, 30*time.Second, 50*time.Millisecond, "it expires")
}

func get(t *testing.T, url string) (int, http.Header, []byte) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, body
}

// connectionString: it holds the account, its address and its key.
func (s server) connectionString(t *testing.T) {
	account := os.Getenv("AZURE_STORAGE_ACCOUNT")
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=http://%s/%s;",
		account, os.Getenv("AZURE_STORAGE_KEY"), s.address, account))
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	t.Setenv("AZURE_STORAGE_KEY", "")
	store, err := storage.Open(t.Context(), "azblob://packages?prefix=string", services)
	require.NoError(t, err)
	b, err := store.Put(t.Context(), strings.NewReader("hello"), nil)
	require.NoError(t, err)
	u, err := store.SignedURL(t.Context(), b.Key, time.Minute, nil)
	require.NoError(t, err)
	_, _, body := get(t, u.String())
	require.Equal(t, "hello", string(body))
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=x;hidden")
	_, err = storage.Open(t.Context(), "azblob://packages", services)
	require.ErrorIs(t, err, proget.ErrInvalid)
	require.NotContains(t, err.Error(), "hidden")
}

// sas: a signature opens the container, signs nothing itself, and shows in no
// error.
func (s server) sas(t *testing.T) {
	account := os.Getenv("AZURE_STORAGE_ACCOUNT")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", testenv.AzuriteSAS(t))
	t.Setenv("AZURE_STORAGE_KEY", "")
	proxy := testenv.StartProxy(t, s.address)
	store := s.open(t, proxy.Address(), "sas")
	require.NotEmpty(t, account)
	b, err := store.Put(t.Context(), strings.NewReader("hello"), nil)
	require.NoError(t, err)
	require.NoError(t, store.Verify(t.Context(), b, nil))
	_, err = store.SignedURL(t.Context(), b.Key, time.Minute, nil)
	require.ErrorIs(t, err, storage.ErrUnsupported)
	proxy.LoseAnswer(func([]byte) bool { return true })
	_, err = store.Open(t.Context(), b.Key)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.NotContains(t, err.Error(), "sig=")
}
