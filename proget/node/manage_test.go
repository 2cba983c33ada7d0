package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/node"
)

// administrator is what pgutil puts into X-ApiKey for a name and a password.
const administrator = "Admin:password"

// manage sends JSON as the administrator, or with another key, and expects a status.
func manage(t testing.TB, status int, method, url, body string, key ...string) string {
	t.Helper()
	resp, text := ask(t, method, url, []byte(body), "X-ApiKey", append(key, administrator)[0])
	require.Equal(t, status, resp.StatusCode, "%s %s: %s", method, url, text)
	return text
}

// newKey makes a key and returns its text and id.
func newKey(t testing.TB, server, body string) (key string, id int) {
	t.Helper()
	var made struct {
		ID  int
		Key string
	}
	require.NoError(t, json.Unmarshal([]byte(manage(t, http.StatusOK, "POST", server+"/api/api-keys/create", body)), &made))
	require.NotEmpty(t, made.Key)
	return made.Key, made.ID
}

func push(t testing.TB, status int, server, feed, version, key string) {
	t.Helper()
	resp, text := ask(t, "PUT", server+"/nuget/"+feed+"/api/v2/package", testenv.Nupkg(t, "Acme.Lib", version), "X-NuGet-ApiKey", key)
	require.Equal(t, status, resp.StatusCode, text)
}

