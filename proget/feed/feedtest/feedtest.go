package feedtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
)

// A Suite describes a feed type for the tests. base is always a feed's URL. All fields
// are required unless marked optional.
type Suite struct {
	Type feed.Type

	// Push returns the request, without credentials, with which a client publishes a
	// version, and the package file in it. It must return the same file each time.
	Push func(t testing.TB, base, name, version string) (r *http.Request, file []byte)

	// SignIn adds an API key to a request as the type's own clients do.
	SignIn func(r *http.Request, key string)

	// Documents returns the URLs of the documents that list a package's versions. Each
	// must contain the version's text.
	Documents func(base, name string) []string

	// Download returns the URL of a version's file.
	Download func(base, name, version string) string

	// Repeatable says that pushing an existing version succeeds and changes nothing, as
	// where versions are named by their digests. Optional.
	Repeatable bool

	// Conflict and Denied are the statuses of a push of an existing version, and of one
	// without permission; default 409 and 403. Optional.
	Conflict, Denied int

	Name  string      // a package's name
	Names [][2]string // unusual but valid pairs of name and version; optional
	Three [3]string   // three versions, none of which is part of another's text

	// Versions are versions of Name, oldest first, for types that order versions.
	// Optional.
	Versions []Version

	// Word is a word in the description that Push creates, but in no name. Optional.
	Word string

	// Delete returns the request, without credentials, with which a client deletes a
	// version. Optional, for types without such a request.
	Delete func(t testing.TB, base, name, version string) *http.Request

	// Refused returns requests that must get a status of 400 to 499 and store nothing.
	Refused func(t testing.TB, base string) map[string]*http.Request
}

// A Version is an element of Suite.Versions.
type Version struct {
	Text       string
	Prerelease bool
}

