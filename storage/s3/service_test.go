package s3_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
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

	// before, if not nil, sees a request first, and returns whether it has answered it.
	before func(operation string, w http.ResponseWriter, r *http.Request) bool

	mu   sync.Mutex
	seen map[string][]*http.Request // by operation
	size int64                      // of each object

	completed []byte // body of the last request to complete an upload
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
	body, _ := io.ReadAll(r.Body)
	operation := operationOf(r)
	f.mu.Lock()
	if operation == "complete" {
		f.completed = body
	}
	f.seen[operation] = append(f.seen[operation], r)
	size := f.size
	f.mu.Unlock()
	if f.before != nil && f.before(operation, w, r) {
		return
	}
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
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
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

// parts returns n parts, and gives the objects the size of all together.
func (f *fake) parts(n int) []storage.Blob {
	all := make([]storage.Blob, n)
	for i := range all {
		all[i] = storage.Blob{Key: fmt.Sprintf("blobs/aa/bb/%d", i+1), Size: 5 << 20}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = int64(n) * 5 << 20
	return all
}

// TestEncryption: an object that is joined is created with the encryption and the type of
// one that is written, since a bucket's policy may refuse others.
func TestEncryption(t *testing.T) {
	f := newFake(t)
	store := f.open("&ssetype=aws:kms&kmskeyid=key-1")
	_, err := store.Put(t.Context(), strings.NewReader("hello"), nil)
	require.NoError(t, err)
	_, err = store.Compose(t.Context(), f.parts(2))
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

// TestCopiesAtOnce: the parts of an object are copied several at once, since there may be
// thousands, but not all, and are put together in their order.
func TestCopiesAtOnce(t *testing.T) {
	const atOnce, all = 16, 100
	f := newFake(t)
	var mu sync.Mutex
	var now, most int
	enough := make(chan struct{})
	f.before = func(operation string, _ http.ResponseWriter, r *http.Request) bool {
		if operation != "copy part" {
			return false
		}
		mu.Lock()
		if now++; now > most {
			if most = now; most == atOnce {
				close(enough)
			}
		}
		mu.Unlock()
		select {
		case <-enough:
		case <-r.Context().Done():
		}
		mu.Lock()
		now--
		mu.Unlock()
		return false
	}
	store := f.open("")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	whole, err := store.Compose(ctx, f.parts(all))
	require.NoError(t, err)
	require.EqualValues(t, all*5<<20, whole.Size)
	require.Equal(t, atOnce, most)

	require.Len(t, f.requests("copy part"), all)
	for _, r := range f.requests("copy part") {
		require.Equal(t, "packages/blobs/aa/bb/"+r.URL.Query().Get("partNumber"), r.Header.Get("X-Amz-Copy-Source"))
	}
	var completed struct {
		Parts []struct{ PartNumber, ETag string } `xml:"Part"`
	}
	require.NoError(t, xml.Unmarshal(f.completed, &completed))
	require.Len(t, completed.Parts, all)
	for i, part := range completed.Parts {
		require.Equal(t, strconv.Itoa(i+1), part.PartNumber)
		require.Equal(t, part.PartNumber, part.ETag)
	}
}

// TestCannotCopy: a service that cannot join objects is not one that is away: what it was
// to join can be read and stored again.
func TestCannotCopy(t *testing.T) {
	for _, c := range []struct {
		operation   string
		status      int
		code        string // "" answers without a body
		unsupported bool
	}{
		{"create", 501, "NotImplemented", true},
		{"create", 405, "MethodNotAllowed", true},
		{"copy part", 501, "NotImplemented", true},
		{"copy part", 400, "NotImplemented", true},
		{"copy part", 405, "MethodNotAllowed", true},
		{"copy part", 200, "", true},
		{"complete", 501, "NotImplemented", true},
		{"create", 403, "AccessDenied", false},
		{"copy part", 404, "NoSuchKey", false},
	} {
		t.Run(fmt.Sprintf("%s %d %s", c.operation, c.status, c.code), func(t *testing.T) {
			f := newFake(t)
			f.before = func(operation string, w http.ResponseWriter, _ *http.Request) bool {
				if operation != c.operation {
					return false
				}
				w.WriteHeader(c.status)
				if c.code != "" {
					_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", c.code)
				}
				return true
			}
			_, err := f.open("").Compose(t.Context(), f.parts(2))
			require.Error(t, err)
			require.Equal(t, c.unsupported, errors.Is(err, storage.ErrUnsupported), err)
			if c.operation != "create" {
				require.NotEmpty(t, f.requests("remove"), "the upload was left behind")
			}
		})
	}
}