// TestFeedManagement: a feed that one node makes, changes or deletes is so for
// the next request to another.
func TestFeedManagement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	feeds := "/api/management/feeds"
	text := manage(t, http.StatusOK, "POST", a+feeds+"/create", `{"name":"Team","feedType":"NuGet","description":"Ours","connectors":[],"dropPath":null,"stripSymbols":false}`)
	require.JSONEq(t, `{"name":"Team","feedType":"nuget","description":"Ours","active":true,"endpointUrl":"`+a+`/nuget/Team/v3/index.json","canPublish":true}`, text)
	push(t, http.StatusCreated, b, "team", "1.0.0", apiKey)
	require.JSONEq(t, strings.ReplaceAll(text, a, b), manage(t, http.StatusOK, "GET", b+feeds+"/get/team", ""))
	for body, status := range map[string]int{
		`{"name":"TEAM","feedType":"nuget"}`:                             http.StatusConflict,
		`{"name":"a/b","feedType":"nuget"}`:                              http.StatusBadRequest,
		`{"name":"other","feedType":"npm"}`:                              http.StatusBadRequest,
		`{"name":"other"}`:                                               http.StatusBadRequest,
		`{"name":"other","feedType":"nuget","connectors":["nuget.org"]}`: http.StatusBadRequest,
		`{"name":"other","feedType":"nuget","description":"` + strings.Repeat("x", 5000) + `"}`: http.StatusBadRequest,
		`nonsense`: http.StatusBadRequest,
		``:         http.StatusBadRequest,
	} {
		require.Greater(t, len(manage(t, status, "PUT", a+feeds+"/create", body)), 20, "a sentence")
	}

	manage(t, http.StatusConflict, "DELETE", a+feeds+"/delete/team", "")
	push(t, http.StatusCreated, b, "team", "1.0.1", apiKey)
	manage(t, http.StatusOK, "POST", a+feeds+"/update/team", `{"active":false}`)
	push(t, http.StatusNotFound, b, "team", "1.0.2", apiKey)
	resp, _ := ask(t, "GET", b+"/nuget/team/v3/flatcontainer/acme.lib/index.json", nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Contains(t, manage(t, http.StatusOK, "GET", b+feeds+"/get/Team", ""), `"description":"Ours","active":false`, "nothing else has changed")
	text = manage(t, http.StatusOK, "PATCH", b+feeds+"/update/team", `{"active":true,"name":"renamed","description":""}`)
	require.Contains(t, text, `"name":"renamed","feedType":"nuget","description":"","active":true`)
	_, text = ask(t, "GET", a+"/nuget/renamed/v3/flatcontainer/acme.lib/index.json", nil)
	require.Contains(t, text, "1.0.1")
	manage(t, http.StatusBadRequest, "POST", a+feeds+"/update/renamed", `{"feedType":"Universal"}`)
	manage(t, http.StatusBadRequest, "POST", a+feeds+"/update/renamed", `{"active":""}`)
	manage(t, http.StatusBadRequest, "POST", a+feeds+"/update/renamed", `{"alternateNames":["team"]}`)
	require.Contains(t, manage(t, http.StatusConflict, "POST", a+feeds+"/update/renamed", `{"name":"Universal"}`), "The name Universal is taken")
	manage(t, http.StatusNotFound, "POST", a+feeds+"/update/team", `{"active":true}`)

	for n := range 2 {
		resp, _ = ask(t, "POST", fmt.Sprintf("%s/api/packages/renamed/delete?name=Acme.Lib&version=1.0.%d", a, n), nil, "X-ApiKey", apiKey)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	var deleted []struct {
		ID            int
		Name, Version string
	}
	require.NoError(t, json.Unmarshal([]byte(manage(t, http.StatusOK, "GET", b+"/api/packages/renamed/deleted", "")), &deleted))
	require.Len(t, deleted, 2)
	require.Equal(t, "1.0.1", deleted[0].Version)
	back := fmt.Sprintf("/api/packages/renamed/restore?id=%d", deleted[0].ID)
	manage(t, http.StatusOK, "POST", a+back, "")
	manage(t, http.StatusNotFound, "POST", b+back, "")
	manage(t, http.StatusBadRequest, "POST", b+"/api/packages/renamed/restore?id=x", "")
	_, text = ask(t, "GET", b+"/nuget/renamed/v3/flatcontainer/acme.lib/index.json", nil)
	require.JSONEq(t, `{"versions":["1.0.1"]}`, text)
	manage(t, http.StatusOK, "POST", a+"/api/packages/renamed/delete?name=Acme.Lib&version=1.0.1", "")
	manage(t, http.StatusOK, "POST", a+feeds+"/delete/RENAMED", "")
	push(t, http.StatusNotFound, b, "renamed", "1.0.2", apiKey)
	manage(t, http.StatusNotFound, "DELETE", b+feeds+"/delete/renamed", "")
	manage(t, http.StatusNotFound, "GET", b+feeds+"/get/renamed", "")
	require.NotContains(t, manage(t, http.StatusOK, "GET", b+feeds+"/list", ""), "renamed")

	manage(t, http.StatusOK, "POST", b+feeds+"/create", `{"name":"renamed","feedType":"nuget"}`)
	push(t, http.StatusCreated, a, "renamed", "2.0.0", apiKey)
	_, text = ask(t, "GET", b+"/nuget/renamed/v3/search?q=acme", nil)
	require.Contains(t, text, `"version":"2.0.0"`)
	require.NotContains(t, text, `"version":"1.0.0"`, "another feed of the name")
}

// TestWhoSeesFeeds: the lists hold what the caller may see, and nobody but an
// administrator changes anything.
func TestWhoSeesFeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, "a").URL
	feeds := a + "/api/management/feeds"
	manage(t, http.StatusOK, "POST", feeds+"/update/universal", `{"active":false}`)
	require.Contains(t, manage(t, http.StatusOK, "GET", feeds+"/list", ""), `"universal"`)
	_, text := ask(t, "GET", feeds+"/list", nil)
	require.True(t, strings.HasPrefix(text, `[{"name":"nuget","feedType":"nuget",`), text)
	require.NotContains(t, text, "universal", "inactive")
	require.Contains(t, text, `"canPublish":false`)
	manage(t, http.StatusNotFound, "GET", feeds+"/get/universal", "", apiKey)
	manage(t, http.StatusUnauthorized, "GET", feeds+"/list", "", "wrong")

	for _, c := range [][2]string{
		{"POST", feeds + "/create"}, {"PUT", feeds + "/create"}, {"POST", feeds + "/update/nuget"}, {"PATCH", feeds + "/update/nuget"},
		{"POST", feeds + "/delete/nuget"}, {"DELETE", feeds + "/delete/nuget"},
		{"GET", a + "/api/api-keys/list"}, {"POST", a + "/api/api-keys/create"}, {"POST", a + "/api/api-keys/delete?id=1"}, {"DELETE", a + "/api/api-keys/delete?id=1"},
	} {
		resp, _ := ask(t, c[0], c[1], []byte(`{"name":"x","feedType":"nuget"}`))
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, c)
		manage(t, http.StatusForbidden, c[0], c[1], `{"name":"x","feedType":"nuget"}`, apiKey)
	}
}

