package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/s3"
)

// A fake answers as S3 does to whom puts objects and has them joined, and records the
// requests.
type fake struct {
	t   *testing.T
	url string

	uploads []string // keys of uploads that were begun long ago

	mu   sync.Mutex
	seen map[string][]*http.Request // by operation
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, seen: map[string][]*http.Request{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	return f
}

// open opens the fake's bucket; more is appended to the URL.
func (f *fake) open(more string) *storage.Store {
	f.t.Helper()
	store, err := storage.Open(f.t.Context(), "s3://packages?region=us-east-1&use_path_style=true&endpoint="+url.QueryEscape(f.url)+more,
		&storage.Options{Services: []storage.Service{s3.Service()}})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = store.Close() })
	return store
}

// ServeHTTP implements [http.Handler].
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	operation := operationOf(r)
	f.mu.Lock()
	f.seen[operation] = append(f.seen[operation], r)
	f.mu.Unlock()
	switch operation {
	case "list":
		_, _ = io.WriteString(w, `<ListBucketResult></ListBucketResult>`)
	case "create":
		_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>`)
	case "copy part":
		_, _ = fmt.Fprintf(w, `<CopyPartResult><ETag>%s</ETag></CopyPartResult>`, r.URL.Query().Get("partNumber"))
	case "list uploads":
		f.listUploads(w, r.URL.Query().Get("prefix"))
	case "complete":
		_, _ = io.WriteString(w, `<CompleteMultipartUploadResult></CompleteMultipartUploadResult>`)
	case "look":
		w.Header().Set("Content-Length", "10485760")
	}
}

func (f *fake) listUploads(w io.Writer, prefix string) {
	_, _ = io.WriteString(w, `<ListMultipartUploadsResult>`)
	for _, key := range f.uploads {
		if strings.HasPrefix(key, prefix) {
			_, _ = fmt.Fprintf(w, `<Upload><Key>%s</Key><UploadId>upload</UploadId><Initiated>2020-01-01T00:00:00Z</Initiated></Upload>`, key)
		}
	}
	_, _ = io.WriteString(w, `</ListMultipartUploadsResult>`)
}

// operationOf returns what a request is for.
func operationOf(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		return "create"
	case r.Method == http.MethodPost:
		return "complete"
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return "copy part"
	case r.Method == http.MethodPut:
		return "put"
	case r.Method == http.MethodDelete:
		return "remove"
	case r.Method == http.MethodHead:
		return "look"
	case query.Has("uploads"):
		return "list uploads"
	}
	return "list"
}

// requests returns the requests for an operation.
func (f *fake) requests(operation string) []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[operation]
}

// parts returns n parts that together have the size of the fake's objects.
func parts(n int) []storage.Blob {
	all := make([]storage.Blob, n)
	for i := range all {
		all[i] = storage.Blob{Key: fmt.Sprintf("blobs/aa/bb/%d", i), Size: 10 << 20 / int64(n)}
	}
	return all
}

// TestEncryption: an object that is joined is created with the encryption and the type of
// one that is written, since a bucket's policy may refuse others.
func TestEncryption(t *testing.T) {
	f := newFake(t)
	store := f.open("&ssetype=aws:kms&kmskeyid=key-1")
	_, err := store.Put(t.Context(), strings.NewReader("hello"), nil)
	require.NoError(t, err)
	_, err = store.Compose(t.Context(), parts(2))
	require.NoError(t, err)

	require.Len(t, f.requests("put"), 1)
	require.Len(t, f.requests("create"), 1)
	written, created := f.requests("put")[0].Header, f.requests("create")[0].Header
	require.Equal(t, "key-1", written.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"))
	for _, header := range []string{"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "Content-Type"} {
		require.NotEmpty(t, written.Get(header), header)
		require.Equal(t, written.Get(header), created.Get(header), header)
	}
}

// TestLeftoversOfOthers: uploads that other programs have begun in the same bucket are
// theirs, however old they are.
func TestLeftoversOfOthers(t *testing.T) {
	for name, prefix := range map[string]string{"Bucket": "", "Folder": "proget/"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.uploads = []string{"backups/monday", prefix + "backup", prefix + "blobs/aa/bb/1", prefix + "probes/node-a/1", prefix + "blobs-of-others/1"}
			more := ""
			if prefix != "" {
				more = "&prefix=" + prefix
			}
			removed, err := f.open(more).RemoveLeftovers(t.Context(), time.Hour)
			require.NoError(t, err)
			require.Equal(t, 2, removed)
			var keys []string
			for _, r := range f.requests("remove") {
				keys = append(keys, strings.TrimPrefix(r.URL.Path, "/packages/"))
			}
			require.Equal(t, []string{prefix + "blobs/aa/bb/1", prefix + "probes/node-a/1"}, keys)
		})
	}
}
