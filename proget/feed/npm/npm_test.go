package npm_test

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/sha1" //nolint:gosec // what npm has
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/feed/feedtest"
	"github.com/proget-go/ha/proget/feed/npm"
)

func manifest(t testing.TB, name, version string, more map[string]any) string {
	t.Helper()
	fields := map[string]any{"name": name, "version": version, "description": "A library."}
	maps.Copy(fields, more)
	text, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(text)
}

// document is what a client publishes with.
func document(t testing.TB, name, version string, tarball []byte, change func(map[string]any)) []byte {
	t.Helper()
	doc := map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": version},
		"versions":     map[string]any{version: map[string]any{"name": name, "version": version}},
		"_attachments": map[string]any{name + "-" + version + ".tgz": map[string]any{"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball)}},
	}
	if change != nil {
		change(doc)
	}
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	return text
}

func address(base, name string) string { return base + "/" + url.PathEscape(name) }

func put(t testing.TB, base, name string, body []byte) *http.Request {
	return feedtest.Request(t, http.MethodPut, address(base, name), body, "Content-Type", "application/json")
}

func push(t testing.TB, base, name, version string) (*http.Request, []byte) {
	t.Helper()
	file := testenv.Tarball(t, "package/package.json", manifest(t, name, version, nil), "package/index.js", "module.exports = 1\n")
	return put(t, base, name, document(t, name, version, file, nil)), file
}

func signIn(r *http.Request, key string) { r.Header.Set("Authorization", "Bearer "+key) }

func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Suite{
		Type: npm.New(), Push: push, SignIn: signIn, Name: "acme-lib", Three: [3]string{"1.2.3", "1.10.0", "2.0.0-rc.1"},
		Versions:  []feedtest.Version{{Text: "1.2.3"}, {Text: "1.9.0"}, {Text: "1.10.0"}, {Text: "2.0.0-rc.1", Prerelease: true}, {Text: "2.0.0"}},
		Documents: func(base, name string) []string { return []string{address(base, name)} },
		Download: func(base, name, version string) string {
			return base + "/" + name + "/-/" + name[strings.LastIndex(name, "/")+1:] + "-" + version + ".tgz"
		},
		Names: [][2]string{{"@acme/lib", "1.0.0"}, {"@a-b.c/d_e.f", "0.0.0-0"}, {"JSONStream", "1.0.0"}, {"jsonstream", "1.0.0"}, {"~tilde", "1.0.0-a.b-c.1"},
			{"a", "99999999999.0.0"}, {strings.Repeat("n", 214), "1.0.0"}},
		Refused: refused,
	})
}

