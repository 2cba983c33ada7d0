package storage_test

import (
	"context"
	"io/fs"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/storage"
)

// fileURL returns the URL of a folder.
func fileURL(dir string) string {
	path := filepath.ToSlash(dir)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // "/C:/Temp"
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

func TestOpenMemory(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"mem:", "mem://"} {
		s, err := storage.Open(t.Context(), u, &storage.Options{PartSize: -1, Concurrency: -1})
		require.NoError(t, err)
		require.NoError(t, s.CheckWritable(t.Context(), "node"))
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "there is nothing to close any more")
	}
}

func TestOpenFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	s, err := storage.Open(t.Context(), fileURL(dir), nil)
	require.NoError(t, err)
	require.NoError(t, s.CheckWritable(t.Context(), "node"))
	require.DirExists(t, dir)

	_, err = storage.Open(t.Context(), fileURL(filepath.Join(t.TempDir(), "missing", "new")), nil)
	require.Error(t, err, "the parent is missing")
}

func TestRelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := storage.OpenFolder("packages", nil)
	require.NoError(t, err)
	defer s.Close()
	t.Chdir(t.TempDir())
	_, err = s.NewProbe(t.Context(), "a")
	require.NoError(t, err, "that the working directory changes later is no matter")
	_, err = storage.OpenFolder("missing/packages", nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestOpenWrongURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, says string }{
		{"", "use file:///folder"},
		{"/srv/packages", `"/srv/packages" is a path: write it as a URL, file:///srv/packages`},
		{`C:\packages`, "use file:///folder"},
		{"s3://bucket", `the service of package storage/s3 to Options.Services`},
		{"azblob://container", `the service of package storage/azure to Options.Services`},
		{"gs://bucket", `the service of package storage/gcs to Options.Services`},
		{"ftp://host", `no driver for such a URL`},
		{"http://[", "this is not a URL; use file:///folder"},
		{"file:packages", "absolute path"},
		{"file://", "absolute path"},
		{"file:///", "absolute path"},
		{"file:///srv/packages?create_dir=1", "nothing but a path"},
		{"mem://x", "nothing after it"},
	} {
		_, err := storage.Open(t.Context(), c.url, nil)
		require.ErrorContains(t, err, c.says, c.url)
		require.NotContains(t, err.Error(), "\n")
	}
	_, err := storage.OpenFolder("", nil)
	require.ErrorContains(t, err, "name of the folder is missing", "it would be the working directory")
	_, err = storage.Open(t.Context(), "acme://x", &storage.Options{Services: []storage.Service{{Scheme: "acme"}}})
	require.ErrorContains(t, err, "has no Open")
	if runtime.GOOS != "windows" {
		_, err := storage.Open(t.Context(), "file://server/share", nil)
		require.ErrorContains(t, err, "three slashes")
	}
}

// TestRelease: what a service holds beside its bucket is freed with it, also where the
// bucket cannot be used.
func TestRelease(t *testing.T) {
	t.Parallel()
	released := 0
	bucket := memblob.OpenBucket(nil)
	opts := &storage.Options{Services: []storage.Service{{Scheme: "acme", Open: func(context.Context, *url.URL) (*storage.Bucket, error) {
		return &storage.Bucket{Bucket: bucket, Release: func() error { released++; return nil }}, nil
	}}}}
	st, err := storage.Open(t.Context(), "acme://bucket?prefix=a", opts)
	require.NoError(t, err)
	require.NoError(t, st.Close())
	require.Equal(t, 1, released)
	_, err = storage.Open(t.Context(), "acme://bucket", opts)
	require.Error(t, err, "the bucket is closed by now")
	require.Equal(t, 2, released)
}
