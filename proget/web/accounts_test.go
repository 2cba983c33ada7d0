package web_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

func TestFeedPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	require.Contains(t, admin.page("/administration"), `href="/administration/create-feed">Create feed</a>`)
	require.Contains(t, admin.page("/administration/create-feed"), `<option value="demo">Demo</option>`)
	create := func(name, typ string) (int, string) {
		rec := admin.post("/administration/create-feed", "name", name, "type", typ, "description", "Say <what>")
		return rec.Code, rec.Body.String() + rec.Header().Get("Location")
	}
	code, text := create(" Team ", "demo")
	require.Equal(t, http.StatusSeeOther, code, text)
	require.Equal(t, "/feeds/Team", text)
	require.Contains(t, admin.page("/feeds/team"), "Say &lt;what&gt;")
	code, text = create("MAIN", "demo")
	require.Equal(t, http.StatusConflict, code)
	require.Contains(t, text, "The name MAIN is taken")
	require.Contains(t, text, `value="Say &lt;what&gt;"`, "what was filled in is not lost")
	code, text = create("a b", "demo")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, text, "is not a valid feed name")
	code, _ = create("other", "npm")
	require.Equal(t, http.StatusBadRequest, code)

	settings := "/administration/feeds/main"
	require.Contains(t, admin.page("/administration"), `href="`+settings+`"`)
	require.Contains(t, admin.page(settings), `value="Our own packages"`)
	require.Equal(t, http.StatusBadRequest, admin.post(settings, "description", "x").Code, "a form that says nothing switches nothing")
	require.Equal(t, http.StatusSeeOther, admin.post(settings, "description", "Changed", "active", "false", "redirect", "false").Code)
	require.Equal(t, http.StatusNotFound, admin.get("/feeds/main").Code)
	page := admin.page(settings)
	require.Contains(t, page, `value="Changed"`)
	require.Contains(t, page, ">inactive<")
	require.Equal(t, http.StatusSeeOther, admin.post(settings, "description", "Changed", "active", "true", "redirect", "false").Code)
	require.Contains(t, admin.page(settings), `name="was-active" value="true"`)
	require.Equal(t, http.StatusSeeOther, admin.post(settings, "description", "Mine", "active", "false", "redirect", "false").Code)
	rec := admin.post(settings, "description", "Theirs", "was-description", "Changed", "active", "true", "was-active", "true", "redirect", "false", "was-redirect", "false")
	require.Equal(t, http.StatusSeeOther, rec.Code)
	page = admin.page(settings)
	require.Contains(t, page, ">inactive<", "what another has changed meanwhile stays, if it was not touched")
	require.Contains(t, page, `value="Theirs"`)
	require.Equal(t, http.StatusSeeOther, admin.post(settings, "description", "Changed", "active", "true", "redirect", "false").Code)
	w.publish(w.main, demoPackage{Name: "p", Version: "1"})
	rec = admin.post(settings + "/delete")
	require.Equal(t, http.StatusConflict, rec.Code)
	require.Contains(t, rec.Body.String(), "Feed main holds packages")
	require.Equal(t, "/administration#feeds", admin.post("/administration/feeds/team/delete").Header().Get("Location"))
	require.Equal(t, http.StatusNotFound, admin.get("/administration/feeds/team").Code)
}

func TestKeyPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	require.Contains(t, admin.page("/administration/keys"), "There are no API keys.")
	rec := admin.post("/administration/keys", "name", "build <server>", "task", "publish", "feed", "secret", "expires", "2099-12-31")
	require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
	found := regexp.MustCompile(`<code id="created">([a-z0-9]{40,})</code>`).FindStringSubmatch(rec.Body.String())
	require.NotNil(t, found, rec.Body)
	k, err := w.store.FindKey(t.Context(), auth.HashKey(found[1]))
	require.NoError(t, err)
	require.Equal(t, proget.TaskPublish, k.Task)
	require.Equal(t, w.secret.ID, k.FeedID)
	require.Equal(t, "2100-01-01", k.Expires.Format("2006-01-02"), "the last day counts")
	page := admin.page("/administration/keys")
	require.NotContains(t, page, found[1], "it is shown once")
	require.Contains(t, page, "build &lt;server&gt;")
	require.Contains(t, page, "View, download and publish</td><td>secret</td>")

	for want, fields := range map[string][]string{
		"is not a valid name":    {"task", "view"},
		"There is no permission": {"name", "x"},
		"is not a date":          {"name", "x", "task", "view", "expires", "tomorrow"},
		"before the year 9999":   {"name", "x", "task", "view", "expires", "9999-12-31"},
		"date is in the past":    {"name", "x", "task", "view", "expires", "2001-01-01"},
		"There is no feed named": {"name", "x", "task", "view", "feed", "none"},
		"do not name a feed":     {"name", "x", "task", "administer", "feed", "main"},
	} {
		rec := admin.post("/administration/keys", fields...)
		require.GreaterOrEqual(t, rec.Code, http.StatusBadRequest, want)
		require.Contains(t, rec.Body.String(), want)
		require.NotContains(t, rec.Body.String(), `id="created"`)
	}
	require.Equal(t, http.StatusBadRequest, admin.post("/administration/keys/delete").Code)
	id := regexp.MustCompile(`name="id" value="(\d+)"`).FindStringSubmatch(page)[1]
	require.Equal(t, http.StatusSeeOther, admin.post("/administration/keys/delete", "id", id).Code)
	require.Equal(t, http.StatusNotFound, admin.post("/administration/keys/delete", "id", id).Code)
	require.Contains(t, admin.page("/administration/keys"), "There are no API keys.")
}

