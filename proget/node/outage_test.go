package node_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/internal/netfault"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/npm"
	"github.com/proget-go/ha/proget/feed/universal"
	"github.com/proget-go/ha/proget/node"
)

// An outage is a node that can lose its database, and another that cannot.
type outage struct {
	cut, whole *httptest.Server
	proxy      *netfault.Proxy
	spans      *tracetest.InMemoryExporter // of the requests to cut that are sent by meanwhile
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	server := testenv.StartPostgres(t)
	url := server.NewDatabase(t)
	o := &outage{proxy: testenv.StartProxy(t, server.Host()), spans: tracetest.NewInMemoryExporter()}
	provider := sdk.NewTracerProvider(sdk.WithSyncer(o.spans), sdk.WithSampler(sdk.ParentBased(sdk.NeverSample())))
	w := newWorld(t)
	start := func(name, url string) *httptest.Server {
		return w.start(t, name, webOnly, func(c *node.Config) {
			store, err := postgres.Open(t.Context(), url, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, store.Close()) })
			c.DB, c.Tracing, c.Feeds = store, provider, []feed.Type{universal.New(nil), npm.New()}
		})
	}
	o.whole = start("whole", url)
	o.cut = start("cut", strings.Replace(url, server.Host(), o.proxy.Address(), 1))
	return o
}

// begin cuts the one node off, and returns when it knows.
func (o *outage) begin(t *testing.T) {
	t.Helper()
	o.proxy.Cut()
	require.Eventually(t, func() bool {
		resp, _ := ask(t, "GET", o.cut.URL+"/npm/npm/-/ping", nil)
		return resp.Header.Get("Warning") != ""
	}, waitLong, waitShort)
}

// A request is one of those that are sent at once.
type request struct {
	method, path string
	body         []byte
	header       []string
}

// meanwhile sends requests to the node that is cut off, ends that when each has found
// out, and returns what they are answered with.
func (o *outage) meanwhile(t *testing.T, requests []request) []int {
	t.Helper()
	answers := make([]int, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() {
			parent := fmt.Sprintf("00-%032x-b7ad6b7169203331-01", i+1)
			resp, _ := ask(t, r.method, o.cut.URL+r.path, r.body, append(r.header, "traceparent", parent)...)
			t.Log(r.method, r.path, resp.Status)
			answers[i] = resp.StatusCode
		})
	}
	assert.Eventually(t, func() bool {
		asked := make(map[trace.TraceID]bool)
		for _, s := range o.spans.GetSpans() {
			asked[s.SpanContext.TraceID()] = asked[s.SpanContext.TraceID()] || s.Name == "sync"
		}
		return len(asked) == len(requests)
	}, waitLong, waitShort)
	o.proxy.Heal()
	all.Wait()
	return answers
}

func upack(t *testing.T, version string) []byte {
	t.Helper()
	return archive(t, "upack.json", `{"name":"p","version":"`+version+`"}`, "package/x", "x")
}

