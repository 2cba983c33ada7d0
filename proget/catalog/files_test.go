package catalog_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// serve serves one file of a version.
func (in *installation) serve(t *testing.T, f *catalog.Files, v *proget.Version) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.Serve(w, &feed.Request{Request: r, Feed: in.feed}, v, v.Files[0], "application/x-plain"); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func ask(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

// stop is what the end of a server does with the counted downloads.
func stop(t *testing.T, f *catalog.Files) {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, f.Run(over))
}

func (in *installation) downloads(t *testing.T, nameKey string) int64 {
	t.Helper()
	p, err := in.db.LoadPackage(t.Context(), in.feed.ID, nameKey)
	require.NoError(t, err)
	return p.Versions[0].Downloads
}

func TestServe(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	const text = "päckage\r\nX: y@1.0"
	v, err := in.publish(t.Context(), text)
	require.NoError(t, err)
	v.Files[0].Name = text // as nobody can call a file any more
	files := catalog.NewFiles(in.db, storage.NewSet(in.blobs, nil), dark)
	url := in.serve(t, files, v)

	resp, body := ask(t, "GET", url)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, text, body)
	tag := resp.Header.Get("ETag")
	require.Equal(t, `"`+v.Files[0].Digests[proget.SHA256]+`"`, tag)
	require.Equal(t, "application/x-plain", resp.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	require.Empty(t, resp.Header.Get("X"), "a name cannot add a header")
	require.Equal(t, "attachment; filename*=utf-8''p%C3%A4ckage%0D%0AX%3A%20y%401.0", resp.Header.Get("Content-Disposition"))
	require.EqualValues(t, len(text), resp.ContentLength)

	head, body := ask(t, "HEAD", url)
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Empty(t, body)
	require.EqualValues(t, len(text), head.ContentLength)
	require.Equal(t, tag, head.Header.Get("ETag"))

	part, body := ask(t, "GET", url, "Range", "bytes=3-5", "If-Range", tag)
	require.Equal(t, http.StatusPartialContent, part.StatusCode)
	require.Equal(t, text[3:6], body)
	end, body := ask(t, "GET", url, "Range", "bytes=-3")
	require.Equal(t, http.StatusPartialContent, end.StatusCode)
	require.Equal(t, "1.0", body)
	beyond, _ := ask(t, "GET", url, "Range", "bytes=1000-")
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, beyond.StatusCode)
	_, body = ask(t, "GET", url, "Range", "bytes=3-5", "If-Range", `"another"`)
	require.Equal(t, text, body, "a part of other bytes is no use")

	same, body := ask(t, "GET", url, "If-None-Match", `"other", `+tag)
	require.Equal(t, http.StatusNotModified, same.StatusCode)
	require.Empty(t, body)

	stop(t, files)
	require.EqualValues(t, 1, in.downloads(t, "päckage\r\nx: y"), "one was a download from the beginning to the end")
}

// TestServeAgain: a small file that was asked for before is answered from memory
// and looks the same.
func TestServeAgain(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	v, err := in.publish(t.Context(), "package@1.0")
	require.NoError(t, err)
	files := catalog.NewFiles(in.db, storage.NewSet(in.blobs, nil), dark)
	url := in.serve(t, files, v)
	first, text := ask(t, "GET", url)
	for range 3 {
		again, body := ask(t, "GET", url)
		require.Equal(t, text, body)
		for name := range first.Header {
			if name != "Date" {
				require.Equal(t, first.Header[name], again.Header[name], name)
			}
		}
		require.Equal(t, first.ContentLength, again.ContentLength)
	}
	part, body := ask(t, "GET", url, "Range", "bytes=3-5")
	require.Equal(t, http.StatusPartialContent, part.StatusCode)
	require.Equal(t, text[3:6], body)
	stop(t, files)
	require.EqualValues(t, 4, in.downloads(t, "package"))
}

// TestMissingFile: a hole in storage, or a file cut short, is the server's fault,
// is not counted, and nothing is written before the error.
func TestMissingFile(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	v, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	files := catalog.NewFiles(in.db, storage.NewSet(in.blobs, nil), dark)
	cutShort := v.Files[0]
	cutShort.Size++ // as the database has it
	require.NoError(t, in.blobs.Delete(t.Context(), v.Files[0].StorageKey))
	for _, file := range []proget.File{v.Files[0], cutShort} {
		w := httptest.NewRecorder()
		r := &feed.Request{Request: httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), Feed: in.feed}
		err = files.Serve(w, r, v, file, "text/plain")
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.Contains(t, proget.Message(err), "a@1")
		require.Empty(t, w.Header())
		require.Zero(t, w.Body.Len())
		_, err = files.Open(t.Context(), file)
		require.ErrorIs(t, err, proget.ErrUnavailable)
	}
	stop(t, files)
	require.Zero(t, in.downloads(t, "a"))
}

// TestDamagedSmallFile: the bytes of a small file are checked before they are kept
// in memory, and never served if they are others.
func TestDamagedSmallFile(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	v, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	files := catalog.NewFiles(in.db, storage.NewSet(in.blobs, nil), dark)
	url := in.serve(t, files, v)
	ask(t, "GET", url)
	v.Files[0].Digests = proget.Digests{proget.SHA256: strings.Repeat("0", 64)} // as the database has it
	again, _ := ask(t, "GET", url)
	require.Equal(t, http.StatusInternalServerError, again.StatusCode, "as in.serve answers every error")
	require.EqualValues(t, 1, files.Damaged())
}

