package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

func (w *world) setStatus(name, version string, change func(*proget.Status)) {
	w.t.Helper()
	ref := feed.Ref{Feed: w.main, NameKey: name, VersionKey: version}
	require.NoError(w.t, w.publisher.SetStatus(w.t.Context(), ref, proget.Principal{}, change))
}

func TestPackage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, version := range []string{"1.0", "1.1", "2.0", "3.0-rc"} {
		w.publish(w.main, demoPackage{Name: "@acme/core", Version: version, Prerelease: version == "3.0-rc", Summary: feed.Summary{
			Title: "Acme Core", Description: "What all share.", Authors: "Ann", Tags: []string{"base"},
			ProjectURL: "https://acme.example/core", License: "MIT", Readme: "# Core\n\n**Read** me.",
			Dependencies: []feed.Dependency{{Group: "net8.0", Name: "Other", Range: ">= 1"}, {Group: "net8.0", Name: "Third"}},
		}})
	}
	w.setStatus("@acme/core", "1.0", func(s *proget.Status) { s.Listed = false })
	w.setStatus("@acme/core", "1.1", func(s *proget.Status) { s.Deprecated = "It leaks." })
	require.NoError(t, w.publisher.Tag(t.Context(), feed.Ref{Feed: w.main, NameKey: "@acme/core", VersionKey: "1.1"}, "stable", proget.Principal{}))
	b := w.browser()
	page := b.page("/feeds/main/package?name=%40ACME%2Fcore")
	require.Contains(t, page, `<span class="badge info">stable</span>`)
	for _, want := range []string{
		`@acme/core <span class="number">2.0</span>`, "Acme Core", "What all share.", "<h3>Core</h3>", "<strong>Read</strong>",
		"demo add @acme/core --from http://example.com/demo/main", "net8.0", "&gt;= 1", "MIT", `href="https://acme.example/core"`,
		"SHA-256", "SHA-512", "package 2.0.json", "by ann", "unlisted", "deprecated", "3.0-rc", "prerelease",
	} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "newer version")
	require.NotContains(t, page, "Unlist", "not for everyone")
	require.NotContains(t, page, "Delete")

	old := b.page("/feeds/main/package?name=@acme/core&version=1.1")
	require.Contains(t, old, "There is a newer version")
	require.Contains(t, old, "It leaks.")

	for path, status := range map[string]int{
		"/feeds/main/package?name=none":                     http.StatusNotFound,
		"/feeds/main/package?name=@acme/core&version=9":     http.StatusNotFound,
		"/feeds/main/package":                               http.StatusBadRequest,
		"/feeds/main/download?name=@acme/core&file=passwd":  http.StatusNotFound,
		"/feeds/main/delete?name=@acme/core&version=1.0":    http.StatusSeeOther,
		"/feeds/main/package/extra":                         http.StatusNotFound,
		"/feeds/main/package?name=%00%ff&version=%3Cscript": http.StatusBadRequest,
	} {
		require.Equal(t, status, b.get(path).Code, path)
	}
}

// TestBlockedNewest: what cannot be had is not what a package is shown by.
func TestBlockedNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		w.publish(w.main, demoPackage{Name: "core", Version: version})
	}
	block := func(s *proget.Status) { s.Blocked = true }
	w.setStatus("core", "1.2", block)
	b := w.browser()
	require.Contains(t, b.page("/feeds/main/package?name=core"), `core <span class="number">1.1</span>`)
	require.NotContains(t, b.page("/feeds/main/package?name=core&version=1.1"), "newer version")
	require.Contains(t, b.page("/feeds/main"), `core</a> <span class="number">1.1</span>`)
	for _, version := range []string{"1.0", "1.1"} {
		w.setStatus("core", version, block)
	}
	require.Contains(t, b.page("/feeds/main/package?name=core"), `core <span class="number">1.2</span>`)
	require.NotContains(t, b.page("/feeds/main/package?name=core&version=1.1"), "newer version")
}

func TestDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.publish(w.main, demoPackage{Name: "a/b", Version: "1+c"})
	b := w.browser()
	link := "/feeds/main/download?" + url.Values{"name": {"a/b"}, "version": {"1+c"}}.Encode() + "&" + url.Values{"file": {v.Files[0].Name}}.Encode()
	require.Contains(t, html.UnescapeString(b.page("/feeds/main/package?name=a/b")), link)
	rec := b.get(link)
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, rec.Body.String(), `"a/b"`)
	require.Contains(t, rec.Header().Get("Content-Disposition"), "attachment")
	require.Equal(t, "application/octet-stream", rec.Header().Get("Content-Type"))
	require.Equal(t, int(v.Files[0].Size), rec.Body.Len())
	require.Equal(t, "no-cache", rec.Header().Get("Cache-Control"), "another may not have it")
	again := httptest.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	again.Header.Set("If-None-Match", rec.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, b.do(again).Code)
	require.Equal(t, http.StatusOK, b.get("/feeds/main/download?name=a/b").Code, "the package file is the default")

	w.setStatus("a/b", "1+c", func(s *proget.Status) { s.Blocked = true })
	rec = w.as("ann").get(link)
	require.Equal(t, http.StatusNotFound, rec.Code, "as from a feed")
	require.Contains(t, rec.Body.String(), "is blocked")
	require.NotContains(t, b.page("/feeds/main/package?name=a/b"), "download?")
}

func TestManyVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 60 {
		w.publish(w.main, demoPackage{Name: "busy", Version: fmt.Sprintf("1.%02d", n)})
	}
	b := w.browser()
	page := b.page("/feeds/main/package?name=busy&version=1.03")
	require.Contains(t, page, "version=1.59")
	require.NotContains(t, page, "version=1.05&")
	require.NotContains(t, page, `version=1.05"`)
	require.Contains(t, page, `aria-current="page">1.03<`, "the current one is always there")
	require.Contains(t, page, "Show all 60 versions")
	require.Contains(t, b.page("/feeds/main/package?name=busy&version=1.03&all"), `version=1.05"`)
}

// TestTooManyVersions: a page has so many versions at most, and says so.
func TestTooManyVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 1002 {
		w.publish(w.main, demoPackage{Name: "busy", Version: fmt.Sprintf("1.%04d", n)})
	}
	b := w.browser()
	require.Contains(t, b.page("/feeds/main/package?name=busy"), "Show the newest 1,000 of 1,002 versions")
	page := b.page("/feeds/main/package?name=busy&all")
	require.Equal(t, 1000, strings.Count(page, `<th scope="row">`))
	require.Contains(t, page, "2 other versions are not shown.")
	require.Contains(t, page, ">1.0002</a>")
	require.NotContains(t, page, ">1.0001</a>")
}

func TestUnlistRelistDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "p", Version: "1"})
	w.publish(w.main, demoPackage{Name: "p", Version: "2"})
	const status, remove = "/feeds/main/status?name=p&version=2", "/feeds/main/delete?name=p&version=2"

	for _, form := range []string{status, remove} {
		require.Equal(t, http.StatusSeeOther, w.browser().post(form, "listed", "false").Code)
		require.Equal(t, http.StatusForbidden, w.as("bob").post(form, "listed", "false").Code)
	}
	ann := w.as("ann")
	require.Equal(t, http.StatusBadRequest, ann.post(status).Code)
	require.Equal(t, "/feeds/main/package?name=p&version=2", ann.post(status, "listed", "false").Header().Get("Location"))
	require.Contains(t, ann.page("/feeds/main/package?name=p&version=2"), "List again")
	require.Equal(t, http.StatusSeeOther, ann.post(status, "listed", "true").Code)
	require.Contains(t, ann.page("/feeds/main/package?name=p&version=2"), ">Unlist<")

	require.Contains(t, ann.page(remove), "Delete this version")
	require.NotContains(t, ann.page(remove), "only version")
	require.Equal(t, http.StatusBadRequest, ann.post("/feeds/main/delete?name=p").Code, "nothing is deleted that was not named")
	require.Equal(t, "/feeds/main/package?name=p", ann.post(remove).Header().Get("Location"))
	require.Equal(t, http.StatusNotFound, ann.post(remove).Code)
	require.Contains(t, ann.page("/feeds/main/delete?name=p&version=1"), "only version")
	require.Equal(t, "/feeds/main", ann.post("/feeds/main/delete?name=p&version=1").Header().Get("Location"))
	require.Contains(t, ann.page("/feeds/main"), "no packages yet")
}

