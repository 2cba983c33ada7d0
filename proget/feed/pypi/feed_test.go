package pypi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2b"

	"github.com/proget-go/ha/proget/feed/feedtest"
	"github.com/proget-go/ha/proget/feed/pypi"
)

const (
	v1JSON = "application/vnd.pypi.simple.v1+json"
	v1HTML = "application/vnd.pypi.simple.v1+html"
)

func hexOf(sum [32]byte) string { return hex.EncodeToString(sum[:]) }

// at follows names into objects, and numbers into lists.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

// TestSimple: a project with a wheel and an sdist, in all serializations.
func TestSimple(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	info := metadata("Acme.Lib", "1.0", "Requires-Python: >=3.8, <4", "Requires-Dist: other>=2; extra == 'x'", "Provides-Extra: x")
	w, s := wheel(t, "Acme.Lib", "1.0", info), sdist(t, "Acme.Lib", "1.0", metadata("Acme.Lib", "1.0"))
	c.publish("Acme.Lib", "1.0", "acme_lib-1.0-py3-none-any.whl", w)
	c.publish("Acme-Lib", "1.0.0", "Acme.Lib-1.0.tar.gz", s) // one version, however it is written

	page := c.get("simple/acme-lib/")
	require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
	require.Contains(t, page.Header.Values("Vary"), "Accept")
	sum := hexOf(sha256.Sum256([]byte(info)))
	for _, part := range []string{
		`<meta name="pypi:repository-version" content="1.1">`,
		fmt.Sprintf(`<a href="%s/packages/acme-lib/acme_lib-1.0-py3-none-any.whl#sha256=%s" data-requires-python="&gt;=3.8, &lt;4" data-core-metadata="sha256=%s" data-dist-info-metadata="sha256=%[3]s">acme_lib-1.0-py3-none-any.whl</a>`,
			c.Feed, hexOf(sha256.Sum256(w)), sum),
		fmt.Sprintf(`<a href="%s/packages/acme-lib/Acme.Lib-1.0.tar.gz#sha256=%s">Acme.Lib-1.0.tar.gz</a>`, c.Feed, hexOf(sha256.Sum256(s))),
	} {
		require.Contains(t, string(page.Body), part)
	}
	o := c.object("simple/acme-lib/", "Accept", v1JSON)
	require.Equal(t, "1.1", at(o, "meta", "api-version"))
	require.Equal(t, []any{"acme-lib", []any{"1.0"}}, []any{o["name"], o["versions"]})
	file := at(o, "files", 0)
	require.Equal(t, []any{"acme_lib-1.0-py3-none-any.whl", ">=3.8, <4", sum, false, float64(len(w))},
		[]any{at(file, "filename"), at(file, "requires-python"), at(file, "core-metadata", "sha256"), at(file, "yanked"), at(file, "size")})
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`, at(file, "upload-time"))
	require.Equal(t, false, at(o, "files", 1, "core-metadata"))

	require.Equal(t, w, feedtest.Get(t, at(file, "url").(string)).Body)
	own := feedtest.Get(t, at(file, "url").(string)+".metadata")
	require.Equal(t, info, string(own.Body))
	require.NotEmpty(t, own.Header.Get("ETag"))
	for _, path := range []string{"packages/acme-lib/Acme.Lib-1.0.tar.gz.metadata", "packages/acme-lib/none.whl", "packages/acme-lib/none.whl.metadata", "packages/none/x.whl",
		"simple/none/", "simple/a%20b/", "simple/acme-lib/x", "pypi/none/json", "pypi/acme-lib/9/json", "legacy/", "x/y"} {
		a := c.get(path)
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, a.StatusCode, path)
		require.Equal(t, "text/plain; charset=utf-8", a.Header.Get("Content-Type"))
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	c.publish("a-b", "1", wheelName("a-b", "1"), wheel(t, "a-b", "1", metadata("a-b", "1")))
	for from, to := range map[string]string{"": "simple/", "simple": "simple/", "simple/a-b": "simple/a-b/", "simple/A_B/": "simple/a-b/", "simple/a.-_b": "simple/a-b/", "simple/A?format=x": "simple/a/?format=x"} {
		a := c.get(from)
		require.Equal(t, http.StatusTemporaryRedirect, a.StatusCode, from)
		require.Equal(t, c.Feed+"/"+to, a.Header.Get("Location"), from)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), "the host is as this client has called it")
	}
}

func TestNegotiation(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	c.publish("a", "1", wheelName("a", "1"), wheel(t, "a", "1", metadata("a", "1")))
	const text = "text/html; charset=utf-8"
	for accept, want := range map[string]string{
		"": text, "*/*": text, "text/html": text, "text/*": text, "application/*": v1HTML,
		v1JSON: v1JSON, v1HTML: v1HTML,
		"application/vnd.pypi.simple.latest+json":             v1JSON,
		"application/vnd.pypi.simple.latest+html":             v1HTML,
		v1JSON + ", " + v1HTML + "; q=0.1, text/html; q=0.01": v1JSON, // pip
		v1HTML + ", " + v1JSON:                                v1JSON,
		v1JSON + ";q=0.1, text/html":                          text,
		v1JSON + ";q=0, */*;q=0.5":                            text,
		"text/html,application/xhtml+xml,*/*;q=0.8":           text, // a browser
		v1JSON + ", */*":                                      v1JSON,
		"text/html;q=0, */*":                                  v1HTML,
		"application/json":                                    "",
		"application/vnd.pypi.simple.v2+json":                 "",
		v1JSON + ";q=NaN":                                     "",
		"junk":                                                "",
	} {
		for _, path := range []string{"simple/", "simple/a/"} {
			a := c.get(path, "Accept", accept)
			if want == "" {
				require.Equal(t, http.StatusNotAcceptable, a.StatusCode, accept)
				require.Greater(t, len(a.Body), 20)
				continue
			}
			require.Equal(t, http.StatusOK, a.StatusCode, accept)
			require.Equal(t, want, a.Header.Get("Content-Type"), accept)
		}
	}
	require.Equal(t, v1JSON, c.get("simple/?format=application/vnd.pypi.simple.latest%2Bjson", "Accept", "text/html").Header.Get("Content-Type"))
	require.Equal(t, text, c.get("simple/?format=nothing", "Accept", "text/html").Header.Get("Content-Type"))
}

// TestProjects: the list of all is read in several pages.
func TestProjects(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	require.Equal(t, []any{}, c.object("simple/", "Accept", v1JSON)["projects"])
	const n = 105
	for i := range n {
		name := fmt.Sprintf("Project.%03d", i)
		c.publish(name, "1", wheelName(name, "1"), wheel(t, name, "1", metadata(name, "1")))
	}
	projects := c.object("simple/", "Accept", v1JSON)["projects"].([]any)
	require.Len(t, projects, n)
	require.Equal(t, "Project.104", at(projects, n-1, "name"))
	page := c.get("simple/")
	require.Equal(t, n, bytes.Count(page.Body, []byte("<a ")))
	require.Contains(t, string(page.Body), `<a href="project-104/">Project.104</a>`)
	head := feedtest.Do(t, feedtest.Request(t, http.MethodHead, c.Feed+"/simple/", nil))
	require.Equal(t, http.StatusOK, head.StatusCode)
}

// TestStatus: deprecated and unlisted versions are yanked, blocked ones are gone.
func TestStatus(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	for _, version := range []string{"1.0", "1.1", "1.2", "1.3"} {
		c.publish("lib", version, wheelName("lib", version), wheel(t, "lib", version, metadata("lib", version)))
	}
	c.status("lib", "1.1", `{"deprecated":true,"deprecationReason":"it is <broken> & \"old\""}`)
	c.status("lib", "1.2", `{"listed":false}`)
	c.status("lib", "1.3", `{"allow":false}`)
	o := c.object("simple/lib/", "Accept", v1JSON)
	require.Equal(t, []any{"1.0", "1.1", "1.2"}, o["versions"])
	require.Equal(t, []any{false, `it is <broken> & "old"`, true, nil}, []any{at(o, "files", 0, "yanked"), at(o, "files", 1, "yanked"), at(o, "files", 2, "yanked"), at(o, "files", 3)})
	page := string(c.get("simple/lib/").Body)
	require.Contains(t, page, `data-yanked="it is &lt;broken&gt; &amp; &#34;old&#34;">lib-1.1`)
	require.Contains(t, page, `data-yanked="">lib-1.2`)
	require.NotContains(t, page, "lib-1.3")
	for _, path := range []string{"packages/lib/lib-1.3-py3-none-any.whl", "packages/lib/lib-1.3-py3-none-any.whl.metadata", "lib/1.3/json"} {
		a := c.get(path)
		require.Equal(t, http.StatusNotFound, a.StatusCode)
		require.Contains(t, string(a.Body), "blocked")
	}
	require.Equal(t, http.StatusOK, c.get("packages/lib/lib-1.1-py3-none-any.whl").StatusCode, "yanked versions can still be had")
	require.Equal(t, "1.0", at(c.object("lib/json"), "info", "version"), "the newest that is not yanked")
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		c.status("lib", version, `{"allow":false}`)
	}
	require.Equal(t, []any{}, c.object("simple/lib/", "Accept", v1JSON)["files"])
	require.Equal(t, http.StatusNotFound, c.get("lib/json").StatusCode)
}

func TestJSONAPI(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	lines := []string{"Author-email: Ann <ann@example.org>", "License-Expression: MIT", "Project-URL: Home Page, https://example.org/a,b", "Classifier: Topic :: A", "Classifier: Topic :: B", "Keywords: one, two",
		"Requires-Dist: other (>=2)", "Requires-Python: >=3.8", "Description-Content-Type: text/markdown"}
	s := sdist(t, "lib", "1.0", metadata("lib", "1.0"))
	w := wheel(t, "lib", "1.0", metadata("lib", "1.0", lines...))
	c.publish("lib", "1.0", "lib-1.0.tar.gz", s)
	c.publish("lib", "1.0", wheelName("lib", "1.0"), w)
	c.publish("lib", "2.0a1", wheelName("lib", "2.0a1"), wheel(t, "lib", "2.0a1", metadata("lib", "2.0a1")))
	o := c.object("pypi/lib/json")
	require.Equal(t, o, c.object("lib/json"))
	info := o["info"]
	require.Equal(t, []any{"lib", "1.0", "A library.", "A description.\n", "text/markdown", "MIT", ">=3.8", []any{"other (>=2)"}, "https://example.org/a,b", []any{"Topic :: A", "Topic :: B"}, false},
		[]any{at(info, "name"), at(info, "version"), at(info, "summary"), at(info, "description"), at(info, "description_content_type"), at(info, "license_expression"), at(info, "requires_python"),
			at(info, "requires_dist"), at(info, "project_urls", "Home Page"), at(info, "classifiers"), at(info, "yanked")})
	file := at(o, "urls", 1)
	require.Equal(t, at(o, "releases", "1.0", 1), file)
	require.Equal(t, []any{"bdist_wheel", "py3", hexOf(sha256.Sum256(w)), hexOf(blake2b.Sum256(w)), float64(len(w))},
		[]any{at(file, "packagetype"), at(file, "python_version"), at(file, "digests", "sha256"), at(file, "digests", "blake2b_256"), at(file, "size")})
	require.Equal(t, []any{"sdist", "source"}, []any{at(o, "urls", 0, "packagetype"), at(o, "urls", 0, "python_version")})
	require.Len(t, at(file, "digests", "md5"), 32)
	pre := c.object("pypi/lib/2.0-alpha-1/json")
	require.Equal(t, "2.0a1", at(pre, "info", "version"))
	require.Nil(t, pre["releases"])
	require.Len(t, pre["urls"], 1)
}

// TestUploads: the ways in which a file can be sent.
func TestUploads(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	w := func(version string) []byte { return wheel(t, "lib", version, metadata("lib", version)) }
	form := func(path string, fields []field) *http.Request {
		body, contentType := formBody(t, fields)
		return feedtest.Request(t, http.MethodPost, c.Feed+path, body, "Content-Type", contentType)
	}
	twine := func(version string) []field {
		return twineFields("lib", version, wheelName("lib", version), w(version))
	}
	first := twine("2")
	last := append([]field{first[len(first)-1]}, first[:len(first)-1]...)
	for name, r := range map[string]*http.Request{
		"legacy":       form("/legacy", twine("1")),
		"fields after": form("/legacy/", last),
		"the feed":     form("/", twine("3")),
		"upload":       form("/upload", twine("4")),
		"signed":       form("/legacy/", append(twine("5"), field{"gpg_signature", "x.asc", "signature"}, field{"attestations", "", "[]"})),
		"file alone":   form("/legacy/", []field{{"content", wheelName("lib", "6"), string(w("6"))}}),
		"raw":          feedtest.Request(t, http.MethodPut, c.Feed+"/upload/"+wheelName("lib", "7"), w("7")),
		"raw, POST":    feedtest.Request(t, http.MethodPost, c.Feed+"/upload/"+wheelName("lib", "8"), w("8")),
		"nameless":     feedtest.Request(t, http.MethodPut, c.Feed+"/upload", w("9")),
		"sdist":        feedtest.Request(t, http.MethodPut, c.Feed+"/upload/", sdist(t, "Lib", "10.0-1", metadata("Lib", "10.0-1"))),
		"zip":          feedtest.Request(t, http.MethodPut, c.Feed+"/upload", zipped(t, "x/PKG-INFO", metadata("lib", "11"))),
		"build": feedtest.Request(t, http.MethodPut, c.Feed+"/upload", zipped(t, "lib-12.dist-info/METADATA", metadata("lib", "12"), "lib-12.dist-info/RECORD", "",
			"lib-12.dist-info/WHEEL", "Tag: py2-none-any\nTag: py3-none-any\nBuild: 1\n")),
		"old names": feedtest.Request(t, http.MethodPut, c.Feed+"/upload/my-old.lib-1.0-1.tar.gz", sdist(t, "x", "1", metadata("my.old-lib", "1.0.post1"))),
	} {
		a := c.do(r)
		require.Equal(t, http.StatusOK, a.StatusCode, "%s: %s", name, a.Body)
	}
	o := c.object("simple/lib/", "Accept", v1JSON)
	var names []string
	for _, f := range o["files"].([]any) {
		names = append(names, at(f, "filename").(string))
	}
	require.Equal(t, []string{"lib-1-py3-none-any.whl", "lib-2-py3-none-any.whl", "lib-3-py3-none-any.whl", "lib-4-py3-none-any.whl", "lib-5-py3-none-any.whl", "lib-6-py3-none-any.whl", "lib-7-py3-none-any.whl",
		"lib-8-py3-none-any.whl", "lib-9-py3-none-any.whl", "lib-10.0.post1.tar.gz", "lib-11.zip", "lib-12-1-py2.py3-none-any.whl"}, names)

	require.Equal(t, http.StatusMethodNotAllowed, c.do(form("/simple/", twine("20"))).StatusCode, "uv says then that this is no upload URL")
}

// TestSameFile: to send a file again is no error and changes nothing, not even of one
// that was yanked; to send another of its name is a conflict.
func TestSameFile(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	s, w := sdist(t, "lib", "1.0", metadata("lib", "1.0")), wheel(t, "lib", "1.0", metadata("lib", "1.0"))
	c.publish("lib", "1.0", "lib-1.0.tar.gz", s)
	c.status("lib", "1.0", `{"deprecated":true,"deprecationReason":"broken"}`)
	before := c.object("simple/lib/", "Accept", v1JSON)
	c.publish("lib", "1.0", "lib-1.0.tar.gz", s)
	put := func(name string, file []byte) feedtest.Answer {
		return c.do(feedtest.Request(t, http.MethodPut, c.Feed+"/upload/"+name, file))
	}
	a := put("lib-1.0.tar.gz", s)
	require.Equal(t, http.StatusOK, a.StatusCode)
	a = c.do(feedtest.Request(t, http.MethodPut, c.URL+"/api/packages/pypi/upload/lib-1.0.tar.gz", s))
	require.Equal(t, http.StatusOK, a.StatusCode, "by the native API, too: %s", a.Body)
	require.Equal(t, before, c.object("simple/lib/", "Accept", v1JSON), "yanked as before")
	require.Equal(t, "broken", at(before, "files", 0, "yanked"))
	require.Equal(t, 1, c.Files(t))

	c.publish("lib", "1.0", wheelName("lib", "1.0"), w) // the one that the first try did not come to
	c.publish("lib", "1.0", wheelName("lib", "1.0"), w)
	for name, file := range map[string][]byte{
		wheelName("lib", "1.0"): wheel(t, "lib", "1.0", metadata("lib", "1.0", "Author: Ann")),
		"lib-1.0.tar.gz":        sdist(t, "lib", "1.0", metadata("lib", "1.0", "Author: Ann")),
		"LIB-1.0.tar.gz":        s, // a name that some file systems take for the same
	} {
		for _, a := range []feedtest.Answer{put(name, file), c.do(upload(t, c.Feed, twineFields("lib", "1.0", name, file)))} {
			require.Equal(t, http.StatusConflict, a.StatusCode, name)
			require.True(t, strings.HasPrefix(string(a.Body), "File already exists: lib 1.0 already has the file "), string(a.Body))
		}
	}
	c.status("lib", "1.0", `{"allow":false}`)
	c.publish("lib", "1.0", "lib-1.0.tar.gz", s)
	require.Empty(t, c.object("simple/lib/", "Accept", v1JSON)["files"], "blocked as before")
	require.Equal(t, 2, c.Files(t))
}

// TestRealArchives: what tools of other times and places write.
func TestRealArchives(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, pypi.New()), t}
	old := "Metadata-Version: 1.1\r\nName: lib\r\nVersion: 1.0\r\nSummary: UNKNOWN\r\nHome-page: UNKNOWN\r\nDescription: First line\r\n        second line\r\n        \r\n               indented\r\nPlatform: any\r\n"
	c.publish("lib", "1.0", "lib-1.0.tar.gz", sdist(t, "lib", "1.0", old))
	info := c.object("lib/json")["info"]
	require.Equal(t, []any{"", "", "First line\nsecond line\n\n       indented", "any"}, []any{at(info, "summary"), at(info, "home_page"), at(info, "description"), at(info, "platform")})
	broken := "Metadata-Version: 2.1\nName: lib\nVersion: 1.1\nSummary: a\nb without a colon\nName: of the body\n"
	c.publish("lib", "1.1", "lib-1.1.tar.gz", sdist(t, "lib", "1.1", broken))
	require.Equal(t, "b without a colon\nName: of the body\n", at(c.object("lib/json"), "info", "description"), "as email.parser reads it")
}