// TestKeyFormTwice: a form that is sent twice, by a double click or to load its answer
// again, makes one key, which both answers show.
func TestKeyFormTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	const path = "/administration/keys"
	hidden := regexp.MustCompile(`name="text" value="([a-z0-9]{40,})"`)
	text := hidden.FindStringSubmatch(admin.page(path))[1]
	require.NotContains(t, admin.page(path), text)
	for _, want := range []int{1, 1} {
		rec := admin.post(path, "text", text, "name", "ci", "task", "publish", "feed", "main", "expires", "2099-12-31")
		require.Equal(t, http.StatusOK, rec.Code, rec.Body)
		require.Contains(t, rec.Body.String(), `<code id="created">`+text+`</code>`)
		require.NotEqual(t, text, hidden.FindStringSubmatch(rec.Body.String())[1])
		keys, err := w.store.ListKeys(t.Context())
		require.NoError(t, err)
		require.Len(t, keys, want)
	}
	rec := admin.post(path, "text", text, "name", "ci", "task", "administer")
	require.Equal(t, http.StatusConflict, rec.Code)
	require.NotContains(t, rec.Body.String(), text)
	next := hidden.FindStringSubmatch(rec.Body.String())[1]
	require.Contains(t, admin.post(path, "text", next, "name", "ci", "task", "administer").Body.String(), next)
}

func TestUserPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	page := admin.page("/administration/users")
	for _, want := range []string{
		">Everybody</a>", `in main</span>`, `>admin</a> <span class="badge info">you</span>`, "Everything, administration included",
		`href="/administration/user?subject=user%3Aann"`, "View, download, publish, unlist and delete",
	} {
		require.Contains(t, page, want)
	}
	rec := admin.post("/administration/users", "name", "Carl & Co", "password", password)
	require.Equal(t, "/administration/user?subject=user%3Acarl+%26+co", rec.Header().Get("Location"), rec.Body)
	for name, secret := range map[string]string{"ANN": password, "a:b": password, "api": password, "__token__": password, "": password, "dora": "short"} {
		rec := admin.post("/administration/users", "name", name, "password", secret)
		require.GreaterOrEqual(t, rec.Code, http.StatusBadRequest, name)
		require.Contains(t, rec.Body.String(), `role="alert"`, name)
	}

	carl := w.as("carl & co")
	require.Equal(t, http.StatusForbidden, carl.get("/feeds/secret").Code)
	user := func(action, subject string, fields ...string) int {
		return admin.post("/administration/user/"+action+"?subject="+subject, fields...).Code
	}
	const name = "user:carl+%26+co"
	require.Equal(t, http.StatusSeeOther, user("grant", name, "task", "view", "feed", "secret"))
	require.Equal(t, http.StatusOK, carl.get("/feeds/secret").Code)
	require.Equal(t, http.StatusSeeOther, user("grant", name, "task", "administer", "feed", ""))
	require.Equal(t, http.StatusOK, carl.get("/administration").Code)
	require.Equal(t, http.StatusSeeOther, user("grant", name, "task", "publish", "feed", ""), "in the place of what was")
	require.Equal(t, http.StatusForbidden, carl.get("/administration").Code)
	page = admin.page("/administration/user?subject=" + name)
	require.Contains(t, page, "View, download and publish</th><td>all feeds</td>")
	require.Contains(t, page, "View and download</th><td>secret</td>")
	for _, action := range []string{"grant", "revoke", "password", "delete"} {
		require.Contains(t, page, `action="/administration/user/`+action+`?subject=user%3acarl%20%26%20co"`)
	}
	require.Equal(t, http.StatusBadRequest, user("revoke", name), "a form that says nothing revokes nothing")
	require.Equal(t, http.StatusSeeOther, user("revoke", name, "feed", ""))
	require.Equal(t, http.StatusSeeOther, user("revoke", name, "feed", "secret"))
	require.Equal(t, http.StatusForbidden, carl.get("/feeds/secret").Code)

	require.Equal(t, http.StatusSeeOther, user("revoke", "anonymous", "feed", "main"))
	require.Equal(t, http.StatusSeeOther, w.browser().get("/feeds/main").Code, "sign in")
	require.Equal(t, http.StatusBadRequest, user("grant", "anonymous", "task", "administer", "feed", ""))
	require.Equal(t, http.StatusBadRequest, user("password", "anonymous", "password", password))
	require.Equal(t, http.StatusBadRequest, user("delete", "authenticated"))
	require.Equal(t, http.StatusSeeOther, user("grant", "authenticated", "task", "view", "feed", "main"))
	require.Equal(t, http.StatusOK, carl.get("/feeds/main").Code)
	require.Equal(t, http.StatusNotFound, user("grant", "user:nobody", "task", "view", "feed", ""))
	require.Equal(t, http.StatusBadRequest, user("grant", name, "task", "dance", "feed", ""))

	require.Equal(t, http.StatusBadRequest, user("password", name, "password", "short"))
	require.Equal(t, http.StatusSeeOther, user("password", name, "password", "another password"))
	require.Equal(t, http.StatusSeeOther, carl.get("/feeds").Code, "the session has ended")
}