// TestDeprecateAndBlock: who manages a feed says on a version's page what the native
// API's status call says.
func TestDeprecateAndBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "p", Version: "1"})
	const status, page = "/feeds/main/status?name=p&version=1", "/feeds/main/package?name=p&version=1"
	ann := w.as("ann")
	require.NotContains(t, w.as("bob").page(page), "<summary>Deprecate")
	for _, step := range []struct {
		fields   []string
		has, not string
	}{
		{[]string{"deprecated", "true", "reason", " Use q <b>. "}, "<strong>Deprecated.</strong> Use q &lt;b&gt;.</p>", "<summary>Deprecate"},
		{[]string{"deprecated", "true", "reason", " "}, "</strong> This version is deprecated.", "Use q"},
		{[]string{"blocked", "true"}, ">Unblock</button>", ">Block</button>"},
		{[]string{"deprecated", "false"}, "<summary>Deprecate", "<strong>Deprecated."},
		{[]string{"blocked", "false"}, ">Block</button>", "<strong>Blocked."},
	} {
		require.Equal(t, http.StatusForbidden, w.as("bob").post(status, step.fields...).Code)
		require.Equal(t, page, ann.post(status, step.fields...).Header().Get("Location"), step.fields)
		require.Contains(t, ann.page(page), step.has)
		require.NotContains(t, ann.page(page), step.not)
	}
	for _, wrong := range [][]string{{"blocked", "yes"}, {"deprecated", "x"}, {"reason", "why"}} {
		require.Equal(t, http.StatusBadRequest, ann.post(status, wrong...).Code, wrong)
	}
}

// TestKnownByTags: where people know versions by tags, pages do, and shorten digests.
func TestKnownByTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.feed(proget.Feed{Name: "images", Type: "image", Active: true})
	digest := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	for c, tags := range map[string][]string{"a": {"latest", "1.2.3", "1.2"}, "b": nil} {
		w.publish(f, demoPackage{Name: "app", Version: digest(c)})
		for _, tag := range tags {
			require.NoError(t, w.publisher.Tag(t.Context(), feed.Ref{Feed: f, NameKey: "app", VersionKey: digest(c)}, tag, proget.Principal{User: "ann"}))
		}
	}
	admin := w.as("admin")
	page := admin.page("/feeds/images/package?name=app&version=" + digest("a"))
	for _, want := range []string{
		`app <span class="number">1.2.3</span>`, "<code>" + digest("a") + "</code>", "demo pull app at 1.2.3<", `<title>app 1.2.3 ·`,
		`aria-current="page" title="` + digest("a") + `">1.2.3</a></th><td><span class="badge info">1.2</span> <span class="badge info">latest</span> <code title="` + digest("a") + `">aaaaaaaaaaaa</code>`,
		`title="` + digest("b") + `">bbbbbbbbbbbb</a></th><td></td>`,
	} {
		require.Contains(t, page, want)
	}
	page = admin.page("/feeds/images/package?name=app&version=" + digest("b"))
	require.Contains(t, page, `app <span class="number">bbbbbbbbbbbb</span>`)
	require.Contains(t, page, "demo pull app at "+digest("b"))
	require.Contains(t, admin.page("/feeds/images/delete?name=app&version="+digest("a")), "Delete app 1.2.3?")

	require.Equal(t, http.StatusSeeOther, admin.post("/feeds/images/delete?name=app&version="+digest("b")).Code)
	require.Contains(t, admin.page("/feeds/images"), `app</a> <span class="number" title="`+digest("a")+`">1.2.3</span>`)
	require.Contains(t, admin.page("/feeds/images/deleted"), `<td><span title="`+digest("b")+`">bbbbbbbbbbbb</span></td>`)
}