func refused(t testing.TB, base string) map[string]*http.Request {
	const name, version = "acme-lib", "1.2.3"
	good := testenv.Tarball(t, "package/package.json", manifest(t, name, version, nil))
	doc := func(tarball []byte) *http.Request {
		return put(t, base, name, document(t, name, version, tarball, nil))
	}
	files := func(files ...string) *http.Request { return doc(testenv.Tarball(t, files...)) }
	changed := func(change func(map[string]any)) *http.Request {
		return put(t, base, name, document(t, name, version, good, change))
	}
	raw := func(text string) *http.Request { return put(t, base, name, []byte(text)) }
	whole := string(document(t, name, version, good, nil))
	damaged := bytes.Clone(good)
	damaged[len(damaged)-6] ^= 1 // of the sum
	late := append(bytes.Clone(good), gzipped(t, make([]byte, 2<<20))...)
	late[len(late)-6] ^= 1
	var manyFiles []string
	for n := range 6000 {
		manyFiles = append(manyFiles, fmt.Sprintf("package/bin/%d%s", n, strings.Repeat("x", 180)), "")
	}
	all := map[string]*http.Request{
		"empty":                   raw(""),
		"no JSON":                 raw("junk"),
		"a list":                  raw("[]"),
		"nothing":                 raw("{}"),
		"cut off":                 raw(whole[:len(whole)/2]),
		"cut off in the tarball":  raw(whole[:strings.Index(whole, `"data":"`)+40]),
		"cut off at its end":      raw(whole[:len(whole)-1]),
		"something after it":      raw(whole + "{}"),
		"deep":                    raw(`{"a":` + strings.Repeat("[", 100000)),
		"unbalanced":              raw(`{"a":]}`),
		"no string for a name":    raw(`{1:2}`),
		"twice a name":            raw(`{"name":"acme-lib","name":"other",` + whole[1:]),
		"no base64":               changed(attach("data", "!!!!")),
		"base64 cut off":          changed(attach("data", base64.StdEncoding.EncodeToString(good)[:5])),
		"escapes":                 raw(strings.Replace(whole, `"data":"`, `"data":"\u0041`, 1)),
		"no data":                 changed(func(d map[string]any) { d["_attachments"] = map[string]any{"a.tgz": map[string]any{}} }),
		"wrong length":            changed(attach("length", 1)),
		"length is text":          changed(attach("length", "long")),
		"two tarballs":            raw(strings.Replace(whole, `"_attachments":{`, `"_attachments":{"other.tgz":{"data":"QUJD"},`, 1)),
		"another shasum":          changed(dist("shasum", strings.Repeat("0", 40))),
		"another integrity":       changed(dist("integrity", integrity("sha512", nil))),
		"an old integrity":        changed(dist("integrity", integrity("sha1", nil))),
		"one integrity of two":    changed(dist("integrity", integrity("sha512", good)+" "+integrity("sha256", nil))),
		"another sha384":          changed(dist("integrity", integrity("sha384", nil))),
		"integrity cut off":       changed(dist("integrity", integrity("sha512", good)[:20])),
		"shasum is a number":      changed(dist("shasum", 7)),
		"another name":            changed(func(d map[string]any) { d["name"] = "other" }),
		"another version":         changed(func(d map[string]any) { d["versions"] = map[string]any{"9.9.9": map[string]any{}} }),
		"versions are text":       changed(func(d map[string]any) { d["versions"] = "1.2.3" }),
		"another address":         put(t, base, "other", document(t, name, version, good, nil)),
		"a version as tag":        changed(func(d map[string]any) { d["dist-tags"] = map[string]string{"1.x": version} }),
		"a tag with a slash":      changed(func(d map[string]any) { d["dist-tags"] = map[string]string{"a/b": version} }),
		"a tag with a line break": changed(func(d map[string]any) { d["dist-tags"] = map[string]string{"a\r\nb": version} }),
		"a long tag":              changed(func(d map[string]any) { d["dist-tags"] = map[string]string{strings.Repeat("t", 201): version} }),

		"empty tarball":      doc(nil),
		"no gzip":            doc([]byte("junk")),
		"no tar":             doc(gzipped(t, []byte("junk"))),
		"tarball cut off":    doc(good[:len(good)/2]),
		"tarball damaged":    doc(damaged),
		"damaged long after": doc(late),
		"no package.json":    files("package/readme.md", "x"),
		"package.json above": files("package.json", manifest(t, name, version, nil)),
		"two package.json":   files("package/package.json", manifest(t, name, version, nil), "other/package.json", manifest(t, name, "6.6.6", nil)),
		"out of the folder":  files("package/package.json", manifest(t, name, version, nil), "package/../../x", ""),
		"absolute":           files("package/package.json", manifest(t, name, version, nil), "/etc/passwd", ""),
		"backslash":          files("package/package.json", manifest(t, name, version, nil), `package\..\x`, ""),
		"giant package.json": files("package/package.json", `{"name":"acme-lib","version":"1.2.3","a":"`+strings.Repeat(" ", 2<<20)+`"}`),
		"no object":          files("package/package.json", "[]"),
		"null":               files("package/package.json", "null"),
		"broken JSON":        files("package/package.json", `{"name":`),
		"invalid UTF-8":      files("package/package.json", "{\"name\":\"acme-lib\",\"version\":\"1.2.3\",\"a\":\"\xff\"}"),
		"giant bin folder":   files(append(manyFiles, "package/package.json", manifest(t, name, version, map[string]any{"directories": map[string]any{"bin": "bin"}}))...),
		"NUL":                files("package/package.json", `{"name":"acme-lib","version":"1.2.3","a":"\u0000"}`),
		"no version":         files("package/package.json", `{"name":"acme-lib"}`),
		"long version":       files("package/package.json", manifest(t, name, "1.0.0-"+strings.Repeat("x", 300), nil)),
	}
	for _, bad := range []string{"", ".hidden", "_private", "-", "node_modules", "a/b", "@a/b/c", "@/b", "@a/", "a b", "a\nb", "é", "../x", "@../x", strings.Repeat("n", 215)} {
		all[fmt.Sprintf("name %q", bad)] = files("package/package.json", manifest(t, bad, version, nil))
	}
	for _, bad := range []string{"1", "1.2", "1.2.3.4", "01.2.3", "a", "1.2.3-", "1.2.3-..", "-1.2.3"} {
		all[fmt.Sprintf("version %q", bad)] = files("package/package.json", manifest(t, name, bad, nil))
	}
	return all
}

