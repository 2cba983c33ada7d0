package pypi_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/feedtest"
	"github.com/proget-go/ha/proget/feed/pypi"
)

// zipped makes a zip of pairs of paths and contents.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		require.NoError(t, err)
		_, err = w.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// tarred makes a gzipped tar of pairs of paths and contents, beginning with
// further headers.
func tarred(t testing.TB, headers []tar.Header, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		require.NoError(t, w.WriteHeader(&h))
	}
	for i := 0; i < len(files); i += 2 {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

// metadata makes core metadata with further lines.
func metadata(name, version string, lines ...string) string {
	return "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\nSummary: A library.\n" + strings.Join(append(lines, ""), "\n") + "\nA description.\n"
}

const wheelFacts = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

func wheel(t testing.TB, name, version, metadata string) []byte {
	t.Helper()
	info := strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
	return zipped(t, "module.py", "x = 1\n", info+"METADATA", metadata, info+"WHEEL", wheelFacts, info+"RECORD", "")
}

func sdist(t testing.TB, name, version, metadata string) []byte {
	t.Helper()
	folder := name + "-" + version + "/"
	return tarred(t, nil, folder+"setup.py", "from setuptools import setup; setup()\n", folder+"PKG-INFO", metadata)
}

// wheelName is what a wheel is called.
func wheelName(name, version string) string {
	return strings.ToLower(strings.NewReplacer("-", "_", ".", "_").Replace(name)) + "-" + version + "-py3-none-any.whl"
}

// A field of an upload's form; with a file name it is a file.
type field struct{ name, file, value string }

func formBody(t testing.TB, fields []field) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q`, f.name)}}
		if f.file != "" {
			h = textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, f.name, f.file)}, "Content-Type": {"application/octet-stream"}}
		}
		part, err := w.CreatePart(h)
		require.NoError(t, err)
		_, err = part.Write([]byte(f.value))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes(), w.FormDataContentType()
}

// twineFields are what twine sends: the file comes last.
func twineFields(name, version, fileName string, file []byte) []field {
	sha, sum := sha256.Sum256(file), md5.Sum(file)
	fields := []field{{"metadata_version", "", "2.1"}, {"name", "", name}, {"version", "", version}, {"filetype", "", "bdist_wheel"}, {"pyversion", "", "py3"},
		{"summary", "", "A library."}, {"description", "", strings.Repeat("long ", 10_000)}, {"comment", "", ""},
		{"sha256_digest", "", hex.EncodeToString(sha[:])}, {"md5_digest", "", hex.EncodeToString(sum[:])}, {":action", "", "file_upload"}, {"protocol_version", "", "1"}}
	if strings.HasSuffix(fileName, ".tar.gz") || strings.HasSuffix(fileName, ".zip") {
		fields[3].value, fields[4].value = "sdist", "source"
	}
	for n := range 40 {
		fields = append(fields, field{"classifiers", "", fmt.Sprintf("Topic :: %d", n)})
	}
	return append(fields, field{"content", fileName, string(file)})
}

func upload(t testing.TB, base string, fields []field) *http.Request {
	t.Helper()
	body, contentType := formBody(t, fields)
	return feedtest.Request(t, http.MethodPost, base+"/legacy/", body, "Content-Type", contentType)
}

func push(t testing.TB, base, name, version string) (*http.Request, []byte) {
	t.Helper()
	file := wheel(t, name, version, metadata(name, version))
	return upload(t, base, twineFields(name, version, wheelName(name, version), file)), file
}

func signIn(r *http.Request, key string) { r.SetBasicAuth("__token__", key) }

func normal(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}

func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Suite{
		Type: pypi.New(), Push: push, SignIn: signIn, Name: "acme-lib", Three: [3]string{"1.2.3", "1.10.0", "2.0.0rc1"}, Repeatable: true,
		Documents: func(base, name string) []string {
			project := base + "/simple/" + normal(name) + "/"
			return []string{project, project + "?format=application/vnd.pypi.simple.v1%2Bjson", base + "/pypi/" + name + "/json"}
		},
		Download: func(base, name, version string) string {
			return base + "/packages/" + normal(name) + "/" + url.PathEscape(wheelName(name, version))
		},
		Names: [][2]string{{"Foo.Bar_baz", "1.0"}, {"a", "1!2.0.post3.dev4"}, {"b", "1.0+local.5"}, {"0", "0"}, {"simple", "20261128.1"}, {"pypi", "99999999999999999999999"},
			{strings.Repeat("n", 200), "1.0a1"}},
		Refused: refused,
	})
}

func refused(t testing.TB, base string) map[string]*http.Request {
	const name, version, file = "acme-lib", "1.2.3", "acme_lib-1.2.3-py3-none-any.whl"
	good := wheel(t, name, version, metadata(name, version))
	named := func(fileName string, content []byte) *http.Request {
		return upload(t, base, twineFields(name, version, fileName, content))
	}
	changed := func(field, value string) *http.Request {
		fields := twineFields(name, version, file, good)
		for i := range fields {
			if fields[i].name == field {
				fields[i].value = value
			}
		}
		return upload(t, base, fields)
	}
	with := func(more ...field) *http.Request {
		return upload(t, base, append(twineFields(name, version, file, good), more...))
	}
	whole, contentType := formBody(t, twineFields(name, version, file, good))
	raw := func(body []byte, contentType string) *http.Request {
		return feedtest.Request(t, http.MethodPost, base+"/legacy/", body, "Content-Type", contentType)
	}
	put := func(fileName string, content []byte) *http.Request {
		return feedtest.Request(t, http.MethodPut, base+"/upload/"+fileName, content)
	}
	late := append(sdist(t, name, version, metadata(name, version)), gzipped(t, strings.Repeat("\x00", 2<<20))...)
	late[len(late)-6] ^= 1 // of the sum
	all := map[string]*http.Request{
		"no form":                    raw(good, "application/octet-stream"),
		"empty form":                 raw(nil, contentType),
		"no boundary":                raw(whole, "multipart/form-data"),
		"another boundary":           raw(whole, "multipart/form-data; boundary=x"),
		"long boundary":              raw(whole, "multipart/form-data; boundary="+strings.Repeat("x", 71)),
		"cut off":                    raw(whole[:len(whole)/2], contentType),
		"cut off in the file":        raw(whole[:len(whole)-200], contentType),
		"cut off at its end":         raw(whole[:len(whole)-4], contentType),
		"no file":                    upload(t, base, twineFields(name, version, file, good)[:10]),
		"two files":                  with(field{"content", file, string(good)}),
		"another file":               with(field{"other", "x.whl", "x"}),
		"file in another field":      upload(t, base, []field{{"file", file, string(good)}}),
		"too many fields":            with(make([]field, 10_001)...),
		"too long a form":            with(field{"description", "", strings.Repeat("x", 9<<20)}),
		"long signature":             with(field{"gpg_signature", "x.asc", strings.Repeat("x", 9<<20)}),
		"long digest":                changed("sha256_digest", strings.Repeat("a", 2000)),
		"wrong sha256":               changed("sha256_digest", strings.Repeat("a", 64)),
		"wrong md5":                  changed("md5_digest", strings.Repeat("a", 32)),
		"wrong blake2":               with(field{"blake2_256_digest", "", strings.Repeat("a", 64)}),
		"another name in the form":   changed("name", "other"),
		"another version in it":      changed("version", "1.2.4"),
		"another type":               changed("filetype", "sdist"),
		"an egg's type":              changed("filetype", "bdist_egg"),
		"another protocol":           changed("protocol_version", "2"),
		"another action":             changed(":action", "submit"),
		"another action at the end":  upload(t, base, []field{{"content", file, string(good)}, {":action", "", "submit"}}),
		"a field twice":              with(field{"name", "", "other"}),
		"no wheel":                   named(file, []byte("junk")),
		"wheel cut off":              named(file, good[:len(good)-30]),
		"empty wheel":                put(file, nil),
		"no metadata":                named(file, zipped(t, "module.py", "")),
		"no WHEEL":                   named(file, zipped(t, "acme_lib-1.2.3.dist-info/METADATA", metadata(name, version), "acme_lib-1.2.3.dist-info/RECORD", "")),
		"no RECORD":                  named(file, zipped(t, "acme_lib-1.2.3.dist-info/METADATA", metadata(name, version), "acme_lib-1.2.3.dist-info/WHEEL", "")),
		"two folders":                named(file, zipped(t, "a-1.dist-info/METADATA", "", "b-1.dist-info/METADATA", "")),
		"two entries":                named(file, zipped(t, "a-1.dist-info/METADATA", "", "a-1.dist-info/METADATA", "")),
		"another folder":             named(file, wheel(t, "other", version, metadata(name, version))),
		"another folder's version":   named(file, wheel(t, name, "1.2.4", metadata(name, version))),
		"metadata of another":        named(file, wheel(t, name, version, metadata("other", version))),
		"another version within":     named(file, wheel(t, name, version, metadata(name, "1.2.4"))),
		"out of the folder":          named(file, zipped(t, "../x", "")),
		"giant metadata":             named(file, wheel(t, name, version, metadata(name, version)+strings.Repeat("x", 3<<20))),
		"too many headers":           named(file, wheel(t, name, version, strings.Repeat("A: b\n", 5001)+metadata(name, version))),
		"invalid UTF-8":              named(file, wheel(t, name, version, metadata(name, version)+"\xff")),
		"NUL":                        named(file, wheel(t, name, version, metadata(name, version)+"\x00")),
		"no name":                    named(file, wheel(t, name, version, "Metadata-Version: 2.1\nVersion: 1.2.3\n")),
		"two names":                  named(file, wheel(t, name, version, metadata(name, version, "Name: other"))),
		"two versions":               named(file, wheel(t, name, version, metadata(name, version, "version: 1.2.3"))),
		"no metadata version":        named(file, wheel(t, name, version, "Name: acme-lib\nVersion: 1.2.3\n")),
		"metadata of the future":     named(file, wheel(t, name, version, "Metadata-Version: 3.0\nName: acme-lib\nVersion: 1.2.3\n")),
		"name in the body":           named(file, wheel(t, name, version, "Metadata-Version: 2.1\nno header\nName: acme-lib\nVersion: 1.2.3\n")),
		"two of Requires-Python":     named(file, wheel(t, name, version, metadata(name, version, "Requires-Python: >=3", "Requires-Python: >=4"))),
		"Requires-Python with lines": named(file, wheel(t, name, version, metadata(name, version, "Requires-Python: >=3\n <4"))),
		"no sdist":                   named("acme_lib-1.2.3.tar.gz", []byte("junk")),
		"no tar":                     named("acme_lib-1.2.3.tar.gz", gzipped(t, "junk")),
		"sdist cut off":              named("acme_lib-1.2.3.tar.gz", sdist(t, name, version, metadata(name, version))[:100]),
		"sdist damaged long after":   named("acme_lib-1.2.3.tar.gz", late),
		"no PKG-INFO":                named("acme_lib-1.2.3.tar.gz", tarred(t, nil, "acme_lib-1.2.3/setup.py", "")),
		"PKG-INFO above":             named("acme_lib-1.2.3.tar.gz", tarred(t, nil, "PKG-INFO", metadata(name, version))),
		"two PKG-INFO":               named("acme_lib-1.2.3.tar.gz", tarred(t, nil, "a/PKG-INFO", metadata(name, version), "./a/PKG-INFO", metadata(name, version))),
		"two folders at the top":     named("acme_lib-1.2.3.tar.gz", tarred(t, nil, "a/PKG-INFO", metadata(name, version), "b/x", "")),
		"giant PKG-INFO":             named("acme_lib-1.2.3.tar.gz", sdist(t, name, version, metadata(name, version)+strings.Repeat("x", 3<<20))),
		"sdist of another":           named("acme_lib-1.2.3.tar.gz", sdist(t, name, version, metadata("other", version))),
		"sdist of another version":   named("acme_lib-1.2.3.tar.gz", sdist(t, name, version, metadata(name, "1.2.4"))),
		"zip without PKG-INFO":       named("acme_lib-1.2.3.zip", zipped(t, "a/setup.py", "")),
		"zip with two folders":       named("acme_lib-1.2.3.zip", zipped(t, "a/PKG-INFO", metadata(name, version), "b/x", "")),
		"PUT of no name's archive":   put("", []byte("junk")),
		"PUT of an ambiguous wheel":  put("", zipped(t, "a-1.dist-info/METADATA", metadata("a", "1"), "a-1.dist-info/WHEEL", "Tag: py3-none-any\nTag: cp3-abi3-linux\n", "a-1.dist-info/RECORD", "")),
		"PUT of an untagged wheel":   put("", zipped(t, "a-1.dist-info/METADATA", metadata("a", "1"), "a-1.dist-info/WHEEL", "Tag: py3\n", "a-1.dist-info/RECORD", "")),
		"PUT of a path":              put("a%2F"+file, good),
	}
	for _, bad := range []string{"acme_lib-1.2.3-py3-none-any.egg", "acme_lib-1.2.3.tar.bz2", "acme_lib-1.2.3.exe", "acme_lib-1.2.3", "other-1.2.3-py3-none-any.whl", "acme_lib-1.2.4-py3-none-any.whl",
		"acme_lib-1.2.3-py3-none.whl", "acme_lib-1.2.3-x-py3-none-any.whl", "acme_lib-1.2.3--py3-none-any.whl", "acme_lib-1.2.3-1-2-py3-none-any.whl", "-1.2.3-py3-none-any.whl",
		"acme lib-1.2.3-py3-none-any.whl", "acme_lib-1.2.3-py3-none-any.WHL", "é-1.2.3-py3-none-any.whl", "acme_lib-1.2.3-py3-none-" + strings.Repeat("a", 255) + ".whl", "..whl"} {
		all["file "+bad] = put(url.PathEscape(bad), good)
	}
	for _, bad := range []string{"", ".a", "a-", "a b", "a/b", "../a", "é", "a\x01", strings.Repeat("n", 201)} {
		all[fmt.Sprintf("name %q", bad)] = put(file, wheel(t, name, version, metadata(bad, version)))
	}
	for _, bad := range []string{"", "x", "1.2.3.x", "1.2.3-", "1..2", "1.2.3+", "1.2.3+a..b", "1.2.3 beta", strings.Repeat("1", 201)} {
		all[fmt.Sprintf("version %q", bad)] = put(file, wheel(t, name, version, metadata(name, bad)))
	}
	for kind, h := range map[string]tar.Header{
		"absolute": {Name: "/etc/passwd"}, "parent": {Name: "a/../../x"}, "backslash": {Name: `a\x`}, "line break": {Name: "a/\n"}, "no UTF-8": {Name: "a/\xff"},
		"device": {Name: "a/dev", Typeflag: tar.TypeChar}, "fifo": {Name: "a/fifo", Typeflag: tar.TypeFifo},
		"link out": {Name: "a/link", Linkname: "../../x", Typeflag: tar.TypeSymlink}, "absolute link": {Name: "a/link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
		"hard link out": {Name: "a/link", Linkname: "../x", Typeflag: tar.TypeLink},
	} {
		h.Format = tar.FormatGNU
		all["sdist with "+kind] = put("acme_lib-1.2.3.tar.gz", tarred(t, []tar.Header{h}, "a/PKG-INFO", metadata(name, version)))
	}
	return all
}

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// client talks to a feed.
type client struct {
	*feedtest.Cluster
	t *testing.T
}

func (c *client) do(r *http.Request) feedtest.Answer {
	c.t.Helper()
	signIn(r, c.Key)
	return feedtest.Do(c.t, r)
}

func (c *client) get(path string, header ...string) feedtest.Answer {
	c.t.Helper()
	return feedtest.Get(c.t, c.Feed+"/"+path, header...)
}

// publish uploads a file as twine does.
func (c *client) publish(name, version, fileName string, file []byte) {
	c.t.Helper()
	a := c.do(upload(c.t, c.Feed, twineFields(name, version, fileName, file)))
	require.Equal(c.t, http.StatusOK, a.StatusCode, string(a.Body))
}

func (c *client) object(path string, header ...string) map[string]any {
	c.t.Helper()
	a := c.get(path, header...)
	require.Equal(c.t, http.StatusOK, a.StatusCode, string(a.Body))
	var o map[string]any
	require.NoError(c.t, json.Unmarshal(a.Body, &o))
	return o
}

// status changes the status of a version through the native API.
func (c *client) status(name, version, body string) {
	c.t.Helper()
	a := feedtest.Do(c.t, feedtest.Request(c.t, http.MethodPost, c.URL+"/api/packages/pypi/status?name="+name+"&version="+version, []byte(body), "X-ApiKey", c.Key))
	require.Equal(c.t, http.StatusOK, a.StatusCode, string(a.Body))
}