// TestReplacedFile: a server that knows a file's former object, which went
// missing, finds the one that took its place.
func TestReplacedFile(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	former, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	require.NoError(t, in.blobs.Delete(t.Context(), former.Files[0].StorageKey))
	in.alter(t, "DELETE FROM package_file")
	in.alter(t, "DELETE FROM package_version")
	mended, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	require.NotEqual(t, former.Files[0].StorageKey, mended.Files[0].StorageKey)
	_, body := ask(t, "GET", in.serve(t, catalog.NewFiles(in.db, storage.NewSet(in.blobs, nil), dark), former))
	require.Equal(t, "a@1", body)
}

func TestOpenFile(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	v, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	c, err := catalog.NewFiles(in.db, storage.NewSet(in.blobs, nil), dark).Open(t.Context(), v.Files[0])
	require.NoError(t, err)
	defer c.Close()
	require.EqualValues(t, 3, c.Size())
	b := make([]byte, 2)
	_, err = c.ReadAt(b, 1)
	require.NoError(t, err)
	require.Equal(t, "@1", string(b))
}

// TestDownloadsAreSummed: every download on every server is in the database
// once the servers have stopped, and once only.
func TestDownloadsAreSummed(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	a, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	b, err := in.publish(t.Context(), "b@1")
	require.NoError(t, err)
	var stopping sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		files := catalog.NewFiles(in.store(t), storage.NewSet(in.blobs, nil), dark)
		stopping.Go(func() { _ = files.Run(ctx) })
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 10 {
					for v, n := range map[*proget.Version]int{a: 1, b: 2} {
						for range n {
							r := &feed.Request{Request: httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), Feed: in.feed}
							if err := files.Serve(httptest.NewRecorder(), r, v, v.Files[0], "text/plain"); err != nil {
								t.Error(err)
							}
						}
					}
				}
			})
		}
		all.Wait()
	}
	cancel()
	stopping.Wait()
	require.EqualValues(t, 160, in.downloads(t, "a"))
	require.EqualValues(t, 320, in.downloads(t, "b"))
}

// TestDownloadsOutliveAnOutage: what could not be written is written with the
// next ones, and what was written is not written again.
func TestDownloadsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	v, err := in.publish(t.Context(), "a@1")
	require.NoError(t, err)
	files := catalog.NewFiles(in.db, storage.NewSet(in.blobs, nil), dark)
	url := in.serve(t, files, v)
	_, _ = ask(t, "GET", url)
	in.alter(t, "ALTER TABLE package_version RENAME TO away")
	stop(t, files)
	_, _ = ask(t, "GET", url)
	in.alter(t, "ALTER TABLE away RENAME TO package_version")
	for range 2 {
		stop(t, files)
		require.EqualValues(t, 2, in.downloads(t, "a"))
	}
}

// TestDamagedOnTheWay: bytes that pass through the server and are not those that
// were stored end the answer short of its length, and the administrator is told.
func TestDamagedOnTheWay(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	bucket := memblob.OpenBucket(nil)
	blobs := storage.New(bucket, nil)
	defer blobs.Close()
	log := new(testenv.LogBuffer)
	files := catalog.NewFiles(in.db, storage.NewSet(blobs, nil), slog.New(slog.NewTextHandler(log, nil)))
	content := bytes.Repeat([]byte("content "), 100_000)
	stored, err := blobs.Put(t.Context(), bytes.NewReader(content), nil)
	require.NoError(t, err)
	v := &proget.Version{Files: []proget.File{{Name: "f", Size: stored.Size, Digests: stored.Digests, StorageKey: stored.Key}}}
	url := in.serve(t, files, v)
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	whole, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, whole))

	content[500_000] = 'x'
	require.NoError(t, bucket.WriteAll(t.Context(), stored.Key, content, nil))
	resp, err = http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	part, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, len(part), len(content))
	require.Eventually(t, func() bool { return files.Damaged() == 1 }, 10*time.Second, time.Millisecond)
	require.Contains(t, log.String(), stored.Key)
	_, some := ask(t, "GET", url, "Range", "bytes=0-9")
	require.Equal(t, string(content[:10]), some, "a part cannot be checked")
}

// TestManyRanges: what is no file is sent whole to who asks for several parts, which
// net/http would read beside the handler.
func TestManyRanges(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	folder, err := storage.OpenFolder(t.TempDir(), nil)
	require.NoError(t, err)
	for status, blobs := range map[int]*storage.Store{http.StatusPartialContent: folder, http.StatusOK: storage.New(memblob.OpenBucket(nil), nil)} {
		stored, err := blobs.Put(t.Context(), strings.NewReader("content"), nil)
		require.NoError(t, err)
		v := &proget.Version{Files: []proget.File{{Name: "f", Size: stored.Size, Digests: stored.Digests, StorageKey: stored.Key}}}
		resp, body := ask(t, "GET", in.serve(t, catalog.NewFiles(in.db, storage.NewSet(blobs, nil), dark), v), "Range", "bytes=0-0,2-2")
		require.Equal(t, status, resp.StatusCode)
		require.Equal(t, status == http.StatusOK, body == "content")
		require.NoError(t, blobs.Close())
	}
}