// dist changes what a document says of its tarball.
func dist(name string, value any) func(map[string]any) {
	return func(d map[string]any) {
		for _, version := range d["versions"].(map[string]any) {
			version.(map[string]any)["dist"] = map[string]any{name: value}
		}
	}
}

// integrity is a hash as Subresource Integrity writes it.
func integrity(algorithm string, of []byte) string {
	h := map[string]crypto.Hash{"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[algorithm].New()
	_, _ = h.Write(of) // a hash does not fail
	return algorithm + "-" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// TestIntegrity: what a document says of its tarball in whatever form is compared, where
// it says it; what nobody knows is not.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	for n, say := range []func(file []byte) (name, value string){
		func([]byte) (string, string) { return "integrity", "" },
		func(file []byte) (string, string) { return "integrity", integrity("sha1", file) },
		func(file []byte) (string, string) { return "integrity", integrity("sha384", file) + "?option" },
		func(file []byte) (string, string) {
			return "integrity", integrity("sha512", nil) + "\n " + integrity("sha512", file)
		},
		func([]byte) (string, string) { return "integrity", "md6-AAAA junk" },
		func(file []byte) (string, string) { return "shasum", fmt.Sprintf("%X", sha1.Sum(file)) },
	} {
		version := fmt.Sprintf("1.0.%d", n)
		file := testenv.Tarball(t, "package/package.json", manifest(t, "lib", version, nil))
		name, value := say(file)
		r := put(t, c.Feed, "lib", document(t, "lib", version, file, dist(name, value)))
		signIn(r, c.Key)
		a := feedtest.Do(t, r)
		require.Equal(t, http.StatusCreated, a.StatusCode, string(a.Body))
	}
	file := testenv.Tarball(t, "package/package.json", manifest(t, "late", "1.0.0", nil))
	for _, tc := range []struct {
		of     []byte
		status int
	}{{nil, http.StatusBadRequest}, {file, http.StatusCreated}} {
		doc := fmt.Sprintf(`{"name":"late","_attachments":{"late-1.0.0.tgz":{"data":%q}},"versions":{"1.0.0":{"dist":{"integrity":%q}}}}`,
			base64.StdEncoding.EncodeToString(file), integrity("sha384", tc.of))
		require.Equal(t, tc.status, c.do("PUT", "late", json.RawMessage(doc)).StatusCode, "said after the tarball")
	}
}

func attach(name string, value any) func(map[string]any) {
	return func(d map[string]any) {
		for _, attachment := range d["_attachments"].(map[string]any) {
			attachment.(map[string]any)[name] = value
		}
	}
}

func gzipped(t testing.TB, text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// client talks to a feed as npm does.
type client struct {
	*feedtest.Cluster
	t *testing.T
}

func (c *client) do(method, path string, body any, header ...string) feedtest.Answer {
	c.t.Helper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		require.NoError(c.t, err)
	}
	r := feedtest.Request(c.t, method, c.Feed+"/"+path, text, header...)
	if r.Header.Get("Authorization") == "" {
		signIn(r, c.Key)
	}
	return feedtest.Do(c.t, r)
}

