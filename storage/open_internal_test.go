package storage

import (
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFolderOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url     string
		windows bool
		want    string // "": an error
	}{
		{"file:///srv/packages", false, "/srv/packages"},
		{"file://localhost/srv/packages", false, "/srv/packages"},
		{"file:///srv/my%20packages", false, "/srv/my packages"},
		{"file://nas/packages", false, ""},
		{"file:///D:/packages", true, "D:/packages"},
		{"file://nas/packages", true, "//nas/packages"},
		{"file://localhost/D:/packages", true, "D:/packages"},
		{"file:packages", false, ""},
		{"file:///", true, ""},
		{"file:///a#b", false, ""},
	} {
		u, err := url.Parse(c.url)
		require.NoError(t, err)
		got, err := folderOf(u, c.windows)
		if c.want == "" {
			require.Error(t, err, c.url)
			continue
		}
		require.NoError(t, err, c.url)
		require.Equal(t, c.want, filepath.ToSlash(got))
	}
}