// TestKeys: a key does what it is for, where it is for, until it is deleted, on
// every node.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	manage(t, http.StatusOK, "POST", a+"/api/management/feeds/create", `{"name":"team","feedType":"nuget"}`)
	key, id := newKey(t, a, `{"type":"Feed","displayName":"build","packagePermissions":["add","view"],"feed":"Team","expiration":"2099-01-01T00:00:00"}`)
	push(t, http.StatusCreated, b, "team", "1.0.0", key)
	push(t, http.StatusForbidden, b, "nuget", "1.0.0", key)
	resp, _ := ask(t, "DELETE", b+"/nuget/team/api/v2/package/Acme.Lib/1.0.0", nil, "X-NuGet-ApiKey", key)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	resp, _ = ask(t, "POST", b+"/api/packages/team/delete?name=Acme.Lib&version=1.0.0", nil, "X-ApiKey", key)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)

	list := manage(t, http.StatusOK, "GET", b+"/api/api-keys/list", "")
	require.NotContains(t, list, key)
	require.Contains(t, list, fmt.Sprintf(`{"id":%d,"type":"Feed","displayName":"build","packagePermissions":["view","add"],"feed":"team","expiration":"2099-01-01T00:00:00Z","logging":"None"}`, id))
	store, err := sqlite.Open(t.Context(), w.database, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	_, err = store.FindKey(t.Context(), key)
	require.Error(t, err, "the text is not kept")

	manage(t, http.StatusOK, "POST", fmt.Sprintf("%s/api/api-keys/delete?id=%d", a, id), "")
	push(t, http.StatusUnauthorized, b, "team", "1.0.1", key)
	manage(t, http.StatusNotFound, "DELETE", fmt.Sprintf("%s/api/api-keys/delete?id=%d", b, id), "")
	manage(t, http.StatusBadRequest, "DELETE", b+"/api/api-keys/delete", "")

	view, _ := newKey(t, b, `{"type":"feed","displayName":"reader","packagePermissions":["view"]}`)
	push(t, http.StatusForbidden, a, "team", "1.0.1", view)
	all, _ := newKey(t, b, `{"type":"Feed","packagePermissions":["view","add","promote","delete"],"logging":null}`)
	push(t, http.StatusCreated, a, "nuget", "1.0.1", all)
	resp, _ = ask(t, "DELETE", a+"/nuget/nuget/api/v2/package/Acme.Lib/1.0.1", nil, "X-NuGet-ApiKey", all)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	system, _ := newKey(t, b, `{"type":"System","displayName":"robot","systemApis":["feeds","sca","sbom-upload"],"key":"my-own-key"}`)
	require.Equal(t, "my-own-key", system)
	manage(t, http.StatusOK, "POST", a+"/api/management/feeds/create", `{"name":"robots","feedType":"universal"}`, system)
}