// TestOwnPassword: users change their own, who know it, and nobody else's.
func TestOwnPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, "/sign-in?return=%2Faccount", w.browser().get("/account").Header().Get("Location"))
	ann := w.as("ann")
	require.Contains(t, ann.page("/feeds"), `href="/account">ann</a>`)
	require.Contains(t, ann.page("/account"), "Current password")
	change := func(current, fresh, again string) (int, string) {
		rec := ann.post("/account", "current", current, "password", fresh, "again", again)
		return rec.Code, rec.Body.String() + rec.Header().Get("Location")
	}
	const fresh = "a new password"
	for _, c := range []struct {
		current, fresh, again string
		status                int
		message               string
	}{
		{"guess", fresh, fresh, http.StatusUnauthorized, "The current password is wrong."},
		{"", fresh, fresh, http.StatusUnauthorized, "The current password is wrong."},
		{password, fresh, "a now password", http.StatusBadRequest, "The two new passwords do not match."},
		{password, "short", "short", http.StatusBadRequest, "A password must have 8 to 200 characters."},
	} {
		status, text := change(c.current, c.fresh, c.again)
		require.Equal(t, c.status, status, text)
		require.Contains(t, text, c.message)
		require.NotContains(t, text, c.fresh)
	}
	status, text := change(password, fresh, fresh)
	require.Equal(t, http.StatusSeeOther, status, text)
	require.Equal(t, "/sign-in?return=%2Faccount", text)
	require.Equal(t, http.StatusSeeOther, ann.get("/account").Code, "the session has ended")
	require.Equal(t, http.StatusUnauthorized, ann.post("/sign-in", "user", "ann", "password", password).Code)
	require.Equal(t, http.StatusSeeOther, ann.post("/sign-in", "user", "ann", "password", fresh).Code)

	for n := 0; ; n++ {
		rec := ann.post("/account", "current", "guess", "password", password, "again", password)
		if rec.Code == http.StatusTooManyRequests {
			require.NotEmpty(t, rec.Header().Get("Retry-After"))
			break
		}
		require.Less(t, n, 50, "guessing is slowed down as at the sign-in")
	}
}

// TestAdministratorRemains: nobody deletes or demotes themselves.
func TestAdministratorRemains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as("admin")
	for _, c := range [][]string{{"delete"}, {"revoke", "feed", ""}, {"grant", "task", "view", "feed", ""}} {
		rec := admin.post("/administration/user/"+c[0]+"?subject=user:admin", c[1:]...)
		require.Equal(t, http.StatusConflict, rec.Code, c[0])
		require.Contains(t, rec.Body.String(), "Another administrator can", c[0])
	}
	require.Equal(t, http.StatusOK, admin.get("/administration").Code)
	page := admin.page("/administration/user?subject=user:admin")
	require.NotContains(t, page, "/administration/user/revoke")
	require.NotContains(t, page, "/administration/user/delete")
}

// TestFormerAccount: who takes over a name takes over neither permissions nor
// sessions.
func TestFormerAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, ann := w.as("admin"), w.as("ann")
	require.Contains(t, ann.page("/feeds"), ">ann<")
	require.Equal(t, "/administration/users", admin.post("/administration/user/delete?subject=user:ann").Header().Get("Location"))
	require.NotContains(t, ann.page("/feeds"), ">ann<")
	require.Equal(t, http.StatusSeeOther, admin.post("/administration/users", "name", "ann", "password", "another password").Code)
	require.NotContains(t, ann.page("/feeds"), ">ann<", "another's session")
	all, err := w.store.ListPermissions(t.Context())
	require.NoError(t, err)
	for _, p := range all {
		require.NotEqual(t, db.Permission{Subject: "user:ann", FeedID: w.main.ID, Task: proget.TaskManage}, p)
	}
	forged := admin.form("/administration/user/delete?subject=user:bob")
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, admin.do(forged).Code)
	_, err = w.store.FindUser(t.Context(), "bob")
	require.NoError(t, err)
}
