package node_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/proget-go/ha/internal/testenv"
)

// apiRules are those of the native API.
func apiRules(t *testing.T) []rule {
	const packages, feeds, keys, one = "/api/packages/", "/api/management/feeds/", "/api/api-keys/", "?name=Acme.Lib&version="
	nupkg := func(version string) string { return rawBody + string(testenv.Nupkg(t, "Acme.Lib", version)) }
	rules := []rule{
		{"PUT /api/packages/{feed}/upload", "PUT " + packages + "nuget/upload", nupkg("2.0.0"), publishers, 0},
		{"POST /api/packages/{feed}/upload", "POST " + packages + "nuget/upload", nupkg("2.0.1"), publishers, 0},
		{"PUT /api/packages/{feed}/upload/{file...}", "PUT " + packages + "nuget/upload/a.nupkg", nupkg("2.0.2"), publishers, 0},
		{"POST /api/packages/{feed}/upload/{file...}", "POST " + packages + "nuget/upload/a.nupkg", nupkg("2.0.3"), publishers, 0},
		{"GET /api/packages/{feed}", "GET " + packages + "nuget", "", viewers, 0},
		{"GET /api/packages/{feed}/latest", "GET " + packages + "nuget/latest", "", viewers, 0},
		{"GET /api/packages/{feed}/versions", "GET " + packages + "nuget/versions?name=Acme.Lib", "", viewers, 0},
		{"GET /api/packages/{feed}/download", "GET " + packages + "nuget/download" + one + "2.0.0", "", viewers, 0},
		{"PUT /api/packages/{feed}/status", "PUT " + packages + "nuget/status" + one + "2.0.1", jsonBody + `{"listed":false}`, managers, 0},
		{"POST /api/packages/{feed}/status", "POST " + packages + "nuget/status" + one + "2.0.0", jsonBody + `{"listed":false}`, managers, 0},
		{"POST /api/packages/{feed}/delete", "POST " + packages + "nuget/delete" + one + "2.0.0", "", managers, 0},
		{"DELETE /api/packages/{feed}/delete", "DELETE " + packages + "nuget/delete" + one + "2.0.1", "", managers, 0},
		{"GET /api/packages/{feed}/deleted", "GET " + packages + "nuget/deleted", "", managers, 0},
		{"POST /api/packages/{feed}/restore", "POST " + packages + "nuget/restore?id=999", "", managers, http.StatusNotFound},
		{"GET /api/management/feeds/list", "GET " + feeds + "list", "", strangers, 0},
		{"GET /api/management/feeds/get/{feed}", "GET " + feeds + "get/nuget", "", viewers, 0},
		{"POST /api/management/feeds/create", "POST " + feeds + "create", jsonBody + `{"name":"made","feedType":"npm"}`, administrators, 0},
		{"PUT /api/management/feeds/create", "PUT " + feeds + "create", jsonBody + `{"name":"made2","feedType":"npm"}`, administrators, 0},
		{"POST /api/management/feeds/update/{feed}", "POST " + feeds + "update/made", jsonBody + `{"description":"x"}`, administrators, 0},
		{"PATCH /api/management/feeds/update/{feed}", "PATCH " + feeds + "update/made", jsonBody + `{"description":"y"}`, administrators, 0},
		{"POST /api/management/feeds/delete/{feed}", "POST " + feeds + "delete/made", "", administrators, 0},
		{"DELETE /api/management/feeds/delete/{feed}", "DELETE " + feeds + "delete/made2", "", administrators, 0},
		{"GET /api/management/storages/list", "GET /api/management/storages/list", "", administrators, 0},
		{"POST /api/management/storages/create", "POST /api/management/storages/create", jsonBody + `{"name":"more","url":"none:"}`, administrators, http.StatusBadRequest},
		{"POST /api/management/storages/delete/{storage}", "POST /api/management/storages/delete/none", "", administrators, http.StatusNotFound},
		{"DELETE /api/management/storages/delete/{storage}", "DELETE /api/management/storages/delete/Default", "", administrators, http.StatusConflict},
		{"GET /api/api-keys/list", "GET " + keys + "list", "", administrators, 0},
		{"POST /api/api-keys/create", "POST " + keys + "create", jsonBody + `{"type":"Feed","packagePermissions":["view"]}`, administrators, 0},
		{"POST /api/api-keys/delete", "POST " + keys + "delete?id=999", "", administrators, http.StatusNotFound},
		{"DELETE /api/api-keys/delete", "DELETE " + keys + "delete?id=999", "", administrators, http.StatusNotFound},
		{"/api/", "GET /api/no/such/thing", "", everybody, http.StatusNotFound},
	}
	return rules
}