// TestKeyRefusals: what a key cannot be limited to is not opened wider.
func TestKeyRefusals(t *testing.T) {
	t.Parallel()
	a := newWorld(t).start(t, "a").URL
	for body, status := range map[string]int{
		`{"type":"Feed","displayName":["x"],"packagePermissions":["view"]}`:                         http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["promote"]}`:                        http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view","add","promote"]}`:           http.StatusBadRequest,
		`{"type":"Feed","displayName":"x"}`:                                                         http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view","delete"]}`:                  http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"feedGroup":"g"}`:           http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"logging":"Both"}`:          http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"expiration":"soon"}`:       http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"expiration":"2001-01-01"}`: http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"feed":"none"}`:             http.StatusNotFound,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"key":"short"}`:             http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"key":"user:password"}`:     http.StatusBadRequest,
		`{"type":"Feed","displayName":"x","packagePermissions":["view"],"key":"` + apiKey + `"}`:    http.StatusConflict,
		`{"type":"System","displayName":"x"}`:                                                       http.StatusBadRequest,
		`{"type":"System","displayName":"x","systemApis":["feeds"]}`:                                http.StatusBadRequest,
		`{"type":"System","displayName":"x","systemApis":["full-control"],"feed":"nuget"}`:          http.StatusBadRequest,
		`{"type":"Personal","displayName":"x","user":"Admin"}`:                                      http.StatusBadRequest,
	} {
		require.Greater(t, len(manage(t, status, "POST", a+"/api/api-keys/create", body)), 20, body)
	}
	require.Equal(t, 1, strings.Count(manage(t, http.StatusOK, "GET", a+"/api/api-keys/list", ""), `"id"`), "none was made")
	for permissions, want := range map[string]string{`["view","promote"]`: `does not support the permission "promote"`, `["view","delete"]`: "includes those before it"} {
		require.Contains(t, manage(t, http.StatusBadRequest, "POST", a+"/api/api-keys/create", `{"type":"Feed","packagePermissions":`+permissions+`}`), want)
	}
}

// TestNoSuchCall: a call of ProGet that there is not is named.
func TestNoSuchCall(t *testing.T) {
	t.Parallel()
	a := newWorld(t).start(t, "a").URL
	require.Contains(t, manage(t, http.StatusNotFound, "POST", a+"/api/promotions/promote", "{}"), "does not have the call POST /api/promotions/promote;")
	require.Contains(t, manage(t, http.StatusMethodNotAllowed, "POST", a+"/api/api-keys/list", ""), "This address takes GET")
	require.Contains(t, manage(t, http.StatusNotFound, "GET", a+"/health/none", ""), "There is nothing at this address")
}

// TestExpiredKey: a key ends by itself.
func TestExpiredKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	soon := time.Now().Add(3 * time.Second)
	key, _ := newKey(t, a, `{"type":"Feed","displayName":"x","packagePermissions":["view","add"],"expiration":"`+soon.Format(time.RFC3339Nano)+`"}`)
	push(t, http.StatusCreated, b, "nuget", "1.0.0", key)
	require.Eventually(t, func() bool { return time.Now().After(soon) }, waitLong, waitShort)
	push(t, http.StatusUnauthorized, b, "nuget", "1.0.1", key)
}

// TestPasswordReset: what the last administrator can lose is given back.
func TestPasswordReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, "a").URL
	store, err := sqlite.Open(t.Context(), w.database, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	for _, lose := range []func(tx *db.Tx) error{
		func(tx *db.Tx) error { return tx.RevokeAll(t.Context(), auth.SubjectUser(node.AdminName)) },
		func(tx *db.Tx) error {
			_, err := tx.DeleteUser(t.Context(), node.AdminName)
			return err
		},
	} {
		require.NoError(t, store.Tx(t.Context(), lose))
		_, err = node.ResetAdminPassword(t.Context(), store, "another password")
		require.NoError(t, err)
		manage(t, http.StatusUnauthorized, "GET", a+"/api/api-keys/list", "")
		manage(t, http.StatusOK, "GET", a+"/api/api-keys/list", "", "Admin:another password")
	}
}