func (c *client) publish(name, version string, more map[string]any, change func(map[string]any)) {
	c.t.Helper()
	file := testenv.Tarball(c.t, "package/package.json", manifest(c.t, name, version, more), "package/README.md", "# Read me")
	r := put(c.t, c.Feed, name, document(c.t, name, version, file, change))
	signIn(r, c.Key)
	a := feedtest.Do(c.t, r)
	require.Equal(c.t, http.StatusCreated, a.StatusCode, string(a.Body))
}

func (c *client) object(path string, header ...string) map[string]any {
	c.t.Helper()
	a := c.do("GET", path, nil, header...)
	require.Equal(c.t, http.StatusOK, a.StatusCode, string(a.Body))
	var o map[string]any
	require.NoError(c.t, json.Unmarshal(a.Body, &o))
	return o
}

func (c *client) tags(name string) any {
	c.t.Helper()
	return c.object("-/package/" + name + "/dist-tags")
}

// at follows names into objects.
func at(v any, path ...string) any {
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

const short = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"

func TestPackuments(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	c.publish("@acme/lib", "1.0.0", map[string]any{"bin": "cli.js", "scripts": map[string]string{"postinstall": "x", "test": "y"}, "dependencies": map[string]string{"a": "^1"}, "_private": 1}, nil)
	c.publish("@acme/lib", "1.1.0", map[string]any{"license": "MIT", "author": map[string]string{"name": "Ann"}, "big": 12345678901234567}, nil)

	full := c.object("@acme%2flib")
	require.Equal(t, c.object("@acme/lib"), full, "both spellings")
	require.Equal(t, "@acme/lib", full["name"])
	require.Equal(t, "# Read me", full["readme"])
	require.Equal(t, "MIT", full["license"])
	require.Equal(t, map[string]any{"latest": "1.1.0"}, full["dist-tags"])
	require.Equal(t, map[string]any{"lib": "cli.js"}, at(full, "versions", "1.0.0", "bin"))
	require.Nil(t, at(full, "versions", "1.0.0", "_private"))
	require.NotEmpty(t, at(full, "time", "1.0.0"))
	file := feedtest.Get(t, at(full, "versions", "1.0.0", "dist", "tarball").(string))
	require.Equal(t, http.StatusOK, file.StatusCode)
	sum := sha512.Sum512(file.Body)
	require.Equal(t, "sha512-"+base64.StdEncoding.EncodeToString(sum[:]), at(full, "versions", "1.0.0", "dist", "integrity"))
	require.Contains(t, string(c.do("GET", "@acme/lib", nil).Body), "12345678901234567", "numbers as they are")

	a := c.do("GET", "@acme%2flib", nil, "Accept", short)
	require.Equal(t, "application/vnd.npm.install-v1+json", a.Header.Get("Content-Type"))
	require.Contains(t, a.Header.Values("Vary"), "Accept")
	install := c.object("@acme%2flib", "Accept", short)
	require.Nil(t, install["readme"])
	require.Equal(t, true, at(install, "versions", "1.0.0", "hasInstallScript"))
	require.Nil(t, at(install, "versions", "1.1.0", "hasInstallScript"))
	require.Nil(t, at(install, "versions", "1.0.0", "scripts"))
	require.Equal(t, "^1", at(install, "versions", "1.0.0", "dependencies", "a"))

	require.Equal(t, "1.1.0", c.object("@acme/lib/latest")["version"])
	require.Equal(t, "1.0.0", c.object("@acme%2flib/1.0.0")["version"])
	for _, path := range []string{"none", "@acme/lib/9.9.9", "@acme/lib/-/lib-9.9.9.tgz", "@acme/lib/-/other-1.0.0.tgz", "@acme/lib/-/lib-1.0.0.zip", "@acme/lib/x/y"} {
		a := c.do("GET", path, nil)
		require.Equal(t, http.StatusNotFound, a.StatusCode, path)
		var body struct{ Error string }
		require.NoError(t, json.Unmarshal(a.Body, &body), "npm shows the error of an object")
		require.NotEmpty(t, body.Error)
	}
}

// TestBinFolder: the files in the folder of directories.bin are commands, unless bin
// says which are.
func TestBinFolder(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	all := map[string]any{"dirbin-cli": "bins/dirbin-cli", "other.js": "bins/deep/other.js"}
	for n, tc := range []struct{ folder, bin, want any }{
		{"bins", nil, all}, {"./bins/", nil, all}, {"/bins", "", all}, {`..\bins`, false, all},
		{"bins/deep", nil, map[string]any{"other.js": "bins/deep/other.js"}},
		{".", nil, map[string]any{"dirbin-cli": "bins/dirbin-cli", "other.js": "bins/deep/other.js", "package.json": "package.json", "binsters": "binsters"}},
		{"bins/.hidden", nil, map[string]any{"secret": "bins/.hidden/secret"}},
		{"bins", "cli.js", map[string]any{"dirbin": "cli.js"}}, {"bins", map[string]any{"a": "b"}, map[string]any{"a": "b"}}, {"bins", []any{"a"}, []any{"a"}},
		{"bin", nil, nil}, {"bins/dirbin-cli", nil, nil}, {"", nil, nil}, {7, nil, nil}, {nil, nil, nil},
	} {
		version := fmt.Sprintf("1.0.%d", n)
		file := testenv.Tarball(t, "package/bins/dirbin-cli", "#!/usr/bin/env node", "package/bins/.dot", "", "package/bins/.hidden/secret", "", "package/binsters", "",
			"package/package.json", manifest(t, "dirbin", version, map[string]any{"directories": map[string]any{"bin": tc.folder}, "bin": tc.bin}), "package/bins/deep/other.js", "")
		r := put(t, c.Feed, "dirbin", document(t, "dirbin", version, file, nil))
		signIn(r, c.Key)
		a := feedtest.Do(t, r)
		require.Equal(t, http.StatusCreated, a.StatusCode, string(a.Body))
		for _, accept := range []string{short, "application/json"} {
			require.Equal(t, tc.want, at(c.object("dirbin", "Accept", accept), "versions", version, "bin"), "%v %v", tc.folder, tc.bin)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	c.publish("lib", "2.0.0-rc.1", nil, func(d map[string]any) { d["dist-tags"] = map[string]string{"next": "2.0.0-rc.1"} })
	require.Equal(t, map[string]any{"next": "2.0.0-rc.1", "latest": "2.0.0-rc.1"}, c.tags("lib"), "latest is always there")
	c.publish("lib", "1.0.0", nil, func(d map[string]any) { d["dist-tags"] = map[string]string{"old": "1.0.0", "next": "9.9.9"} })
	require.Equal(t, map[string]any{"next": "2.0.0-rc.1", "old": "1.0.0", "latest": "1.0.0"}, c.tags("lib"), "a tag of another version stays")
	c.publish("lib", "1.1.0", nil, nil)
	require.Equal(t, "1.1.0", at(c.tags("lib"), "latest"))

	require.Equal(t, http.StatusCreated, c.do("PUT", "-/package/lib/dist-tags/latest", "1.0.0").StatusCode)
	require.Equal(t, "1.0.0", at(c.tags("lib"), "latest"))
	require.Equal(t, http.StatusOK, c.do("DELETE", "-/package/lib/dist-tags/old", nil).StatusCode)
	require.NotContains(t, c.tags("lib"), "old")
	for _, bad := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"PUT", "-/package/lib/dist-tags/latest", "9.9.9", 404},
		{"PUT", "-/package/none/dist-tags/latest", "1.0.0", 404},
		{"PUT", "-/package/lib/dist-tags/1.x", "1.0.0", 400},
		{"PUT", "-/package/lib/dist-tags/x", 7, 400},
		{"DELETE", "-/package/lib/dist-tags/old", nil, 404},
		{"DELETE", "-/package/lib/dist-tags/latest", nil, 400},
		{"GET", "-/package/none/dist-tags", nil, 404},
		{"PATCH", "-/package/lib/dist-tags", nil, 405},
	} {
		require.Equal(t, bad.status, c.do(bad.method, bad.path, bad.body).StatusCode, "%s %s", bad.method, bad.path)
	}
}

// TestTagNames: a tag is what npm's semver.validRange does not take for a version or a
// range, whatever it begins with. The lists were compared with semver 7.8.5 of npm 11.
func TestTagNames(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	c.publish("lib", "1.0.0", nil, nil)
	for status, tags := range map[int][]string{
		http.StatusCreated: {"v12-lts", "v6-latest", "0.72-stable", "1-legacy", "18-legacy", "v5-next", "2.x-dev", "1.x-latest", "v1-0-stable", "2024-01-15", "v0.61-stable",
			"1.2-beta", "1.2.3.4", "1.2.3_4", "1.2.3-beta..1", "01", "1.2.3-01", "x-1", "x1", "v", "beta", "||beta"},
		http.StatusBadRequest: {"1", "1.2", "1.x", "v1.2.3", "=1.2.3", "1.2.3-beta.1", "1.2.3+build", "^1", "~1.2", ">=1", "1.2.x", "*", "x", "X", "1 - 2", "1.0.0 - 2.0.0", "1 || 2", "20240115", ">=1 <2",
			"1||2", "||", "~>1", "=v1.2.3", "v=1", "<*", "^x", "*.*", "1.2.x-dev", "1.2.3-0", "1.2.3-0a.1--+0.a-b"},
	} {
		for _, tag := range tags {
			require.Equal(t, status, c.do("PUT", "-/package/lib/dist-tags/"+url.PathEscape(tag), "1.0.0").StatusCode, tag)
		}
	}
	c.publish("lib", "12.0.0", nil, func(d map[string]any) { d["dist-tags"] = map[string]string{"v12-lts": "12.0.0"} })
	require.Equal(t, "12.0.0", c.object("lib/v12-lts")["version"])
}

// TestBlocked: a client is told of nothing that it could not download, and does not
// delete what it was not told of.
func TestBlocked(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		c.publish("lib", version, nil, func(d map[string]any) {
			d["dist-tags"] = map[string]string{"latest": version, "release-" + version[:3]: version}
		})
	}
	allow := func(version string, allow bool) {
		t.Helper()
		a := feedtest.Do(t, feedtest.Request(t, "POST", c.URL+"/api/packages/npm/status?name=lib&version="+version, fmt.Appendf(nil, `{"allow":%t}`, allow), "X-ApiKey", c.Key))
		require.Equal(t, http.StatusOK, a.StatusCode, string(a.Body))
	}
	allow("1.1.0", false)
	for _, accept := range []string{short, "application/json"} {
		doc := c.object("lib", "Accept", accept)
		require.Len(t, doc["versions"], 1)
		require.Equal(t, map[string]any{"latest": "1.0.0", "release-1.0": "1.0.0"}, doc["dist-tags"])
		require.Nil(t, at(doc, "time", "1.1.0"))
	}
	require.Equal(t, map[string]any{"latest": "1.0.0", "release-1.0": "1.0.0"}, c.tags("lib"))
	require.Equal(t, "1.0.0", c.object("lib/latest")["version"])
	require.Equal(t, http.StatusNotFound, c.do("GET", "lib/1.1.0", nil).StatusCode)
	require.Equal(t, "1.0.0", at(c.object("-/v1/search?text=lib")["objects"].([]any)[0], "package", "version"))

	require.Equal(t, http.StatusOK, c.do("DELETE", "lib/-rev/"+c.object("lib?write=true")["_rev"].(string), nil).StatusCode)
	for _, path := range []string{"lib", "lib/latest", "-/package/lib/dist-tags"} {
		require.Equal(t, http.StatusNotFound, c.do("GET", path, nil).StatusCode, path)
	}
	require.Empty(t, c.object("-/v1/search?text=lib")["objects"])
	allow("1.1.0", true)
	require.Equal(t, map[string]any{"latest": "1.1.0", "release-1.1": "1.1.0"}, c.tags("lib"))
}