// TestUnlistedPackage: who manages a feed finds by its name what no search finds.
func TestUnlistedPackage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(w.main, demoPackage{Name: "Acme.Lib", Version: "1"})
	w.publish(w.main, demoPackage{Name: "Acme.Lib.More", Version: "1"})
	w.setStatus("acme.lib", "1", func(s *proget.Status) { s.Listed = false })
	ann := w.as("ann")
	page := ann.page("/feeds/main?q=acme.lib")
	require.Contains(t, page, "2 packages found")
	require.Contains(t, page, `name=Acme.Lib">Acme.Lib</a> <span class="number">1</span> <span class="badge warn">unlisted</span>`)
	require.NotContains(t, ann.page("/feeds/main?q=acme"), "badge warn")
	for _, other := range []string{"none", "%00%ff", strings.Repeat("%C3%A9", 150)} {
		require.Contains(t, ann.page("/feeds/main?q="+other), "Nothing matches")
		require.Contains(t, ann.page("/feeds/main?q="+other), "found by its exact name")
	}
	require.Contains(t, w.as("bob").page("/feeds/main?q=acme.lib"), "1 package found")

	w.setStatus("acme.lib.more", "1", func(s *proget.Status) { s.Listed = false })
	page = w.browser().page("/feeds/main")
	require.Contains(t, page, "they are unlisted, or prereleases only.")
	require.NotContains(t, page, "no packages yet")
	require.NotContains(t, page, "exact name", "it would not be")
	for _, name := range []string{"Acme.Lib", "Acme.Lib.More"} {
		require.Equal(t, http.StatusSeeOther, ann.post("/feeds/main/delete?name="+name+"&version=1").Code)
	}
	require.NoError(t, w.store.Tx(t.Context(), func(tx *db.Tx) error { return tx.AddFeedStats(t.Context(), w.main.ID, 0, 3) }))
	require.Contains(t, w.browser().page("/feeds/main"), "no packages yet", "statistics may be a moment old")
}

// TestBringBack: what was deleted is listed for those who may delete, and comes
// back.
func TestBringBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const page = "/feeds/main/deleted"
	w.publish(w.main, demoPackage{Name: "p", Version: "1"})
	for _, tag := range []string{"latest", "<stable>"} {
		require.NoError(t, w.publisher.Tag(t.Context(), feed.Ref{Feed: w.main, NameKey: "p", VersionKey: "1"}, tag, proget.Principal{User: "ann"}))
	}
	ann := w.as("ann")
	require.Contains(t, ann.page(page), "There are no deleted versions.")
	require.Equal(t, http.StatusSeeOther, ann.post("/feeds/main/delete?name=p&version=1").Code)
	require.Contains(t, ann.page("/feeds/main"), page)
	require.NotContains(t, w.as("bob").page("/feeds/main"), page)
	require.Equal(t, http.StatusForbidden, w.as("bob").post(page, "id", "1").Code)
	require.Contains(t, ann.page(page), "Bring back p 1")
	require.Contains(t, ann.page(page), `<td><span>1</span> <span class="tag">&lt;stable&gt;</span> <span class="tag">latest</span></td>`)
	require.Equal(t, http.StatusBadRequest, ann.post(page, "id", "x").Code)
	require.Equal(t, http.StatusNotFound, ann.post(page, "id", "77").Code)
	id := regexp.MustCompile(`name="id" value="(\d+)"`).FindStringSubmatch(ann.page(page))[1]
	require.Equal(t, "/feeds/main/package?name=p&version=1", ann.post(page, "id", id).Header().Get("Location"))
	require.Contains(t, ann.page("/feeds/main/package?name=p&version=1"), "p")
	require.Contains(t, ann.page(page), "There are no deleted versions.")
	require.Equal(t, http.StatusNotFound, ann.post(page, "id", id).Code)
}