// pageRules are those of the pages.
func pageRules() []rule {
	const feeds, one, admin = "/feeds/nuget/", "?name=Acme.Lib&version=", "/administration/"
	const user = "?subject=user:jo"
	rules := []rule{
		{"GET /{$}", "GET /", "", strangers, http.StatusSeeOther},
		{"GET /feeds", "GET /feeds", "", strangers, 0},
		{"GET /sign-in", "GET /sign-in", "", strangers, 0},
		{"POST /sign-in", "POST /sign-in", formBody + "user=Admin&password=password", strangers, http.StatusSeeOther},
		{"POST /sign-out", "POST /sign-out", formBody, strangers, http.StatusSeeOther},
		{"GET /account", "GET /account", "", users, 0},
		{"POST /account", "POST /account", formBody + "password=one&again=two", users, http.StatusBadRequest},
		{"/", "GET /no/such/page", "", strangers, http.StatusNotFound},
		{"GET /static/{file}", "GET /static/none.css", "", everybody, http.StatusNotFound},

		{"GET /feeds/{feed}", "GET /feeds/nuget", "", viewers, 0},
		{"GET /feeds/{feed}/package", "GET " + feeds + "package" + one + "2.0.2", "", viewers, 0},
		{"GET /feeds/{feed}/download", "GET " + feeds + "download" + one + "2.0.2&file=acme.lib.2.0.2.nupkg", "", viewers, 0},
		{"GET /feeds/{feed}/upload", "GET " + feeds + "upload", "", publishers, 0},
		{"POST /feeds/{feed}/upload", "POST " + feeds + "upload", formBody, publishers, http.StatusBadRequest},
		{"POST /feeds/{feed}/status", "POST " + feeds + "status" + one + "2.0.2", formBody + "listed=false", managers, 0},
		{"GET /feeds/{feed}/delete", "GET " + feeds + "delete" + one + "2.0.2", "", managers, 0},
		{"POST /feeds/{feed}/delete", "POST " + feeds + "delete" + one + "2.0.2", formBody, managers, 0},
		{"GET /feeds/{feed}/deleted", "GET " + feeds + "deleted", "", managers, 0},
		{"POST /feeds/{feed}/deleted", "POST " + feeds + "deleted", formBody + "id=999", managers, http.StatusNotFound},
	}
	for _, form := range []string{"jobs/{job}/cancel", "scheduled-jobs/run", "cluster/remove", "cluster/step-down", "feeds/{feed}/delete", "feeds/{feed}/retention/delete",
		"feeds/{feed}/retention/run", "keys/delete", "user/grant", "user/revoke", "user/password", "user/delete"} {
		at := strings.NewReplacer("{job}", "999", "{feed}", "made").Replace(form)
		rules = append(rules, rule{"GET /administration/" + form, "GET " + admin + at, "", strangers, http.StatusSeeOther})
	}
	for _, r := range []rule{
		{"GET /administration", "GET /administration", "", 0, 0},
		{"GET /administration/jobs/{job}", "GET " + admin + "jobs/999", "", 0, http.StatusNotFound},
		{"POST /administration/jobs/{job}/cancel", "POST " + admin + "jobs/999/cancel", formBody, 0, http.StatusNotFound},
		{"GET /administration/scheduled-jobs", "GET " + admin + "scheduled-jobs", "", 0, 0},
		{"POST /administration/scheduled-jobs", "POST " + admin + "scheduled-jobs", formBody + "name=none", 0, http.StatusNotFound},
		{"POST /administration/scheduled-jobs/run", "POST " + admin + "scheduled-jobs/run", formBody + "name=none", 0, http.StatusNotFound},
		{"GET /administration/cluster", "GET " + admin + "cluster", "", 0, 0},
		{"POST /administration/cluster/remove", "POST " + admin + "cluster/remove", formBody + "name=none", 0, http.StatusConflict},
		{"POST /administration/cluster/step-down", "POST " + admin + "cluster/step-down", formBody + "term=999", 0, http.StatusConflict},
		{"GET /administration/load-balancing", "GET " + admin + "load-balancing", "", 0, 0},
		{"POST /administration/load-balancing", "POST " + admin + "load-balancing", formBody + "on=true", 0, 0},
		{"GET /administration/high-availability", "GET " + admin + "high-availability", "", 0, 0},
		{"POST /administration/high-availability", "POST " + admin + "high-availability", formBody + "on=true", 0, 0},
		{"GET /administration/create-feed", "GET " + admin + "create-feed", "", 0, 0},
		{"POST /administration/create-feed", "POST " + admin + "create-feed", formBody + "name=made&type=npm", 0, 0},
		{"GET /administration/feeds/{feed}", "GET " + admin + "feeds/made", "", 0, 0},
		{"POST /administration/feeds/{feed}", "POST " + admin + "feeds/made", formBody + "active=true&redirect=false", 0, 0},
		{"GET /administration/feeds/{feed}/retention", "GET " + admin + "feeds/made/retention", "", 0, 0},
		{"POST /administration/feeds/{feed}/retention", "POST " + admin + "feeds/made/retention", formBody + "keep-newest=3", 0, 0},
		{"POST /administration/feeds/{feed}/retention/delete", "POST " + admin + "feeds/made/retention/delete", formBody + "rule=999", 0, http.StatusConflict},
		{"POST /administration/feeds/{feed}/retention/run", "POST " + admin + "feeds/made/retention/run", formBody + "dry=true", 0, 0},
		{"POST /administration/feeds/{feed}/delete", "POST " + admin + "feeds/made/delete", formBody, 0, 0},
		{"GET /administration/keys", "GET " + admin + "keys", "", 0, 0},
		{"POST /administration/keys", "POST " + admin + "keys", formBody + "name=k&task=view", 0, 0},
		{"POST /administration/keys/delete", "POST " + admin + "keys/delete", formBody + "id=999", 0, http.StatusNotFound},
		{"GET /administration/storages", "GET " + admin + "storages", "", 0, 0},
		{"POST /administration/storages", "POST " + admin + "storages", formBody + "name=x&url=none:", 0, http.StatusBadRequest},
		{"POST /administration/storages/remove", "POST " + admin + "storages/remove", formBody + "name=none", 0, http.StatusNotFound},
		{"GET /administration/users", "GET " + admin + "users", "", 0, 0},
		{"POST /administration/users", "POST " + admin + "users", formBody + "name=Jo&password=a+long+password", 0, 0},
		{"GET /administration/user", "GET " + admin + "user" + user, "", 0, 0},
		{"POST /administration/user/grant", "POST " + admin + "user/grant" + user, formBody + "feed=nuget&task=view", 0, 0},
		{"POST /administration/user/revoke", "POST " + admin + "user/revoke" + user, formBody + "feed=nuget", 0, 0},
		{"POST /administration/user/password", "POST " + admin + "user/password" + user, formBody + "password=another+password", 0, 0},
		{"POST /administration/user/delete", "POST " + admin + "user/delete" + user, formBody, 0, 0},
	} {
		r.who = administrators
		rules = append(rules, r)
	}
	return rules
}

// otherRules are those of what load balancers and monitoring ask.
func otherRules() []rule {
	return []rule{
		{"GET /health", "GET /health", "", everybody, 0},
		{"GET /health/json", "GET /health/json", "", everybody, 0},
		{"GET /health/live", "GET /health/live", "", everybody, 0},
		{"GET /health/ready", "GET /health/ready", "", everybody, 0},
		{"GET /metrics", "GET /metrics", "", everybody, 0},
		{"/health", "PUT /health", "", everybody, http.StatusMethodNotAllowed},
		{"/health/", "GET /health/none", "", everybody, http.StatusNotFound},
		{"/metrics", "PUT /metrics", "", everybody, http.StatusMethodNotAllowed},
	}
}
