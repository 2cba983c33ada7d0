package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// TestScheduledJobs: tasks are shown with their schedules, started and changed.
func TestScheduledJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	const path = "/administration/scheduled-jobs"
	page := admin.page(path)
	for _, shown := range []string{"Clean the attic", "Sweeps &amp; dusts.", "never", `value="30 2 * * 0"`, "02:30 UTC"} {
		require.Contains(t, page, shown)
	}
	require.NotContains(t, page, "http-equiv")

	require.Equal(t, http.StatusSeeOther, admin.post(path+"/run", "name", "clean").Code)
	again := admin.post(path+"/run", "name", "clean")
	require.Equal(t, http.StatusConflict, again.Code)
	require.Contains(t, again.Body.String(), "already waiting or running")
	require.Equal(t, http.StatusNotFound, admin.post(path+"/run", "name", "burn").Code)
	page = admin.page(path)
	require.Contains(t, page, "waiting")
	require.Contains(t, page, "disabled>Run now")
	require.Contains(t, page, "http-equiv")
	require.Contains(t, page, `<button name="preview" value="clean" aria-label="Preview: Clean the attic">`)
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/run", "preview", "clean").Code, "a look may go on beside it")
	jobs, err := w.store.ListJobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"look", ""}, []string{jobs[0].Argument, jobs[1].Argument})

	wrong := admin.post(path, "name", "clean", "expression", "often <b>", "enabled", "true")
	require.Equal(t, http.StatusBadRequest, wrong.Code)
	require.Contains(t, wrong.Body.String(), "Clean the attic: The schedule &#34;often &lt;b&gt;&#34; cannot be read")
	require.Contains(t, wrong.Body.String(), `name="expression" value="often &lt;b&gt;"`)
	require.Contains(t, wrong.Body.String(), "02:30 UTC", "nothing was changed")
	require.NotContains(t, wrong.Body.String(), "http-equiv", "what was typed would be lost")
	require.Contains(t, wrong.Body.String(), `role="alert"`)
	require.Equal(t, http.StatusSeeOther, admin.post(path, "name", "clean", "expression", "@daily").Code)
	page = admin.page(path)
	require.Contains(t, page, `value="@daily"`)
	require.Contains(t, page, `<span class="muted">disabled</span>`)
	require.Equal(t, http.StatusSeeOther, admin.post(path, "name", "clean", "expression", "@daily", "enabled", "true").Code)
	require.NotContains(t, admin.page(path), `<span class="muted">disabled</span>`)
}

// TestJobPage: a job's progress and log can be read, and the job be canceled.
func TestJobPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	require.Equal(t, http.StatusNotFound, admin.get("/administration/jobs/77").Code)
	require.Equal(t, http.StatusNotFound, admin.get("/administration/jobs/x").Code)
	require.Equal(t, http.StatusNotFound, admin.post("/administration/jobs/77/cancel").Code)
	j := w.working()
	require.NoError(t, w.store.LogJob(t.Context(), j, 0, []string{"first line", "<i>second</i>"}))
	page := admin.page("/administration/jobs/1")
	for _, shown := range []string{"running", "21 of 50 (42 %)", "&lt;b&gt;sweeping", "by ann", "index1, attempt 1", "first line", "&lt;i&gt;second", "Remaining", ">Cancel<", "http-equiv"} {
		require.Contains(t, page, shown)
	}
	require.Regexp(t, `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  first line`, page)
	require.Less(t, strings.Index(page, "first line"), strings.Index(page, "&lt;i&gt;second"))

	require.Equal(t, http.StatusSeeOther, admin.post("/administration/jobs/1/cancel").Code)
	require.Contains(t, admin.page("/administration/jobs/1"), "disabled>Canceling<")
	require.ErrorIs(t, w.store.BeatJob(t.Context(), j, time.Minute, 0, 0, ""), proget.ErrCanceled)
	require.NoError(t, w.store.FinishJob(t.Context(), j, proget.JobCanceled, 21, 50, "Canceled while it ran."))
	page = admin.page("/administration/jobs/1")
	require.Contains(t, page, "canceled")
	require.NotContains(t, page, ">Cancel<")
	require.NotContains(t, page, "http-equiv")
	require.Equal(t, http.StatusConflict, admin.post("/administration/jobs/1/cancel").Code)
}