func TestHostileText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const script = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	readme := script + `

[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](javascript&#58;alert(1)) [d](java&Tab;script:alert(1)) [e]( javascript:alert(1))
[f](vbscript:x) [g](data:text/html,<script>alert(1)</script>) <javascript:alert(1)> [h](<javascript:alert(1)>) [i][ref]
![j](javascript:alert(1)) [k](javascript\:alert(1)) [l](x-evil:1) [ok](https://ok.example "t&quot;itle") [rel](docs/a.md)

[ref]: javascript:alert(1)

<div onclick="alert(1)">raw</div>

` + "```\"><script>\n</code><script>alert(1)</script>\n```\n"
	w.publish(w.main, demoPackage{Name: "p" + script, Version: "1" + script, Summary: feed.Summary{
		Title: script, Description: readme, Authors: script, Tags: []string{script}, License: script,
		ProjectURL: "javascript:alert(1)", Readme: readme, Dependencies: []feed.Dependency{{Group: script, Name: script, Range: script}},
	}})
	w.setStatus("p"+script, "1"+script, func(s *proget.Status) { s.Deprecated = script })
	ann, name := w.as("ann"), url.QueryEscape("p"+script)
	for _, path := range []string{
		"/feeds/main", "/feeds/main?q=" + url.QueryEscape(script), "/feeds/main/package?name=" + name,
		"/feeds/main/delete?name=" + name, "/sign-in?return=" + url.QueryEscape("/"+script),
	} {
		page := ann.page(path)
		require.NotContains(t, page, "<script>", path)
		require.Equal(t, 1, strings.Count(page, "<script"), "the one of the layout: %s", path)
		require.NotContains(t, page, "<img src=x", path)
		require.NotContains(t, page, "<div onclick", path)
		for attribute := range strings.SplitSeq(page, `="`) {
			value, _, _ := strings.Cut(attribute, `"`)
			value = strings.ToLower(strings.TrimSpace(value))
			require.False(t, strings.HasPrefix(value, "javascript") || strings.HasPrefix(value, "data:") || strings.HasPrefix(value, "x-evil"), "%s: %s", path, value)
		}
	}
	page := ann.page("/feeds/main/package?name=" + name)
	require.Contains(t, page, `href="https://ok.example"`)
	require.Contains(t, page, `rel="nofollow noopener"`)
	require.Contains(t, ann.get("/feeds/main/package?name="+name+"&version=9"+name).Body.String(), "&lt;script&gt;")
}

// TestDescription: a description is Markdown or plain text, of which nothing is lost.
func TestDescription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const text = "Extends List<T> and\nDictionary<string>, *fast*.\n\n<summary>\nFor a & b.\n</summary>\n\n<!-- note -->"
	w.publish(w.main, demoPackage{Name: "p", Version: "1", Summary: feed.Summary{Description: text, Readme: "A <b>readme</b>"}})
	page := w.browser().page("/feeds/main/package?name=p")
	for _, want := range []string{"Extends List&lt;T&gt; and<br>\nDictionary&lt;string&gt;, <em>fast</em>.", "<p>&lt;summary&gt;<br>\nFor a &amp; b.<br>\n&lt;/summary&gt;</p>", "<p>&lt;!-- note --&gt;"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "&lt;b&gt;")
}

// TestDailyDownloads: the last days of a package are drawn, those of all its
// versions.
func TestDailyDownloads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.publish(w.main, demoPackage{Name: "lib", Version: "1"}), w.publish(w.main, demoPackage{Name: "lib", Version: "2"})
	const page = "/feeds/main/package?name=lib"
	require.NotContains(t, w.browser().page(page), "<svg class=\"spark\"", "there was none")
	now, err := w.store.Clock(t.Context())
	require.NoError(t, err)
	for ago, counts := range map[int]map[int64]int64{0: {first.ID: 3, second.ID: 4}, 29: {first.ID: 1400}, 30: {first.ID: 9}} {
		require.NoError(t, w.store.AddDownloads(t.Context(), now.AddDate(0, 0, -ago), counts))
	}
	text := w.browser().page(page)
	require.Contains(t, text, `aria-label="1,407 downloads of all versions in the last 30 days"`)
	require.Contains(t, text, `<rect x="0" y="0" width="6" height="36"><title>29 days ago: 1400</title>`)
	require.Contains(t, text, `<rect x="8" y="36" width="6" height="0"><title>28 days ago: 0</title>`)
	require.Contains(t, text, `<rect x="232" y="34" width="6" height="2"><title>Today: 7</title>`, "few can be seen, too")
}
