package feedtest

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
)

// testOrder: versions have the order, and are prereleases, as the suite says.
func testOrder(t *testing.T, s Suite) {
	if len(s.Versions) == 0 {
		t.Skip("the suite has no Versions")
	}
	for i, newer := range s.Versions {
		_, file := s.Push(t, "http://localhost", s.Name, newer.Text)
		m, err := s.Type.Inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(file), Size: int64(len(file))})
		require.NoError(t, err, newer.Text)
		require.Equal(t, newer.Prerelease, m.Prerelease, "whether %s is a prerelease", newer.Text)
		key := s.Type.VersionKey(newer.Text)
		require.Zero(t, s.Type.CompareVersions(key, key), newer.Text)
		for _, older := range s.Versions[:i] {
			require.Negative(t, s.Type.CompareVersions(s.Type.VersionKey(older.Text), key), "%s is older than %s", older.Text, newer.Text)
			require.Positive(t, s.Type.CompareVersions(key, s.Type.VersionKey(older.Text)), "%s is newer than %s", newer.Text, older.Text)
		}
	}
}

// testDelete: a key that may only view or publish cannot delete.
func testDelete(t *testing.T, s Suite) {
	if s.Delete == nil {
		t.Skip("the suite has no Delete")
	}
	c := Start(t, s.Type)
	file := s.push(t, c, s.Name, s.Three[0])
	for _, permissions := range [][]string{nil, {"view"}, {"view", "add"}} {
		r := s.Delete(t, c.Feed, s.Name, s.Three[0])
		if permissions != nil {
			s.SignIn(r, c.key(t, &s, permissions...))
		}
		a := Do(t, r)
		require.Equal(t, 4, a.StatusCode/100, "with %v: %s", permissions, a.Status)
		require.Equal(t, file, Get(t, s.Download(c.Feed, s.Name, s.Three[0])).Body, "with %v: nothing is gone", permissions)
	}
	r := s.Delete(t, c.Feed, s.Name, s.Three[0])
	s.SignIn(r, c.Key)
	a := Do(t, r)
	require.Equal(t, 2, a.StatusCode/100, "%s: %s", a.Status, a.Body)
}

// testPage: pages and the native API serve what was pushed, to those only who may view
// the feed.
func testPage(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	file := s.push(t, c, s.Name, s.Three[0])
	v := c.find(t, &s, file)
	require.NotEmpty(t, v.Name)
	require.NotEmpty(t, v.Version)
	a := c.native(t, &s, http.MethodGet, "download", v, "")
	require.Equal(t, file, a.Body, "the native API's download")
	require.Contains(t, a.Header.Get("Content-Disposition"), "filename", "the file has a name")
	full := s.Type.Naming.Join(v.Group, v.Name)
	page := Get(t, c.URL+"/feeds/"+s.Type.Name+"/package?name="+url.QueryEscape(full))
	require.Equal(t, http.StatusOK, page.StatusCode, "the page of %s: %s", full, page.Body)
	if s.Word != "" {
		require.Contains(t, string(page.Body), s.Word, "Summary's description on the page")
		require.Eventually(t, func() bool { // until the index is complete, searches look at names only
			found := Get(t, c.URL+"/feeds/"+s.Type.Name+"?q="+url.QueryEscape(s.Word))
			return bytes.Contains(found.Body, []byte("package?name="))
		}, 30*time.Second, 20*time.Millisecond, "what Summary tells is found")
	}
	c.hide(t)
	for _, address := range slices.Concat(s.Documents(c.Feed, s.Name), []string{s.Download(c.Feed, s.Name, s.Three[0])}) {
		require.Equal(t, 4, Get(t, address).StatusCode/100, "nobody reads a feed that they may not view: %s", address)
	}
}
