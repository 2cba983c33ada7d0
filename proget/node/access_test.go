package node_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/feed/maven"
	"github.com/proget-go/ha/proget/feed/npm"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/feed/oci"
	"github.com/proget-go/ha/proget/feed/pypi"
	"github.com/proget-go/ha/proget/feed/universal"
	"github.com/proget-go/ha/proget/node"
)

// An audience is who may use a route.
type audience int

const (
	everybody      audience = iota // whatever key comes along: nobody looks at it
	strangers                      // whoever comes without a key, or with a good one
	viewers                        // who may view the feed
	publishers                     // who may publish to it
	managers                       // who may delete from it
	users                          // who have a password
	administrators                 // of the installation
)

// A rule says who may use a route, by a request to it.
type rule struct {
	route   string // a pattern of the node's, or a feed type and one of its operations
	request string // method and path
	body    string // its media type, a blank, and the rest; "" for none
	who     audience
	status  int // what who may is answered; 0 for success
}

// callers are who tries each route, in this order.
var callers = []string{"anonymous", "a wrong key", "a key of another feed", "a key to read with", "an administrator"}

const (
	anonymous = iota
	wrong
	other
	reader
	admin
)

// accessWorld is an installation that nobody may use without a key.
type accessWorld struct {
	*world
	url      string
	types    []feed.Type
	patterns []string
	keys     [5]string // of the callers
	state    *sql.DB
}

func newAccessWorld(t *testing.T) *accessWorld {
	t.Helper()
	w := &accessWorld{world: newWorld(t), types: []feed.Type{nuget.New(nil), maven.New(), npm.New(), pypi.New(), oci.New(), universal.New(nil), asset.New()}}
	server, n := w.startNode(t, "a", webOnly, func(c *node.Config) { c.Feeds = w.types })
	w.url, w.patterns = server.URL, n.Patterns()
	sendForm(t, w.url+"/administration/user/revoke?subject=anonymous", "feed=")
	manage(t, http.StatusOK, "POST", w.url+"/api/management/feeds/create", `{"name":"other","feedType":"nuget"}`)
	w.keys[wrong], w.keys[admin] = "no-such-key-as-this", administrator
	w.keys[other], _ = newKey(t, w.url, `{"type":"Feed","feed":"other","packagePermissions":["view","add","delete"]}`)
	w.keys[reader], _ = newKey(t, w.url, `{"type":"Feed","packagePermissions":["view"]}`)
	var err error
	w.state, err = sql.Open("sqlite", w.database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.state.Close() })
	return w
}

// sendForm sends a form as the administrator.
func sendForm(t *testing.T, url, fields string) {
	t.Helper()
	resp, text := ask(t, "POST", url, []byte(fields), "X-ApiKey", administrator, "Content-Type", formType)
	require.Equal(t, http.StatusSeeOther, resp.StatusCode, "%s: %s", url, text)
}

// kept are the tables in which nothing changes by itself.
var kept = []string{"storage", "feed", "feed_log", "package", "package_version", "package_tag", "blob", "package_file", "file_alias", "upload", "upload_part",
	"deleted_version", "deleted_file", "deleted_tag", "retention_rule", "user_account", "api_key", "permission", "setting", "job", "schedule", "node"}

