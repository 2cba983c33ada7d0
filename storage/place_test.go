package storage_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/storage"
)

// TestOverlaps: two places overlap if one is the other, or lies inside it.
func TestOverlaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"file:///srv/packages", "file:///srv/packages", true},
		{"file:///srv/packages", "file:///srv/packages/blobs/archive", true},
		{"file:///srv/packages/", "file:///srv/other/../packages/x", true},
		{"file:///srv/packages", "file:///srv/packages2", false},
		{"file:///srv/packages", "file:///srv/archive", false},
		{"file:///srv/packages", "s3://bucket", false},
		{"s3://bucket", "s3://bucket", true},
		{"s3://bucket?region=a", "s3://bucket?prefix=x&region=b&use_path_style=true", true},
		{"s3://bucket?prefix=x", "s3://bucket?prefix=x/blobs/", true},
		{"s3://bucket?prefix=x", "s3://bucket?prefix=xy", false},
		{"s3://bucket?prefix=x", "s3://bucket?prefix=y", false},
		{"s3://bucket", "s3://other", false},
		{"s3://bucket?endpoint=https://Host/", "s3://bucket?endpoint=https://host", true},
		{"s3://bucket?endpoint=https://host", "s3://bucket", false},
		{"azblob://c?storage_account=a", "azblob://c?storage_account=b", false},
		{"gs://bucket", "s3://bucket", false},
		{"gs://bucket", "gs://bucket?prefix=x/", true},
		{"mem:", "mem:", false},
		{"://", "://", false},
		{"file:///srv?x=y", "file:///srv?x=y", false}, // refused by Open
	} {
		a, b := storage.PlaceOf(c.a), storage.PlaceOf(c.b)
		require.Equal(t, c.want, a.Overlaps(b), "%s %s", c.a, c.b)
		require.Equal(t, c.want, b.Overlaps(a), "%s %s", c.b, c.a)
	}
}

// TestOverlapsBehindLinks: a link is where it leads, also above what is not there
// yet.
func TestOverlapsBehindLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	packages, link := filepath.Join(dir, "packages"), filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(packages, 0o700))
	if err := os.Symlink(packages, link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	s, err := storage.OpenFolder(packages, nil)
	require.NoError(t, err)
	defer s.Close()
	require.True(t, s.Place().Overlaps(storage.PlaceOf(fileURL(link))))
	require.True(t, s.Place().Overlaps(storage.PlaceOf(fileURL(filepath.Join(link, "blobs", "archive")))))
	require.False(t, s.Place().Overlaps(storage.PlaceOf(fileURL(filepath.Join(dir, "archive")))))
}
