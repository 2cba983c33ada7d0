package web_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/retention"
	"github.com/proget-go/ha/proget"
)

// TestRetentionRules: rules are added, changed, removed and run under the feed's
// settings.
func TestRetentionRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	const path = "/administration/feeds/main/retention"
	rules := func() []proget.RetentionRule {
		all, err := w.store.ListRetentionRules(t.Context())
		require.NoError(t, err)
		return all[w.main.ID]
	}
	require.Contains(t, admin.page("/administration/feeds/main"), `href="`+path+`"`)
	require.Contains(t, admin.page(path), "This feed has no rules")
	require.Equal(t, http.StatusNotFound, admin.get("/administration/feeds/none/retention").Code)

	for _, wrong := range [][]string{
		{}, {"keep-newest", "many <b>"}, {"keep-newest", "-1"}, {"unused-days", "99999999"}, {"quota", "-3"}, {"quota", "NaN"}, {"max-downloads", "x"},
		{"names", "!a"}, {"keep-names", "a"}, {"keep-versions", "1.*"},
	} {
		rec := admin.post(path, wrong...)
		require.Equal(t, http.StatusBadRequest, rec.Code, wrong)
		require.Contains(t, rec.Body.String(), `role="alert"`)
		require.NotContains(t, rec.Body.String(), "<b>")
		if len(wrong) > 0 && wrong[1] == "-1" {
			require.Contains(t, rec.Body.String(), `value="-1"`, "what was entered is kept")
		}
	}
	require.Empty(t, rules())

	require.Equal(t, http.StatusSeeOther, admin.post(path, "prereleases", "true", "unused-days", "30", "age-days", "30", "names", "a*, b\nc", "max-downloads", "0").Code)
	require.Equal(t, http.StatusSeeOther, admin.post(path, "quota", "1.5", "per-package", "true", "keep-versions", "1.*").Code)
	require.Equal(t, http.StatusSeeOther, admin.post(path, "quota", "1.5", "per-package", "true", "keep-versions", "1.*").Code, "a double click")
	none := int64(0)
	got := rules()
	require.Len(t, got, 2)
	first := proget.RetentionRule{ID: got[0].ID, Prereleases: true, UnusedDays: 30, AgeDays: 30, Names: []string{"a*", "b", "c"}, MaxDownloads: &none}
	require.Equal(t, first, got[0])
	require.Equal(t, proget.RetentionRule{ID: got[1].ID, QuotaKB: 1536, PerPackage: true, KeepVersions: []string{"1.*"}}, got[1])
	page := admin.page(path)
	require.Contains(t, page, "prereleases, unused for 30 days, published more than 30 days ago, downloaded at most 0 times, named a* or b or c")
	require.Contains(t, page, "not version 1.*, while the package takes more than 1536 KiB")

	edit := fmt.Sprintf("%s?rule=%d", path, got[1].ID)
	page = admin.page(edit)
	require.Contains(t, page, "Change rule")
	require.Contains(t, page, `value="1.5"`)
	id := fmt.Sprint(got[1].ID)
	require.Equal(t, http.StatusSeeOther, admin.post(path, "rule", id, "keep-newest", "7").Code)
	got = rules()
	require.Equal(t, proget.RetentionRule{ID: got[1].ID, KeepNewest: 7}, got[1])
	require.Equal(t, first.Names, got[0].Names)

	require.Equal(t, http.StatusConflict, admin.get(edit).Code, "it was changed since")
	require.Equal(t, http.StatusConflict, admin.post(path, "rule", id, "keep-newest", "1").Code)
	require.Equal(t, http.StatusConflict, admin.post(path+"/delete", "rule", id).Code)
	require.Len(t, rules(), 2)
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/delete", "rule", fmt.Sprint(got[0].ID)).Code)
	got = rules()
	require.Len(t, got, 1)
	require.Equal(t, 7, got[0].KeepNewest)
}

// TestRunRetention: a run and a dry run are started from the page, which shows
// the newest of each.
func TestRunRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	const path = "/administration/feeds/main/retention"
	require.Equal(t, http.StatusSeeOther, admin.post(path, "keep-newest", "1").Code)
	require.NotContains(t, admin.page(path), "Last run")
	require.Equal(t, http.StatusBadRequest, admin.post(path+"/run").Code, "nothing is deleted by a form that says nothing")

	require.Equal(t, http.StatusSeeOther, admin.post(path+"/run", "dry", "true").Code)
	page := admin.page(path)
	require.Contains(t, page, "Last dry run")
	require.Contains(t, page, `disabled>Dry run`)
	require.NotContains(t, page, "Last run")
	require.NotContains(t, page, "http-equiv", "what is being entered would be lost")
	require.Equal(t, http.StatusConflict, admin.post(path+"/run", "dry", "true").Code)
	require.Equal(t, http.StatusSeeOther, admin.post(path+"/run", "dry", "false").Code)
	for _, argument := range []string{"main #1 preview", "main #1"} {
		j, err := w.store.ClaimJob(t.Context(), "index1", retention.Lane, time.Minute)
		require.NoError(t, err)
		require.Equal(t, argument, j.Argument)
		require.NoError(t, w.store.FinishJob(t.Context(), j, proget.JobDone, 1, 1, "did "+argument))
	}
	page = admin.page(path)
	require.Contains(t, page, "did main #1 preview")
	require.Contains(t, page, "Last run")
	require.Contains(t, admin.page("/administration/jobs/1"), "retention main #1 preview")

	require.Equal(t, http.StatusSeeOther, admin.post(path+"/run", "dry", "false").Code)
	j, err := w.store.ClaimJob(t.Context(), "index1", retention.Lane, time.Minute)
	require.NoError(t, err)
	hold := func() error {
		return w.store.Tx(t.Context(), func(tx *db.Tx) error { return tx.HoldJob(t.Context(), j) })
	}
	require.NoError(t, hold())
	require.Equal(t, http.StatusSeeOther, admin.post(path, "keep-newest", "2").Code)
	require.ErrorIs(t, hold(), proget.ErrStale, "the rules are others now")
}