// fingerprint is of all that a request could have changed.
func (w *accessWorld) fingerprint(t *testing.T) string {
	t.Helper()
	sum := sha256.New()
	for _, table := range kept {
		columns := cmp.Or(map[string]string{
			"node":            "name",                                              // its heart beats
			"package_version": "version_id, listed, deprecated, blocked, manifest", // downloads are counted late
		}[table], "*")
		rows, err := w.state.QueryContext(t.Context(), "SELECT "+columns+" FROM "+table)
		require.NoError(t, err)
		names, err := rows.Columns()
		require.NoError(t, err)
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			require.NoError(t, rows.Scan(into...))
			_, _ = fmt.Fprintln(sum, table, values)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	return fmt.Sprintf("%s and %d files", hex.EncodeToString(sum.Sum(nil)), w.files(t))
}

// served lists all that the node serves: patterns, and in the place of the feeds'
// mounts the operations of their types.
func (w *accessWorld) served() (routes []string) {
	mounts := make(map[string]bool)
	for _, t := range w.types {
		for op := range t.Operations {
			routes = append(routes, t.Name+" "+string(op))
		}
		for _, mount := range append([]string{t.MountName()}, t.Mounts...) {
			mounts["/"+mount+"/{feed}"], mounts["/"+mount+"/{feed}/{rest...}"] = true, true
		}
	}
	for _, p := range w.patterns {
		if !mounts[p] {
			routes = append(routes, p)
		}
	}
	return routes
}

// routeOf returns the route that answers a request.
func (w *accessWorld) routeOf(r *http.Request) (route string) {
	var mux http.ServeMux
	for _, p := range slices.Compact(slices.Sorted(slices.Values(w.patterns))) {
		mux.HandleFunc(p, func(_ http.ResponseWriter, r *http.Request) { route = w.operation(p, r) })
	}
	mux.ServeHTTP(httptest.NewRecorder(), r)
	return route
}

func (w *accessWorld) operation(pattern string, r *http.Request) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	_, rest, _ = strings.Cut(rest, "/")
	for _, t := range w.types {
		if r.PathValue("feed") == t.Name && strings.HasPrefix(pattern, "/"+first+"/{feed}") {
			op := t.Handler(feed.Services{}).Operation(&feed.Request{Request: r, Mount: first, Path: rest})
			return t.Name + " " + string(op)
		}
	}
	return pattern
}

// TestAccess tries every route as everybody who might. A route without a rule
// fails it, and so does a refusal that changes anything.
func TestAccess(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	ruled := make(map[string]bool)
	for _, r := range accessRules(t) {
		method, path, _ := strings.Cut(r.request, " ")
		require.Equal(t, r.route, w.routeOf(httptest.NewRequestWithContext(context.Background(), method, path, nil)), "the rule is of another route than %s", r.request)
		ruled[r.route] = true
		w.try(t, r, method, path)
	}
	for _, route := range w.served() {
		assert.True(t, ruled[route], "nothing says who may use the route %q: give it a rule", route)
	}
}

func (w *accessWorld) try(t *testing.T, r rule, method, path string) {
	t.Helper()
	contentType, body, _ := strings.Cut(r.body, " ")
	before := w.fingerprint(t)
	for who, name := range callers {
		header := []string{"Content-Type", contentType}
		if w.keys[who] != "" {
			header = append(header, "X-ApiKey", w.keys[who])
		}
		resp, text := ask(t, method, w.url+path, []byte(body), header...)
		refused := r.refusal(who)
		said := fmt.Sprintf("%s as %s: %d %.300s", r.request, name, resp.StatusCode, text)
		switch {
		case refused == http.StatusSeeOther:
			assert.Equal(t, refused, resp.StatusCode, said)
			assert.True(t, strings.HasPrefix(resp.Header.Get("Location"), "/sign-in?"), said)
		case refused != 0:
			assert.Equal(t, refused, resp.StatusCode, said)
			assert.Greater(t, len(text), 20, said)
		case r.status != 0:
			assert.Equal(t, r.status, resp.StatusCode, said)
		default:
			assert.Contains(t, []int{2, 3}, resp.StatusCode/100, said)
			assert.False(t, r.who > strangers && strings.HasPrefix(resp.Header.Get("Location"), "/sign-in"), said)
		}
		if refused != 0 {
			assert.Equal(t, before, w.fingerprint(t), "%s was refused to %s, and changed something", r.request, name)
		}
	}
}

// refusal is the status with which a caller is turned away; 0 for one who may.
func (r rule) refusal(who int) int {
	page := !strings.Contains(r.route, "/api/") && strings.Contains(r.route, " /")
	switch {
	case r.who == everybody:
		return 0
	case who == wrong:
		return http.StatusUnauthorized
	case r.who == strangers || who == admin || who == reader && r.who == viewers:
		return 0
	case who == anonymous && page:
		return http.StatusSeeOther
	case who == anonymous, strings.HasPrefix(r.route, "asset "): // as ProGet does
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}
