package feedtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// A listed version is a version as the native API lists it.
type listed struct{ PURL, Group, Name, Version, SHA256 string }

// versions returns the versions that the native API lists for the feed.
func (c *Cluster) versions(t testing.TB, s *Suite, query string) (all []listed) {
	t.Helper()
	a := Get(t, c.URL+"/api/packages/"+s.Type.Name+"/versions"+query)
	require.Equal(t, http.StatusOK, a.StatusCode, "the native API: %s", a.Body)
	require.NoError(t, json.Unmarshal(a.Body, &all), "the native API: %s", a.Body)
	return all
}

// find returns the version that has a file, whatever its name.
func (c *Cluster) find(t testing.TB, s *Suite, file []byte) listed {
	t.Helper()
	sum := sha256.Sum256(file)
	for _, v := range c.versions(t, s, "") {
		if v.SHA256 == hex.EncodeToString(sum[:]) {
			return v
		}
	}
	require.Fail(t, "the native API does not list the version that was pushed")
	return listed{}
}

// native sends a request about a version to the native API.
func (c *Cluster) native(t testing.TB, s *Suite, method, what string, v listed, body string) Answer {
	t.Helper()
	return Do(t, Request(t, method, c.URL+"/api/packages/"+s.Type.Name+"/"+what+"?purl="+url.QueryEscape(v.PURL), []byte(body), "X-ApiKey", c.Key, "Accept-Encoding", "identity"))
}

// key creates a key with some permissions in the feed.
func (c *Cluster) key(t testing.TB, s *Suite, permissions ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"type": "Feed", "feed": s.Type.Name, "packagePermissions": permissions})
	require.NoError(t, err)
	a := Do(t, Request(t, http.MethodPost, c.URL+"/api/api-keys/create", body, "X-ApiKey", "Admin:"+c.Password, "Content-Type", "application/json"))
	require.Equal(t, http.StatusOK, a.StatusCode, string(a.Body))
	var made struct{ Key string }
	require.NoError(t, json.Unmarshal(a.Body, &made))
	return made.Key
}

// hide removes everybody's permission to view feeds.
func (c *Cluster) hide(t testing.TB) {
	t.Helper()
	a := Do(t, Request(t, http.MethodPost, c.URL+"/administration/user/revoke?subject=anonymous", []byte("feed="),
		"X-ApiKey", "Admin:"+c.Password, "Content-Type", "application/x-www-form-urlencoded"))
	require.Equal(t, http.StatusSeeOther, a.StatusCode, string(a.Body))
}

// testBlocked: no node serves the file of a blocked version to anybody, or deletes it for
// a client of the feed, which would end the block.
func testBlocked(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	file := s.push(t, c, s.Name, s.Three[0])
	v := c.find(t, &s, file)
	for _, blocked := range []bool{true, false} {
		body := map[bool]string{true: `{"allow":false}`, false: `{"allow":true}`}[blocked]
		a := c.native(t, &s, http.MethodPost, "status", v, body)
		require.Equal(t, http.StatusOK, a.StatusCode, "the native API: %s", a.Body)
		for _, node := range c.Nodes {
			a := Get(t, s.Download(node+c.mount, s.Name, s.Three[0]))
			if blocked {
				require.Equal(t, 4, a.StatusCode/100, "a blocked version is refused: %s", a.Status)
				require.Contains(t, string(a.Body), "blocked")
				s.requireKept(t, c)
			} else {
				require.Equal(t, file, a.Body, "and served again")
			}
		}
	}
}

// requireKept asserts that a client cannot delete the blocked version.
func (s *Suite) requireKept(t testing.TB, c *Cluster) {
	t.Helper()
	if s.Delete == nil {
		return
	}
	r := s.Delete(t, c.Feed, s.Name, s.Three[0])
	s.SignIn(r, c.Key)
	a := Do(t, r)
	require.Equal(t, 4, a.StatusCode/100, "a blocked version is not deleted: %s", a.Status)
	require.Contains(t, string(a.Body), "blocked")
}
