package web_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/cluster"
)

// cluster announces four living servers and one that is gone.
func (w *world) cluster() {
	w.t.Helper()
	require.NoError(w.t, w.registry.Check(w.t.Context()))
	self := cluster.Self{Roles: []string{"web"}, Version: "1.2.3", OS: "linux/arm64", Address: "http://10.0.0.2:8624", Ready: true}
	w.server("web2", self, 0)
	self.Storage, self.Skew, self.Ready = "Storage <b>cannot</b> be written.", 42*time.Second, false
	w.server("web3", self, time.Second)
	w.server("index1", cluster.Self{Roles: []string{"index"}, Version: "1.2.4", Term: 7, Ready: true}, 0)
	w.server("index2", cluster.Self{Roles: []string{"index"}, Version: "1.2.3", Term: 8}, time.Hour)
}

func TestAdministrationIsForAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/administration", "/administration/cluster", "/administration/load-balancing", "/administration/high-availability",
		"/administration/create-feed", "/administration/feeds/main", "/administration/keys", "/administration/users", "/administration/user?subject=user:ann",
		"/administration/scheduled-jobs", "/administration/jobs/1"} {
		require.Equal(t, http.StatusSeeOther, w.browser().get(path).Code, path)
		require.Equal(t, http.StatusForbidden, w.as("ann").get(path).Code, path)
	}
	for _, path := range []string{"/administration/jobs", "/administration/jobs/1/cancel", "/administration/scheduled-jobs", "/administration/scheduled-jobs/run", "/administration/cluster/remove", "/administration/load-balancing", "/administration/high-availability",
		"/administration/create-feed", "/administration/feeds/main", "/administration/feeds/main/delete", "/administration/keys", "/administration/keys/delete",
		"/administration/users", "/administration/user/grant?subject=user:ann", "/administration/user/revoke?subject=user:ann",
		"/administration/user/password?subject=user:ann", "/administration/user/delete?subject=user:bob"} {
		fields := []string{"on", "true", "kind", "integrity", "name", "x", "type", "demo", "task", "administer", "feed", "", "password", "long enough", "id", "1", "active", "false", "redirect", "false"}
		require.Equal(t, http.StatusSeeOther, w.browser().post(path, fields...).Code, path)
		require.Equal(t, http.StatusForbidden, w.as("ann").post(path, fields...).Code, path)
	}
	require.Empty(t, w.enqueued)
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
	require.NotContains(t, page, "More Info")

	for path, name := range map[string]string{"/administration/load-balancing": "Load Balancing", "/administration/high-availability": "High Availability Mode"} {
		page := admin.page(path)
		require.Contains(t, page, ">Enable "+name+"</button>")
		require.Contains(t, page, "/health/ready")
		require.Contains(t, page, "PROGET_ENCRYPTION_KEY")
		require.Contains(t, page, "not so on web3")
		require.Contains(t, page, "SQLite serves the processes of one machine only")
		require.Equal(t, http.StatusBadRequest, admin.post(path).Code, "a form that says nothing switches nothing")
		require.Equal(t, "/administration", admin.post(path, "on", "true").Header().Get("Location"))
		require.Contains(t, admin.page(path), ">Disable "+name+"</button>")
	}
	page = admin.page("/administration")
	require.Contains(t, page, "Indexing Cluster Health")
	require.Contains(t, page, `href="/administration/cluster">More Info</a>`)
	require.NotContains(t, page, "Service Status")
	require.Contains(t, page, "nobody could take over")
	modes, err := w.registry.Modes(t.Context())
	require.NoError(t, err)
	require.Equal(t, cluster.Modes{LoadBalancing: true, HighAvailability: true}, modes)

	require.Equal(t, http.StatusSeeOther, admin.post("/administration/high-availability", "on", "false").Code)
	require.Contains(t, admin.page("/administration"), "Service Status")
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
		`index1 <span class="badge info">primary</span>`, `<meta http-equiv="refresh" content="5">`, `aria-label="Remove index2"`,
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, 1, strings.Count(page, "✕"), "for the one that is gone")
	require.Equal(t, 1, strings.Count(page, ">primary<"))
	paused := admin.page("/administration/cluster?refresh=off")
	require.NotContains(t, paused, "http-equiv")
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

func TestNoServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	require.Contains(t, admin.page("/administration/cluster"), "No server has announced itself.")
	require.Contains(t, admin.page("/administration"), "No living indexing node is the primary.")
	require.Contains(t, admin.page("/administration/high-availability"), "none is alive")
}

func TestJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	page := admin.page("/administration")
	require.Contains(t, page, "No job has run yet.")
	require.NotContains(t, page, "http-equiv", "nothing moves")
	require.Equal(t, http.StatusBadRequest, admin.post("/administration/jobs", "kind", "format-disk").Code)
	require.Equal(t, http.StatusSeeOther, admin.post("/administration/jobs", "kind", "integrity").Code)
	w.busy = proget.Errorf(proget.ErrConflict, "Such a job is under way.")
	require.Equal(t, http.StatusSeeOther, admin.post("/administration/jobs", "kind", "integrity").Code)
	w.busy = proget.Errorf(proget.ErrUnavailable, "Try again shortly.")
	rec := admin.post("/administration/jobs", "kind", "integrity")
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	require.Equal(t, "2", rec.Header().Get("Retry-After"))
	require.Equal(t, []string{"integrity by admin", "integrity by admin", "integrity by admin"}, w.enqueued)

	w.jobs = []proget.JobStatus{
		{Job: proget.Job{Kind: "integrity", Attempt: 2}, State: proget.JobRunning, Worker: "index1", Done: 21, Total: 50, Created: time.Now()},
		{Job: proget.Job{Kind: "collect"}, State: proget.JobFailed, Message: "<b>no</b>", Created: time.Now().Add(-3 * time.Hour)},
	}
	page = admin.page("/administration")
	require.Contains(t, page, `<progress max="50" value="21"`)
	require.Contains(t, page, "42 %")
	require.Contains(t, page, "attempt 2")
	require.Contains(t, page, "3 hours ago")
	require.Contains(t, page, "&lt;b&gt;no")
	require.Contains(t, page, `value="integrity" disabled`)
	require.Contains(t, page, "http-equiv", "progress is made")
	require.Contains(t, page, "retired", "administrators see inactive feeds here")
}

// TestStorages: a storage is added, and a feed is given it.
func TestStorages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	const page, settings = "/administration/storages", "/administration/feeds/main"
	require.Equal(t, http.StatusForbidden, w.as("ann").get(page).Code)
	require.NotContains(t, admin.page(settings), "New files go there")
	url := "file:///" + strings.TrimPrefix(filepath.ToSlash(t.TempDir()), "/")
	for _, wrong := range []string{"", "nonsense", "mem:", "file:///nowhere/at/all", "s9://x"} {
		refused := admin.post(page, "name", "Archive", "url", wrong)
		require.Equal(t, http.StatusBadRequest, refused.Code, wrong)
		require.Contains(t, refused.Body.String(), `role="alert"`)
	}
	require.Equal(t, http.StatusSeeOther, admin.post(page, "name", "Archive", "url", url).Code)
	require.Equal(t, http.StatusBadRequest, admin.post(page, "name", "Again", "url", url).Code, "it is in use")
	require.Contains(t, admin.page(page), url)
	require.Contains(t, admin.page(settings), "Archive")
	require.Equal(t, http.StatusBadRequest, admin.post(settings, "description", "x", "active", "true", "redirect", "true", "storage", "77").Code)
	require.Equal(t, http.StatusSeeOther, admin.post(settings, "description", "x", "active", "true", "redirect", "true", "storage", "1").Code)
	require.Contains(t, admin.page(settings), `<option value="1" selected>Archive`)
	jobs, err := w.store.ListJobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	require.Equal(t, []string{"move", "main"}, []string{jobs[0].Kind, jobs[0].Argument})
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