// TestChangesWaitForWhoMakesThem: a node that cannot reach the database takes no change
// on the word of a memory that may be old. Who was refused before the change was sent
// is refused, and who was let in is let in.
func TestChangesWaitForWhoMakesThem(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	manage(t, http.StatusOK, "POST", o.whole.URL+"/api/management/feeds/create", `{"name":"idle","feedType":"universal"}`)
	key, id := newKey(t, o.whole.URL, `{"type":"Feed","packagePermissions":["view","add","delete"]}`)
	for _, feed := range []string{"universal", "idle"} {
		resp, text := ask(t, "PUT", o.cut.URL+"/upack/"+feed+"/upload", upack(t, "1.0.0"), "X-ApiKey", key) // from now on it is known
		require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	}

	o.begin(t)
	manage(t, http.StatusOK, "DELETE", o.whole.URL+fmt.Sprintf("/api/api-keys/delete?id=%d", id), "")
	manage(t, http.StatusOK, "POST", o.whole.URL+"/api/management/feeds/update/idle", `{"active":false}`)
	manage(t, http.StatusOK, "POST", o.whole.URL+"/api/management/feeds/create", `{"name":"later","feedType":"universal"}`)
	deleted, good := []string{"X-ApiKey", key}, []string{"X-ApiKey", apiKey}
	form := append([]string{"Content-Type", formType}, deleted...)
	require.Equal(t, []int{401, 401, 401, 404, 404, 201}, o.meanwhile(t, []request{
		{"PUT", "/upack/universal/upload", upack(t, "2.0.0"), deleted},
		{"PUT", "/api/packages/universal/upload", upack(t, "3.0.0"), deleted},
		{"POST", "/feeds/universal/delete?name=p&version=1.0.0", nil, form},
		{"PUT", "/upack/idle/upload", upack(t, "2.0.0"), good},
		{"PUT", "/api/packages/idle/upload", upack(t, "3.0.0"), good},
		{"PUT", "/upack/later/upload", upack(t, "1.0.0"), good},
	}))
	_, versions := ask(t, "GET", o.whole.URL+"/upack/universal/versions?name=p", nil)
	require.Contains(t, versions, "1.0.0")
	require.NotContains(t, versions, "2.0.0")
	require.NotContains(t, versions, "3.0.0")
}

// TestLooksDoNotWait: what views only is answered from memory, whatever its method.
func TestLooksDoNotWait(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	look := func() string {
		resp, text := ask(t, "POST", o.cut.URL+"/npm/npm/-/npm/v1/security/advisories/bulk", []byte(`{}`), "Content-Type", "application/json")
		require.Equal(t, http.StatusOK, resp.StatusCode, text)
		return resp.Header.Get("Warning")
	}
	require.Empty(t, look())
	o.begin(t)
	require.NotEmpty(t, look())
}

// TestLostCommits: a server that takes over may lack the newest commits, and get others
// under their numbers. Nodes that go on running serve what there is now.
func TestLostCommits(t *testing.T) {
	t.Parallel()
	url := testenv.StartPostgres(t).NewDatabase(t)
	store, err := postgres.Open(t.Context(), url, nil)
	require.NoError(t, err)
	cfg := newWorld(t).config(t, "a")
	cfg.DB = store
	n, err := node.New(t.Context(), cfg)
	require.NoError(t, err)
	server := httptest.NewServer(n.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, n.Close())
		require.NoError(t, store.Close())
	})
	base := server.URL
	status := func(name string) int {
		resp, _ := ask(t, "GET", base+"/nuget/nuget/v3/flatcontainer/"+name+"/index.json", nil)
		return resp.StatusCode
	}
	indexed := func(want string) {
		require.NoError(t, n.CatchUp(t.Context()))
		names, database := found(t, base, "q=acme")
		require.Equal(t, want, names)
		require.False(t, database)
	}
	publish(t, base, "Acme.One", "1.0")
	publish(t, base, "Acme.Two", "1.0")
	indexed("2 Acme.One Acme.Two")
	require.Equal(t, []int{http.StatusOK, http.StatusNotFound}, []int{status("acme.two"), status("acme.six")})

	failOver(t, url)
	require.Equal(t, []int{http.StatusNotFound, http.StatusOK}, []int{status("acme.two"), status("acme.six")})
	indexed("2 Acme.One Acme.Six")
}

// failOver puts the state of another server in the place of the database's: one that
// never got Acme.Two, and then Acme.Six in its place.
func failOver(t *testing.T, url string) {
	t.Helper()
	raw, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer raw.Close()
	raw.SetMaxOpenConns(1) // the one that is spared
	tx, err := raw.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for _, statement := range []string{
		"UPDATE package SET name_key = 'acme.six' WHERE name_key = 'acme.two'",
		"UPDATE package_version SET name = 'Acme.Six' WHERE name = 'Acme.Two'",
		"UPDATE feed_log SET package_key = 'acme.six', operation = 'another' WHERE package_key = 'acme.two'",
	} {
		_, err := tx.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit())
	_, err = raw.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	require.NoError(t, err)
}
