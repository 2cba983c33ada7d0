package node_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A visitor is an administrator with a browser.
type visitor struct {
	t      *testing.T
	client *http.Client
}

func newVisitor(t *testing.T, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	v := &visitor{t, &http.Client{Jar: jar}}
	status, _ := v.post(base+"/sign-in", "user", "Admin", "password", "password")
	require.Equal(t, http.StatusOK, status)
	return v
}

func (v *visitor) get(page string) string {
	v.t.Helper()
	_, text := v.do(http.MethodGet, page, "")
	return text
}

func (v *visitor) post(page string, fields ...string) (status int, text string) {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.do(http.MethodPost, page, form.Encode())
}

func (v *visitor) do(method, where, body string) (status int, text string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, where, strings.NewReader(body))
	require.NoError(v.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(req)
	require.NoError(v.t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(v.t, err)
	return resp.StatusCode, string(page)
}

var stepDownButton = regexp.MustCompile(`name="term" value="(\d+)"`)

// TestStepDown: any node's page makes the primary hand over, whichever it is, and
// a click on an old page does nothing.
func TestStepDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []string{w.start(t, "one").URL, w.start(t, "two").URL}
	v := newVisitor(t, nodes[0])
	primary := func() (name, term string) {
		page := v.get(nodes[1] + "/administration/cluster")
		at := strings.Index(page, ">primary<")
		if m := stepDownButton.FindStringSubmatch(page); at > 0 && m != nil {
			name = regexp.MustCompile(`<th scope="row">(\w+) `).FindStringSubmatch(page)[1]
			return name, m[1]
		}
		return "", ""
	}
	var name, term string
	require.Eventually(t, func() bool { name, term = primary(); return name != "" }, 20*time.Second, 20*time.Millisecond)
	status, text := v.post(nodes[1]+"/administration/cluster/step-down", "term", term)
	require.Equal(t, http.StatusOK, status, text)
	var next, newTerm string
	require.Eventually(t, func() bool {
		next, newTerm = primary()
		if next == name && newTerm != term { // the other was too slow: once more
			_, _ = v.post(nodes[1]+"/administration/cluster/step-down", "term", newTerm)
		}
		return next != "" && next != name
	}, time.Minute, 20*time.Millisecond)
	status, _ = v.post(nodes[0]+"/administration/cluster/step-down", "term", term)
	require.Equal(t, http.StatusConflict, status)
	require.NotEqual(t, term, newTerm)
	require.Contains(t, v.get(nodes[0]+"/administration/cluster"), ", term "+term+": ", "the former term is in the drawing")
}

// TestModesEverywhere: what one node is told to switch on or off, the next
// request to another finds so.
func TestModesEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "one").URL, w.start(t, "two").URL
	v := newVisitor(t, a)
	for _, on := range []string{"true", "false", "true"} {
		for _, mode := range []string{"load-balancing", "high-availability"} {
			status, text := v.post(a+"/administration/"+mode, "on", on)
			require.Equal(t, http.StatusOK, status, text)
		}
		page := v.get(b + "/administration")
		require.Equal(t, on == "true", strings.Contains(page, "Indexing Cluster Health"))
		require.Equal(t, on != "true", strings.Contains(page, "Service Status"))
		require.Equal(t, map[string]int{"true": 2, "false": 0}[on], strings.Count(page, `<span class="badge good">enabled</span>`))
		a, b = b, a
	}
}
