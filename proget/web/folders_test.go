package web_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// TestFolders: a feed of files is shown one folder at a time, and says nothing of
// versions.
func TestFolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.feed(proget.Feed{Name: "files", Type: "file", Active: true})
	admin := w.as("admin")
	require.Contains(t, admin.page("/feeds/files"), "This feed holds no files yet.")
	for _, name := range []string{"readme.txt", "Docs/", "Docs/a.txt", "Docs/deep/er/b.txt", "docs0", "Empty/", "zip/x"} {
		w.publish(f, demoPackage{Name: name, Version: "1"})
	}
	entries := func(target string) (names []string, page string) {
		page = admin.page(target)
		for _, found := range regexp.MustCompile(`<th scope="row"><a href="([^"]*)">([^<]*)</a>`).FindAllStringSubmatch(page, -1) {
			names = append(names, found[2])
			admin.page(html.UnescapeString(found[1]))
		}
		return names, page
	}
	names, page := entries("/feeds/files")
	require.Equal(t, []string{"Docs/", "docs0", "Empty/", "readme.txt", "zip/"}, names)
	require.Contains(t, page, `href="/feeds/files?folder=Docs%2F"`)
	require.NotContains(t, strings.ToLower(page), "prerelease")
	names, _ = entries("/feeds/files?folder=docs%2F")
	require.Equal(t, []string{"a.txt", "deep/"}, names)
	names, page = entries("/feeds/files?folder=Docs/deep/er/")
	require.Equal(t, []string{"b.txt"}, names)
	require.Contains(t, page, `<a href="/feeds/files?folder=Docs%2F">Docs</a> <span aria-hidden="true">/</span> <a href="/feeds/files?folder=Docs%2Fdeep%2F">deep</a> <span aria-hidden="true">/</span> er</nav>`)
	require.Contains(t, admin.page("/feeds/files?folder=Empty"), "There is nothing in this folder.")
	require.Contains(t, admin.page("/feeds/files?folder=..%2F"), "There is nothing in this folder.")
	require.Equal(t, http.StatusBadRequest, admin.get("/feeds/files?folder=%00").Code)
	require.Contains(t, admin.page("/feeds/files?q=a.txt"), "1 file found")

	page = admin.page("/feeds/files/package?name=Docs/a.txt")
	require.Contains(t, page, "<h1>Docs/a.txt ")
	require.NotContains(t, page, "Versions")
	require.NotContains(t, page, "all versions")
	require.Contains(t, admin.page("/feeds/files/delete?name=Docs/a.txt&version=1"), "<h1>Delete Docs/a.txt?</h1>")
}

// TestLargeFolder: a folder is paged through, and what is deep in it takes no page.
func TestLargeFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.feed(proget.Feed{Name: "files", Type: "file", Active: true})
	for n := range 55 {
		w.publish(f, demoPackage{Name: fmt.Sprintf("a/%02d", n), Version: "1"})
		w.publish(f, demoPackage{Name: fmt.Sprintf("b%02d/file", n), Version: "1"})
	}
	admin := w.as("admin")
	count := func(target, want string) (int, string) {
		page := admin.page(target)
		require.Contains(t, page, want)
		next := regexp.MustCompile(`class="button next" href="([^"]*)"`).FindStringSubmatch(page)
		return strings.Count(page, `<th scope="row">`), html.UnescapeString(append(next, "", "")[1])
	}
	some, next := count("/feeds/files", ">b48/<")
	require.Equal(t, 50, some)
	some, next = count(next, ">b54/<")
	require.Equal(t, 6, some)
	require.Empty(t, next)
	some, next = count("/feeds/files?folder=a%2F", ">49<")
	require.Equal(t, 50, some)
	some, next = count(next, ">50<")
	require.Equal(t, 5, some)
	require.Empty(t, next)
}
