package web_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget/cluster"
)

// cluster announces four living servers and one that is gone.
func (w *world) cluster() {
	w.t.Helper()
	require.NoError(w.t, w.registry.Check(w.t.Context()))
	self := cluster.Self{Roles: []string{cluster.RoleWeb}, Version: "1.2.3", OS: "linux/arm64", Address: "http://10.0.0.2:8624", Ready: true}
	w.server("web2", self, 0)
	self.Storage, self.Skew, self.Ready = "Storage <b>cannot</b> be written.", 42*time.Second, false
	w.server("web3", self, time.Second)
	w.server("index1", cluster.Self{Roles: []string{cluster.RoleIndex}, Version: "1.2.4", Term: 7, Ready: true}, 0)
	w.server("index2", cluster.Self{Roles: []string{cluster.RoleIndex}, Version: "1.2.3", Term: 8}, time.Hour)
}

func TestAdministrationIsForAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/administration", "/administration/cluster", "/administration/load-balancing", "/administration/high-availability",
		"/administration/create-feed", "/administration/feeds/main", "/administration/keys", "/administration/users", "/administration/user?subject=user:ann",
		"/administration/scheduled-jobs", "/administration/jobs/1", "/administration/feeds/main/retention"} {
		require.Equal(t, http.StatusSeeOther, w.browser().get(path).Code, path)
		require.Equal(t, http.StatusForbidden, w.as("ann").get(path).Code, path)
	}
	for _, path := range []string{"/administration/jobs/1/cancel", "/administration/scheduled-jobs", "/administration/scheduled-jobs/run", "/administration/cluster/remove", "/administration/load-balancing", "/administration/high-availability",
		"/administration/create-feed", "/administration/feeds/main", "/administration/feeds/main/delete", "/administration/feeds/main/retention", "/administration/feeds/main/retention/delete",
		"/administration/feeds/main/retention/run", "/administration/keys", "/administration/keys/delete",
		"/administration/users", "/administration/user/grant?subject=user:ann", "/administration/user/revoke?subject=user:ann",
		"/administration/user/password?subject=user:ann", "/administration/user/delete?subject=user:bob"} {
		fields := []string{"on", "true", "kind", "integrity", "name", "x", "type", "demo", "task", "administer", "feed", "", "password", "long enough", "id", "1", "active", "false", "redirect", "false"}
		require.Equal(t, http.StatusSeeOther, w.browser().post(path, fields...).Code, path)
		require.Equal(t, http.StatusForbidden, w.as("ann").post(path, fields...).Code, path)
	}
	jobs, err := w.store.ListJobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, jobs)
	modes, err := w.registry.Modes(t.Context())
	require.NoError(t, err)
	require.Equal(t, cluster.Modes{}, modes)
}

func TestModes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster()
	admin := w.as("admin")
	page := admin.page("/administration")
	require.Contains(t, page, "Configure Load Balancing")
	require.Contains(t, page, "Configure High Availability Mode")
	require.Contains(t, page, "Service Status")
	require.NotContains(t, page, "Indexing Cluster Health")
	require.Contains(t, page, "More Info", "there are problems, and several servers")

	for path, name := range map[string]string{"/administration/load-balancing": "Load Balancing", "/administration/high-availability": "High Availability Mode"} {
		page := admin.page(path)
		require.Contains(t, page, ">Enable "+name+"</button>")
		require.Contains(t, page, "/health/ready")
		require.Contains(t, page, "PROGET_ENCRYPTION_KEY")
		require.Contains(t, page, "not met by web3")
		require.Contains(t, page, "SQLite serves the processes of one machine only")
		require.Equal(t, http.StatusBadRequest, admin.post(path).Code, "a form that says nothing switches nothing")
		require.Equal(t, "/administration", admin.post(path, "on", "true").Header().Get("Location"))
		require.Contains(t, admin.page(path), ">Disable "+name+"</button>")
	}
	page = admin.page("/administration")
	require.Contains(t, page, "Indexing Cluster Health")
	require.Contains(t, page, `href="/administration/cluster">More Info</a>`)
	require.NotContains(t, page, "Service Status")
	require.Contains(t, page, "No indexing node is standing by")
	modes, err := w.registry.Modes(t.Context())
	require.NoError(t, err)
	require.Equal(t, cluster.Modes{LoadBalancing: true, HighAvailability: true}, modes)

	require.Equal(t, http.StatusSeeOther, admin.post("/administration/high-availability", "on", "false").Code)
	require.Contains(t, admin.page("/administration"), "Service Status")
}

// TestOneServer: who runs a single server that is well need not know of clusters.
func TestOneServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server("alone", cluster.Self{Roles: []string{cluster.RoleWeb, cluster.RoleIndex}, Term: 7, Ready: true}, 0)
	admin := w.as("admin")
	require.NotContains(t, admin.page("/administration"), "More Info")
	w.server("gone", cluster.Self{Roles: []string{cluster.RoleWeb}}, time.Hour)
	page := admin.page("/administration")
	require.Contains(t, page, "gone sent its last heartbeat")
	require.Contains(t, page, `href="/administration/cluster">More Info</a>`)
}

