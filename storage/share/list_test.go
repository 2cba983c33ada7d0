package share

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
)

func list(t *testing.T, b *bucket, prefix, delimiter string) []string {
	t.Helper()
	var keys []string
	objects := blob.NewBucket(b).List(&blob.ListOptions{Prefix: prefix, Delimiter: delimiter})
	for {
		o, err := objects.Next(t.Context())
		if err == io.EOF {
			return keys
		}
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
}

// pages lists in pages of a given size.
func pages(t *testing.T, b *bucket, opts driver.ListOptions) (keys []string, pages int) {
	t.Helper()
	for {
		page, err := b.ListPaged(t.Context(), &opts)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Objects), opts.PageSize)
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
		}
		pages++
		if len(page.NextPageToken) == 0 {
			return keys, pages
		}
		opts.PageToken = page.NextPageToken
	}
}

func TestListOrder(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	keys := []string{"d", "dir1/x", "dir2/x", "dir2/y", "t-/t", "t-a", "t.b", "t/t/t", "t/u", "t0", "testFile1"}
	for _, key := range keys {
		require.NoError(t, write(t, b, key, "x"))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(b.dir, "empty", "folder"), 0o750))
	require.True(t, slices.IsSorted(keys))
	for _, c := range []struct {
		prefix, delimiter string
		want              []string
	}{
		{"", "", keys},
		{"", "/", []string{"d", "dir1/", "dir2/", "t-/", "t-a", "t.b", "t/", "t0", "testFile1"}},
		{"dir", "/", []string{"dir1/", "dir2/"}},
		{"dir2/", "/", []string{"dir2/x", "dir2/y"}},
		{"t/", "/", []string{"t/t/", "t/u"}},
		{"t", "", []string{"t-/t", "t-a", "t.b", "t/t/t", "t/u", "t0", "testFile1"}},
		{"", "t", []string{"d", "dir1/x", "dir2/x", "dir2/y", "t"}},
		{"", "/t", []string{"d", "dir1/x", "dir2/x", "dir2/y", "t-/t", "t-a", "t.b", "t/t", "t/u", "t0", "testFile1"}},
		{"none", "/", nil},
		{"../", "", nil},
	} {
		for size := 1; size <= len(keys)+1; size++ {
			got, n := pages(t, b, driver.ListOptions{Prefix: c.prefix, Delimiter: c.delimiter, PageSize: size})
			require.Equal(t, c.want, got, "%+v by %d", c, size)
			require.Equal(t, max(1, (len(c.want)+size-1)/size), n, "%+v by %d", c, size)
		}
	}
}

// TestListIsLazy: a page does not read the folders of the others.
func TestListIsLazy(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	for i := range 30 {
		require.NoError(t, write(t, b, fmt.Sprintf("blobs/%02d/x", i), "x"))
	}
	s := watch(b, nil)
	page, err := b.ListPaged(t.Context(), &driver.ListOptions{PageSize: 2})
	require.NoError(t, err)
	require.Len(t, page.Objects, 2)
	require.Equal(t, []string{"list ", "list blobs/", "list blobs/00/", "list blobs/01/", "list blobs/02/"}, s.taken)

	s.taken = nil
	_, err = b.ListPaged(t.Context(), &driver.ListOptions{PageSize: 2, PageToken: []byte("blobs/17/x")})
	require.NoError(t, err)
	require.Equal(t, []string{"list ", "list blobs/", "list blobs/17/", "list blobs/18/", "list blobs/19/", "list blobs/20/"}, s.taken)
}