// TestSecondTry: a client that was too late sends all versions, and the tarball
// of its own.
func TestSecondTry(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	c.publish("lib", "1.0.0", nil, nil)
	c.publish("lib", "1.1.0", nil, func(d map[string]any) {
		d["versions"].(map[string]any)["1.0.0"] = map[string]any{"name": "lib", "deprecated": "never asked for"}
		d["dist-tags"] = map[string]string{"latest": "1.1.0", "other": "1.0.0"}
		d["_attachments"].(map[string]any)["lib-1.1.0.sigstore"] = map[string]any{"data": "{}"}
	})
	doc := c.object("lib")
	require.Nil(t, at(doc, "versions", "1.0.0", "deprecated"))
	require.Equal(t, map[string]any{"latest": "1.1.0"}, doc["dist-tags"])
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	login := func(name, password string) feedtest.Answer {
		return feedtest.Do(t, feedtest.Request(t, "PUT", c.Feed+"/-/user/org.couchdb.user:Admin",
			fmt.Appendf(nil, `{"_id":"org.couchdb.user:Admin","name":%q,"password":%q,"type":"user"}`, name, password)))
	}
	require.Equal(t, http.StatusUnauthorized, login("Admin", "wrong").StatusCode)
	require.Equal(t, http.StatusBadRequest, login("Eve", c.Password).StatusCode)
	a := login("Admin", c.Password)
	require.Equal(t, http.StatusCreated, a.StatusCode, string(a.Body))
	var answer struct{ Token string }
	require.NoError(t, json.Unmarshal(a.Body, &answer))
	for range 3 { // on every node
		require.Equal(t, "Admin", c.object("-/whoami", "Authorization", "Bearer "+answer.Token)["username"])
	}
	require.Equal(t, http.StatusUnauthorized, c.do("GET", "-/whoami", nil, "Authorization", "Bearer "+answer.Token+"x").StatusCode)
	require.Equal(t, http.StatusUnauthorized, feedtest.Get(t, c.Feed+"/-/whoami").StatusCode)
	require.Equal(t, "Admin", c.object("-/npm/v1/user", "Authorization", "Bearer "+answer.Token)["name"])
	require.Equal(t, http.StatusOK, c.do("DELETE", "-/user/token/"+answer.Token, nil).StatusCode)
	require.Equal(t, http.StatusOK, feedtest.Get(t, c.Feed+"/-/ping").StatusCode)
	require.Equal(t, http.StatusNotFound, c.do("POST", "-/v1/login", nil).StatusCode, "npm asks for name and password then")
	require.Empty(t, c.do("POST", "-/npm/v1/security/advisories/bulk", map[string]any{}).Body[2:])
	require.Equal(t, http.StatusOK, c.do("POST", "-/npm/v1/security/audits/quick", map[string]any{}).StatusCode)
}

