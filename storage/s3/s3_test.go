package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
	_ "github.com/proget-go/ha/storage/s3"
	"github.com/proget-go/ha/storage/storagetest"
)

func TestConformance(t *testing.T) {
	server := testenv.StartS3(t)
	var cases atomic.Int64
	storagetest.Run(t, func(t *testing.T) *storage.Store {
		return open(t, server.Prefix(fmt.Sprint("case-", cases.Add(1))))
	})
}

func open(t *testing.T, url string) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), url, nil)
	require.NoError(t, err)
	return s
}

// TestSignedURL: a client that follows the URL gets the bytes under the file's
// name and type, and nothing once it has expired.
func TestSignedURL(t *testing.T) {
	s := open(t, testenv.StartS3(t).Prefix("a"))
	b, err := s.Put(t.Context(), bytes.NewReader([]byte("content")), nil)
	require.NoError(t, err)
	o := storage.SignedURLOptions{TTL: time.Minute, FileName: `größe "1".nupkg`, ContentType: "application/x-package"}
	u, err := s.SignedURL(t.Context(), b.Key, o)
	require.NoError(t, err)
	resp, err := http.Get(u.String())
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(text))
	require.Equal(t, "content", string(text))
	require.Equal(t, "application/x-package", resp.Header.Get("Content-Type"))
	require.Equal(t, o.Disposition(), resp.Header.Get("Content-Disposition"))

	o.TTL = time.Second
	u, err = s.SignedURL(t.Context(), b.Key, o)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		resp, err := http.Get(u.String())
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusForbidden
	}, 20*time.Second, 200*time.Millisecond, "it expires")
}

// TestAbandoned: what is left of uploads whose client went away, and of those
// whose process did.
func TestAbandoned(t *testing.T) {
	server := testenv.StartS3(t)
	s := open(t, server.Prefix("a"))
	for name, end := range map[string]func(cancel func()) error{
		"the client went away": func(func()) error { return io.ErrUnexpectedEOF },
		"canceled":             func(cancel func()) error { cancel(); return errors.New("late") },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		body := io.MultiReader(bytes.NewReader(make([]byte, 20<<20)), readerFunc(func() error { return end(cancel) }))
		_, err := s.Put(ctx, body, nil)
		require.Error(t, err, name)
	}
	bucket, err := blob.OpenBucket(t.Context(), server.URL)
	require.NoError(t, err)
	defer bucket.Close()
	var client *s3.Client
	require.True(t, bucket.As(&client))
	unfinished := func() int {
		list, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("packages")})
		require.NoError(t, err)
		return len(list.Uploads)
	}
	require.Zero(t, unfinished())
	require.Empty(t, listed(t, s))

	for _, key := range []string{"a/blobs/killed", "b/blobs/of-another"} {
		_, err = client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("packages"), Key: aws.String(key)})
		require.NoError(t, err)
	}
	removed, err := s.RemoveLeftovers(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Zero(t, removed, "it may be under way")
	removed, err = s.RemoveLeftovers(t.Context(), -time.Minute)
	require.NoError(t, err)
	require.Equal(t, 1, removed, "what is below another prefix is another's")
	require.Equal(t, 1, unfinished())
}

type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) { return 0, f() }

func listed(t *testing.T, s *storage.Store) (keys []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	return keys
}

// TestThrottled: a service that asks to slow down is asked again, and one that
// never stops asking is unavailable, in a bounded time.
func TestThrottled(t *testing.T) {
	server := testenv.StartS3(t)
	var refuse atomic.Int64
	behind, err := url.Parse(server.Process.URL)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		r.Out.Host = r.In.Host // which is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	s := open(t, testenv.S3URL(front.URL))
	for _, n := range []int64{1, 2} {
		refuse.Store(n)
		b, err := s.Put(t.Context(), bytes.NewReader([]byte("content")), nil)
		require.NoError(t, err)
		refuse.Store(n)
		require.NoError(t, s.Verify(t.Context(), b, nil))
	}
	refuse.Store(1 << 40)
	_, err = s.Put(t.Context(), bytes.NewReader([]byte("content")), nil)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.NotContains(t, proget.Message(err), "127.0.0.1")
}

// TestUnusable: what is wrong with a bucket is of a kind that callers know.
func TestUnusable(t *testing.T) {
	server := testenv.StartS3(t)
	for name, address := range map[string]string{
		"no such bucket": "s3://nowhere?region=us-east-1&use_path_style=true&endpoint=" + server.Process.URL,
		"nobody there":   testenv.S3URL(fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(t))),
	} {
		_, err := open(t, address).Put(t.Context(), bytes.NewReader(nil), nil)
		require.ErrorIs(t, err, proget.ErrUnavailable, name)
	}
	_, err := storage.Open(t.Context(), server.URL+"&prefix=without-slash", nil)
	require.ErrorIs(t, err, proget.ErrInvalid)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	_, err = open(t, server.URL).Put(t.Context(), bytes.NewReader(nil), nil)
	require.ErrorIs(t, err, proget.ErrUnavailable)
	require.Contains(t, proget.Message(err), "permission is denied")
}