// Run runs every test of the suite.
func Run(t *testing.T, s Suite) {
	s.check(t)
	for name, test := range map[string]func(*testing.T, Suite){
		"Visible":     testVisible,
		"Conflict":    testConflict,
		"Conditional": testConditional,
		"Blocked":     testBlocked,
		"Credentials": testCredentials,
		"Names":       testNames,
		"Order":       testOrder,
		"Delete":      testDelete,
		"Page":        testPage,
		"Refused":     testRefused,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// check fails the test if the suite or its type is incomplete.
func (s *Suite) check(t testing.TB) {
	t.Helper()
	require.True(t, s.Push != nil && s.SignIn != nil && s.Documents != nil && s.Download != nil && s.Refused != nil, "a Suite needs Push, SignIn, Documents, Download and Refused")
	require.True(t, s.Name != "" && !slices.Contains(s.Three[:], ""), "a Suite needs Name and Three")
	require.NoError(t, s.Type.Check())
}

// push publishes a version and returns its file.
func (s *Suite) push(t testing.TB, c *Cluster, name, version string) []byte {
	t.Helper()
	r, file := s.Push(t, c.Feed, name, version)
	s.SignIn(r, c.Key)
	a := Do(t, r)
	require.Equal(t, 2, a.StatusCode/100, "push of %s %s: %s %s", name, version, a.Status, a.Body)
	return file
}

// testVisible: once a node has acknowledged a push, every node shows the version.
func testVisible(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	for _, version := range s.Three {
		file := s.push(t, c, s.Name, version)
		for _, node := range c.Nodes {
			for _, url := range s.Documents(node+c.mount, s.Name) {
				a := Get(t, url)
				require.Equal(t, http.StatusOK, a.StatusCode, url)
				require.Contains(t, string(a.Body), version, url)
			}
			a := Get(t, s.Download(node+c.mount, s.Name, version))
			require.Equal(t, http.StatusOK, a.StatusCode)
			require.Equal(t, file, a.Body, "byte for byte")
		}
	}
}

// testConflict: of many concurrent pushes of one version, exactly one succeeds; if the
// type is Repeatable, all do, and there is one version.
func testConflict(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	const publishers = 8
	var mu sync.Mutex
	statuses := make(map[int]int)
	var all sync.WaitGroup
	for n := range publishers {
		r, _ := s.Push(t, c.Nodes[n%len(c.Nodes)]+c.mount, s.Name, s.Three[0])
		s.SignIn(r, c.Key)
		all.Go(func() {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if !assert.NoError(t, err) {
				return
			}
			_ = resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			statuses[resp.StatusCode/100*100]++
			if resp.StatusCode >= 300 {
				assert.Equal(t, cmp.Or(s.Conflict, http.StatusConflict), resp.StatusCode)
			}
		})
	}
	all.Wait()
	want := map[int]int{200: 1, 400: publishers - 1}
	if s.Repeatable {
		want = map[int]int{200: publishers}
	}
	require.Equal(t, want, statuses)
	require.Equal(t, 1, c.Files(t), "the others left nothing")
}

// testConditional: documents and files are revalidated, and sent in part.
func testConditional(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	s.push(t, c, s.Name, s.Three[0])
	for _, url := range append(s.Documents(c.Feed, s.Name), s.Download(c.Feed, s.Name, s.Three[0])) {
		whole := Get(t, url)
		require.Equal(t, http.StatusOK, whole.StatusCode)
		tag := whole.Header.Get("ETag")
		require.True(t, strings.HasPrefix(tag, `"`), "a strong ETag: %s", tag)
		same := Get(t, url, "If-None-Match", tag)
		require.Equal(t, http.StatusNotModified, same.StatusCode, url)
		require.Empty(t, same.Body)
		head := Do(t, Request(t, http.MethodHead, url, nil, "Accept-Encoding", "identity"))
		require.Equal(t, http.StatusOK, head.StatusCode)
		require.Equal(t, whole.Header.Get("Content-Length"), head.Header.Get("Content-Length"))
		require.Equal(t, tag, head.Header.Get("ETag"))
		part := Get(t, url, "Range", "bytes=2-5")
		require.Equal(t, http.StatusPartialContent, part.StatusCode)
		require.Equal(t, whole.Body[2:6], part.Body)
		require.Equal(t, http.StatusRequestedRangeNotSatisfiable, Get(t, url, "Range", "bytes=99999999-").StatusCode)
	}
	s.push(t, c, s.Name, s.Three[1])
	for _, url := range s.Documents(c.Feed, s.Name) {
		first := Get(t, url)
		again := Get(t, url, "If-None-Match", first.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.StatusCode, "the same on every node")
	}
}

// testCredentials: a push needs a key that permits it, and refusals explain themselves
// in a sentence.
func testCredentials(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	key := func(permissions ...string) string { return c.key(t, &s, permissions...) }
	for _, tc := range []struct {
		name   string
		signIn func(r *http.Request)
		status int
	}{
		{"nobody", func(*http.Request) {}, http.StatusUnauthorized},
		{"wrong key", func(r *http.Request) { s.SignIn(r, "no-such-key") }, http.StatusUnauthorized},
		{"wrong password", func(r *http.Request) { r.SetBasicAuth("Admin", "wrong") }, http.StatusUnauthorized},
		{"key to read with", func(r *http.Request) { s.SignIn(r, key("view")) }, cmp.Or(s.Denied, http.StatusForbidden)},
		{"key to publish with", func(r *http.Request) { s.SignIn(r, key("view", "add")) }, 0},
	} {
		r, _ := s.Push(t, c.Feed, s.Name, s.Three[0])
		tc.signIn(r)
		a := Do(t, r)
		if tc.status == 0 {
			require.Equal(t, 2, a.StatusCode/100, "%s: %s", tc.name, a.Body)
			continue
		}
		require.Equal(t, tc.status, a.StatusCode, "%s: %s", tc.name, a.Body)
		require.Greater(t, len(a.Body), 20, "%s: a sentence, not %q", tc.name, a.Body)
		if tc.status == http.StatusUnauthorized {
			require.NotEmpty(t, a.Header.Get("WWW-Authenticate"))
		}
		require.Zero(t, c.Files(t))
	}
	for version, name := range map[string]string{s.Three[1]: "Admin", s.Three[2]: "api"} {
		r, _ := s.Push(t, c.Feed, s.Name, version)
		r.SetBasicAuth(name, map[string]string{"Admin": c.Password, "api": c.Key}[name])
		a := Do(t, r)
		require.Equal(t, 2, a.StatusCode/100, "%s: %s", name, a.Body)
	}
}

// testNames: unusual but valid names and versions work from push to download.
func testNames(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	for _, odd := range s.Names {
		name, version := odd[0], odd[1]
		file := s.push(t, c, name, version)
		require.Equal(t, file, Get(t, s.Download(c.Feed, name, version)).Body, "%s %s", name, version)
		for _, url := range s.Documents(c.Feed, name) {
			require.Equal(t, http.StatusOK, Get(t, url).StatusCode, url)
		}
	}
}

// testRefused: broken or hostile files are refused with a reason, and leave nothing
// behind.
func testRefused(t *testing.T, s Suite) {
	c := Start(t, s.Type)
	for name, r := range s.Refused(t, c.Feed) {
		s.SignIn(r, c.Key)
		a := Do(t, r)
		require.Equal(t, 4, a.StatusCode/100, "%s: %s %s", name, a.Status, a.Body)
		require.Greater(t, len(a.Body), 20, "%s: a sentence, not %q", name, a.Body)
		for _, word := range []string{"SELECT", "goroutine", c.folder, ".go:"} {
			require.NotContains(t, string(a.Body), word, name)
		}
		require.Zero(t, c.Files(t), "%s: nothing is stored", name)
	}
	for n, node := range c.Nodes {
		require.Equal(t, http.StatusOK, Get(t, node+"/health/ready").StatusCode, fmt.Sprint("node ", n))
	}
}