// TestStorageOfFeed: a feed is given another storage; what it holds is moved
// there, and clients notice nothing.
func TestStorageOfFeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	folder := filepath.ToSlash(filepath.Join(t.TempDir(), "second"))
	const storages, feeds = "/api/management/storages", "/api/management/feeds"
	body := fmt.Sprintf(`{"name":"Second","url":"file://%s"}`, folder)
	manage(t, http.StatusOK, "POST", a+storages+"/create", body)
	manage(t, http.StatusBadRequest, "POST", b+storages+"/create", body)
	manage(t, http.StatusBadRequest, "POST", b+storages+"/create", `{"name":"X","url":"mem:"}`)
	manage(t, http.StatusBadRequest, "POST", b+storages+"/create", `{"name":"X","url":"file:///nowhere/at/all"}`)
	manage(t, http.StatusBadRequest, "POST", b+storages+"/create", `{"name":"","url":"file:///tmp"}`)
	require.Contains(t, manage(t, http.StatusOK, "GET", b+storages+"/list", ""), `"name":"Second"`)

	push(t, http.StatusCreated, a, "nuget", "1.0.0", apiKey)
	manage(t, http.StatusBadRequest, "POST", b+feeds+"/update/nuget", `{"storage":"third"}`)
	require.Contains(t, manage(t, http.StatusOK, "POST", b+feeds+"/update/nuget", `{"storage":"second"}`), `"storage":"Second"`)
	push(t, http.StatusCreated, a, "nuget", "1.0.1", apiKey)
	require.Eventually(t, func() bool {
		n := 0
		err := filepath.WalkDir(filepath.Join(folder, "blobs"), func(_ string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return err
		})
		return err == nil && n == 2
	}, 20*time.Second, 50*time.Millisecond)
	for _, version := range []string{"1.0.0", "1.0.1"} {
		for _, server := range []string{a, b} {
			resp, text := ask(t, "GET", fmt.Sprintf("%s/nuget/nuget/v3/flatcontainer/acme.lib/%s/acme.lib.%[2]s.nupkg", server, version), nil)
			require.Equal(t, http.StatusOK, resp.StatusCode, text)
			require.NotEmpty(t, text)
		}
	}
}

// TestFeedListQueries: a list of feeds, which anybody may ask for, asks the database no
// more often if it is long.
func TestFeedListQueries(t *testing.T) {
	t.Parallel()
	server, n := newWorld(t).startNode(t, "a")
	body := fmt.Sprintf(`{"name":"Second","url":"file://%s"}`, filepath.ToSlash(filepath.Join(t.TempDir(), "second")))
	manage(t, http.StatusOK, "POST", server.URL+"/api/management/storages/create", body)
	for i := range 3 {
		manage(t, http.StatusOK, "POST", server.URL+"/api/management/feeds/create", fmt.Sprintf(`{"name":"f%d","feedType":"nuget","storage":"Second"}`, i))
		resp, text := ask(t, "GET", server.URL+"/api/management/feeds/list", nil)
		require.Equal(t, http.StatusOK, resp.StatusCode, text)
		require.Equal(t, i+1, strings.Count(text, `"storage":"Second"`), text)
		asked := make(map[string]int)
		ctx, end := testenv.OnSpan(func(span string) { asked[span]++ }).Tracer("test").Start(t.Context(), "list")
		n.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/management/feeds/list", nil))
		end.End()
		require.Equal(t, []int{1, 1}, []int{asked["query ListStorages"], asked["query ListRetentionRules"]})
	}
}