// TestStandby: a server that cannot lead is not standing by.
func TestStandby(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	self := cluster.Self{Roles: []string{cluster.RoleIndex}, Term: 7, Ready: true}
	w.server("leads", self, 0)
	w.server("foreign", cluster.Self{Roles: self.Roles, Key: "It has another encryption key."}, 0)
	admin := w.as("admin")
	const title = "Two indexing nodes or more that are ready to lead"
	require.Contains(t, admin.page("/administration/cluster"), "<dt>Standing by</dt><dd>none</dd>")
	require.Contains(t, admin.page("/administration/high-availability"), title+`</span><span class="muted">leads</span>`)
	self.Term = 0
	w.server("other", self, 0)
	require.Contains(t, admin.page("/administration/cluster"), "<dt>Standing by</dt><dd>1 indexing node</dd>")
	require.Contains(t, admin.page("/administration/high-availability"), title+`</span><span class="muted">leads, other</span>`)
}

func TestClusterStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster()
	admin := w.as("admin")
	page := admin.page("/administration/cluster")
	for _, want := range []string{
		"<h1>Indexing Cluster Status</h1>", "4 of 5", "web1", "web2", "index2", "http://10.0.0.1:8624", "linux/arm64", "1.2.4", "Indexing",
		"1 hour ago", "42.0 s", "Not ready", "Stale", "2 different versions", "Storage &lt;b&gt;cannot&lt;/b&gt; be written.", ">7<",
		`index1 <span class="badge info">primary</span>`, `<noscript><meta http-equiv="refresh" content="5"></noscript>`, `data-refresh="2"`, `aria-label="Remove index2"`,
		">Web nodes<", ">Indexing nodes<", ">Stale servers<", "remove it with ✕", "synchronize it with NTP",
		`<button name="term" value="7">Step down</button>`, "this one will become the primary again", "There was no primary.",
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, 1, strings.Count(page, ">✕</button>"), "for the one that is gone")
	require.Equal(t, 1, strings.Count(page, ">primary<"))
	paused := admin.page("/administration/cluster?refresh=off")
	require.NotContains(t, paused, "http-equiv")
	require.NotContains(t, paused, "data-refresh")
	require.Contains(t, paused, `href="/administration/cluster">Resume`)

	alive := admin.post("/administration/cluster/remove", "name", "web2")
	require.Equal(t, http.StatusConflict, alive.Code)
	require.Contains(t, alive.Body.String(), "web2 is alive")
	require.Equal(t, http.StatusBadRequest, admin.post("/administration/cluster/remove").Code)
	require.Equal(t, "/administration/cluster", admin.post("/administration/cluster/remove", "name", "index2").Header().Get("Location"))
	page = admin.page("/administration/cluster")
	require.NotContains(t, page, "index2")
	require.Contains(t, page, "web2")
}

// TestStepDown: the term that an administrator saw is to end, and no other.
func TestStepDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster()
	admin := w.as("admin")
	const path = "/administration/cluster/step-down"
	require.Equal(t, http.StatusForbidden, w.as("ann").post(path, "term", "7").Code)
	require.Equal(t, http.StatusBadRequest, admin.post(path).Code)
	require.Equal(t, http.StatusConflict, admin.post(path, "term", "8").Code, "whoever led then is gone")
	asked := func(term int64) (asked bool) {
		require.NoError(t, w.store.Tx(t.Context(), func(tx *db.Tx) (err error) {
			asked, err = cluster.AskedToStepDown(t.Context(), tx, term)
			return err
		}))
		return asked
	}
	require.False(t, asked(7))
	require.Equal(t, "/administration/cluster", admin.post(path, "term", "7").Header().Get("Location"))
	require.True(t, asked(7))
	require.False(t, asked(8))
}

// TestTimeline: the last hour is drawn, and told in numbers.
func TestTimeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster()
	now, err := w.store.Clock(t.Context())
	require.NoError(t, err)
	minute := now.Unix() / 60
	w.server("web2", cluster.Self{Roles: []string{cluster.RoleWeb}, Ready: true, Lags: cluster.Lags{Minute: minute, Peaks: []int64{3, 1200, -1, 0}}}, 0)
	raw, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer raw.Close()
	for fence, began := range map[int]time.Duration{1: 3 * time.Hour, 2: 30 * time.Minute} {
		_, err = raw.ExecContext(t.Context(), "INSERT INTO term (office, fence, holder, began, seen) VALUES ('indexing', ?, ?, ?, ?)",
			fence, fmt.Sprint("index", fence), now.Add(-began).UnixMicro(), now.Add(-began/2).UnixMicro())
		require.NoError(t, err)
	}
	page := w.as("admin").page("/administration/cluster")
	for _, want := range []string{"there was 1 term of leadership", "index2, term 2: ", "index2</th>", "The greatest index lag of web2 was 1,200 (log entries).",
		"web2, " + time.Unix(60*(minute-2), 0).UTC().Format("15:04") + " UTC: index lag 1,200 (log entries)", `<text x="0" y="22">Primary</text>`} {
		require.Contains(t, page, want)
	}
	w.server("web-of-the-second-data-centre", cluster.Self{Roles: []string{cluster.RoleWeb}, Ready: true, Lags: cluster.Lags{Minute: minute, Peaks: []int64{3}}}, 0)
	require.Contains(t, w.as("admin").page("/administration/cluster"), `>web-of-the-second-…<title>web-of-the-second-data-centre</title></text>`)
	require.NotContains(t, page, "index1, term 1", "it ended more than an hour ago")
	require.Equal(t, 3, strings.Count(page, "<title>web2, "), "a minute of which nothing is known is left out")
}

func TestNoServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	require.Contains(t, admin.page("/administration/cluster"), "No server has announced itself.")
	require.Contains(t, admin.page("/administration"), "No indexing node is the primary.")
	require.Contains(t, admin.page("/administration/high-availability"), `Two indexing nodes or more that are ready to lead</span><span class="muted">none</span>`)
}

func TestJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	page := admin.page("/administration")
	require.Contains(t, page, "No job has run yet.")
	require.NotContains(t, page, "http-equiv", "nothing moves")
	j := w.working()
	page = admin.page("/administration")
	for _, shown := range []string{`<progress max="50" value="21"`, "42 %", "Clean the attic", "index1", "&lt;b&gt;sweeping", "http-equiv"} {
		require.Contains(t, page, shown)
	}
	require.NoError(t, w.store.RetryJob(t.Context(), j, 0, true, "again"))
	_, err := w.store.ClaimJob(t.Context(), "index1", "", time.Minute)
	require.NoError(t, err)
	page = admin.page("/administration")
	require.Contains(t, page, "attempt 2")
	require.Contains(t, page, "retired", "administrators see inactive feeds here")
}

// TestStorages: a storage is added, and a feed is given it.
func TestStorages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	const page, settings = "/administration/storages", "/administration/feeds/main"
	require.Equal(t, http.StatusForbidden, w.as("ann").get(page).Code)
	require.NotContains(t, admin.page(settings), "New files are stored there")
	url := "file:///" + strings.TrimPrefix(filepath.ToSlash(t.TempDir()), "/")
	const unusable, unopened = "The URL of the storage cannot be used", "This server cannot open the storage: check that its folder"
	for wrong, said := range map[string]string{"": unusable, "nonsense": unusable, "mem:": "What is kept in memory is not shared", "file:///nowhere/at/all": unopened, "s9://x": unusable} {
		refused := admin.post(page, "name", "Archive", "url", wrong)
		require.Equal(t, http.StatusBadRequest, refused.Code, wrong)
		require.Contains(t, refused.Body.String(), `role="alert">`+said)
	}
	require.Equal(t, http.StatusSeeOther, admin.post(page, "name", "Archive", "url", url).Code)
	require.Equal(t, http.StatusBadRequest, admin.post(page, "name", "Again", "url", url).Code, "it is in use")
	require.Contains(t, admin.page(page), url)
	require.Contains(t, admin.page(settings), "Archive")
	require.Contains(t, admin.page(settings), "New files are stored there")
	require.Equal(t, http.StatusBadRequest, admin.post(settings, "description", "x", "active", "true", "redirect", "true", "storage", "77").Code)
	all, err := w.store.ListStorages(t.Context())
	require.NoError(t, err)
	id := fmt.Sprint(all[1].ID)
	require.Equal(t, http.StatusSeeOther, admin.post(settings, "description", "x", "active", "true", "redirect", "true", "storage", id).Code)
	require.Contains(t, admin.page(settings), `<option value="`+id+`" selected>Archive`)
	jobs, err := w.store.ListJobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.Equal(t, []string{"move", "main"}, []string{jobs[0].Kind, jobs[0].Argument})

	refused := admin.post(page+"/remove", "name", "Archive")
	require.Equal(t, http.StatusConflict, refused.Code)
	require.Contains(t, refused.Body.String(), "Feeds keep their files in this storage")
	require.Equal(t, http.StatusSeeOther, admin.post(settings, "description", "x", "active", "true", "redirect", "true", "storage", "0").Code)
	require.Equal(t, http.StatusSeeOther, admin.post(page+"/remove", "name", "Archive").Code)
	require.NotContains(t, admin.page(page), url)
}

// TestStorageVerdicts: storage that all share and that is full is a warning;
// another storage is a problem.
func TestStorageVerdicts(t *testing.T) {
	t.Parallel()
	for verdict, self := range map[string]cluster.Self{
		`<span class="verdict warn">Warning</span>`: {Storage: "Storage is full.", Ready: true},
		`<span class="verdict bad">Problem</span>`:  {Storage: "It is another storage.", Foreign: true},
	} {
		w := newWorld(t)
		w.server("web2", self, 0)
		page := w.as("admin").page("/administration/cluster")
		require.Contains(t, page, verdict)
		require.Contains(t, page, "<li>"+self.Storage+"</li>")
	}
}