func TestSearch(t *testing.T) {
	t.Parallel()
	c := &client{feedtest.Start(t, npm.New()), t}
	c.publish("@acme/router", "1.0.0", map[string]any{"keywords": []string{"web"}, "author": "Ann", "repository": map[string]string{"url": "https://example.com/x.git"}}, nil)
	c.publish("left-pad", "1.0.0", map[string]any{"keywords": "text, tools"}, nil)
	names := func(query string) (names []string) {
		for _, o := range c.object("-/v1/search?" + query)["objects"].([]any) {
			names = append(names, at(o, "package", "name").(string))
		}
		return names
	}
	require.Equal(t, []string{"@acme/router"}, names("text=router"))
	require.Equal(t, []string{"left-pad"}, names("text=pad&size=20"))
	require.Equal(t, []string{"@acme/router"}, names("text=keywords:web"))
	require.Len(t, names("text="), 2)
	require.Len(t, names("text=&size=1&from=1"), 1)
	require.Empty(t, names("text=nothing-like-it-anywhere"))
	require.Equal(t, http.StatusBadRequest, c.do("GET", "-/v1/search?size=x", nil).StatusCode)
	hit := at(c.object("-/v1/search?text=router")["objects"].([]any)[0], "package")
	require.Equal(t, "acme", at(hit, "scope"))
	require.Equal(t, "https://example.com/x.git", at(hit, "links", "repository"))
	require.Equal(t, "Ann", at(hit, "author", "name"))
}