// TestRetention: rules that are given by the native API, in the form of ProGet's
// client, are applied when the schedule says so.
func TestRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a").URL, w.start(t, "b").URL
	const update, get = "/api/management/feeds/update/nuget", "/api/management/feeds/get/nuget"
	for _, version := range []string{"1.0.0", "1.10.0", "1.9.0", "2.0.0-beta"} {
		push(t, http.StatusCreated, a, "nuget", version, apiKey)
	}
	rule := func(conditions string) string { return `{"retentionRules":[{` + conditions + `}]}` }
	for body, status := range map[string]int{
		rule(``): http.StatusBadRequest,
		rule(`"deletePrereleaseVersions":false,"deleteCached":false,"sizeExclusive":false,"keepIfActivelyConsumed":false`): http.StatusBadRequest,
		rule(`"keepVersionsCount":1,"deleteCached":true`):                                                                  http.StatusBadRequest,
		rule(`"keepVersionsCount":1,"unknown":true`):                                                                       http.StatusBadRequest,
		rule(`"keepVersionsCount":-1`):                                                                                     http.StatusBadRequest,
		`{"retentionRulesEnabled":false,"retentionRules":[{"keepVersionsCount":1}]}`:                                       http.StatusBadRequest,
		`{"description":"not changed either","retentionRules":[{"deleteVersions":["!1.0.0"]}]}`:                            http.StatusBadRequest,
	} {
		require.Greater(t, len(manage(t, status, "POST", b+update, body)), 20, "a sentence")
	}
	require.NotContains(t, manage(t, http.StatusOK, "GET", b+get, ""), "retention")
	manage(t, http.StatusOK, "POST", b+update, rule(`"keepPublishedWithinDays":3`))
	require.Contains(t, manage(t, http.StatusConflict, "POST", b+update, rule(`"keepVersionsCount":1`)), "by age")
	require.Contains(t, manage(t, http.StatusBadRequest, "POST", b+update, rule(`"foo":1`)), `"foo" in "retentionRules"`)
	manage(t, http.StatusBadRequest, "POST", b+update, `{"retentionRulesEnabled":false}`)
	manage(t, http.StatusOK, "POST", b+update, `{"retentionRules":[]}`)
	text := manage(t, http.StatusOK, "POST", a+update, rule(`"deletePrereleaseVersions":false,"keepVersionsCount":2,"deleteCached":false,"sizeExclusive":false`))
	require.Contains(t, text, `"retentionRules":[{"keepVersionsCount":2}],"retentionRulesEnabled":true`)
	require.NotContains(t, text, "either")
	manage(t, http.StatusOK, "POST", a+update, `{"description":"Ours"}`)
	require.Contains(t, manage(t, http.StatusOK, "GET", b+get, ""), `"keepVersionsCount":2`)
	require.Contains(t, manage(t, http.StatusOK, "GET", b+"/api/management/feeds/list", ""), `"keepVersionsCount":2`)
	require.Contains(t, manage(t, http.StatusOK, "POST", a+"/api/management/feeds/create",
		`{"name":"ruled","feedType":"nuget","retentionRules":[{"deletePrereleaseVersions":true}]}`), `"deletePrereleaseVersions":true`)
	const create = "/api/management/feeds/create"
	manage(t, http.StatusBadRequest, "POST", a+create, `{"name":"unruly","feedType":"nuget","retentionRules":[{"keepVersionsCount":-1}]}`)
	manage(t, http.StatusNotFound, "GET", a+"/api/management/feeds/get/unruly", "")
	long := slices.Repeat([]string{strings.Repeat("x", 200)}, 100)
	names, err := json.Marshal(slices.Repeat([]map[string]any{{"deletePackageIds": long, "keepPackageIds": long, "keepVersionsCount": 1}}, 10))
	require.NoError(t, err)
	manage(t, http.StatusOK, "POST", a+create, fmt.Sprintf(`{"name":"long","feedType":"nuget","retentionRules":%s}`, names))
	require.Contains(t, manage(t, http.StatusRequestEntityTooLarge, "POST", a+create, `{"name":"`+strings.Repeat("x", 9<<20)+`"}`), "8 MiB")

	store, err := sqlite.Open(t.Context(), w.database, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	require.Eventually(t, func() bool { // the primary enters the schedule, for midnight
		known, err := store.Schedules(t.Context())
		require.NoError(t, err)
		_, ok := known["retention"]
		return ok
	}, waitLong, waitShort)
	require.NoError(t, store.Tx(t.Context(), func(tx *db.Tx) error {
		return tx.SetSchedule(t.Context(), db.Schedule{Name: "retention", Expression: "@daily", Enabled: true, NextRun: time.Unix(1, 0)})
	}))
	require.Eventually(t, func() bool {
		_, text = ask(t, "GET", b+"/nuget/nuget/v3/flatcontainer/acme.lib/index.json", nil)
		return strings.TrimSpace(text) == `{"versions":["1.10.0","2.0.0-beta"]}`
	}, waitLong, waitShort)
	deleted := manage(t, http.StatusOK, "GET", b+"/api/packages/nuget/deleted", "")
	require.Contains(t, deleted, `"deletedBy":"Retention"`)
}
