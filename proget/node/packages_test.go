package node_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/maven"
	"github.com/proget-go/ha/proget/feed/npm"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/feed/oci"
	"github.com/proget-go/ha/proget/feed/pypi"
	"github.com/proget-go/ha/proget/feed/universal"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

// everyType makes a node that has feeds of most types.
func everyType(c *node.Config) {
	c.Feeds = []feed.Type{nuget.New(nil), nuget.PowerShell(nil), maven.New(), npm.New(), pypi.New(), oci.New(), universal.New(nil)}
}

// putFile uploads a file by the native API.
func putFile(t *testing.T, server, path string, file []byte) {
	t.Helper()
	resp, text := ask(t, "PUT", server+"/api/packages/"+path, file, "X-ApiKey", apiKey)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
}

func wheel(t *testing.T, name, version string) []byte {
	info := name + "-" + version + ".dist-info/"
	return archive(t, "module.py", "x = 1\n", info+"METADATA", "Metadata-Version: 2.1\nName: "+name+"\nVersion: "+version+"\n\n",
		info+"WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", info+"RECORD", "")
}

func putNPM(t *testing.T, server, name, version string) {
	t.Helper()
	manifest := fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)
	file := testenv.Tarball(t, "package/package.json", manifest)
	document := fmt.Sprintf(`{"_id":%q,"name":%q,"dist-tags":{"latest":%q},"versions":{%q:%s},"_attachments":{"x.tgz":{"data":%q,"length":%d}}}`,
		name, name, version, version, manifest, base64.StdEncoding.EncodeToString(file), len(file))
	resp, text := ask(t, "PUT", server+"/npm/npm/"+url.PathEscape(name), []byte(document), "X-ApiKey", apiKey, "Content-Type", "application/json")
	require.Equal(t, 2, resp.StatusCode/100, text)
}

// versionLine is what a list says of a version.
type versionLine struct {
	PURL, Group, Name, Version, Qualifier  string
	TotalDownloads, Downloads, Size        int64
	Published, PublishedBy, SHA256, SHA512 string
	Listed, Deprecated                     bool
	AllowDownload                          *bool
	DeprecationReason                      string
}

func listed(t *testing.T, url string) (lines []versionLine) {
	t.Helper()
	resp, text := ask(t, "GET", url, nil)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	require.NoError(t, json.Unmarshal([]byte(text), &lines), text)
	require.NotNil(t, lines, "an array")
	return lines
}

func purls(lines []versionLine) (all []string) {
	for _, l := range lines {
		all = append(all, l.PURL)
	}
	return all
}

// TestQualifier: one file of several is never taken for its version.
func TestQualifier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.start(t, "a", everyType).URL
	const sdist, whl = "pyx-1.0.tar.gz", "pyx-1.0-py3-none-any.whl"
	packages := server + "/api/packages/pypi/"
	of := func(call, file string) string {
		return packages + call + "?name=pyx&version=1.0&qualifier=" + url.QueryEscape("file="+file)
	}
	putFile(t, server, "pypi/upload/"+whl, wheel(t, "pyx", "1.0"))
	require.Contains(t, manage(t, http.StatusNotFound, "POST", of("delete", sdist), ""), "no file "+sdist)
	putFile(t, server, "pypi/upload/"+sdist, testenv.Tarball(t, "pyx-1.0/PKG-INFO", "Metadata-Version: 2.1\nName: pyx\nVersion: 1.0\n", "pyx-1.0/setup.py", ""))

	lines := listed(t, packages+"versions?name=PyX")
	require.ElementsMatch(t, []string{"pkg:pypi/pyx@1.0?file=" + sdist, "pkg:pypi/pyx@1.0?file=" + whl}, purls(lines))
	require.Contains(t, []string{"file=" + sdist, "file=" + whl}, lines[0].Qualifier)
	for _, call := range []string{of("delete", sdist), of("status", whl), packages + "delete?purl=" + url.QueryEscape(lines[0].PURL)} {
		require.Contains(t, manage(t, http.StatusBadRequest, "POST", call, ""), "leave out the qualifier")
	}
	manage(t, http.StatusBadRequest, "POST", packages+"delete?name=pyx&version=1.0&qualifier=arch%3Damd64", "")
	manage(t, http.StatusNotFound, "POST", packages+"delete?name=pyx&version=2.0&qualifier=file%3D"+whl, "")
	manage(t, http.StatusBadRequest, "GET", packages+"download?name=pyx&version=1.0", "")
	require.Equal(t, string(wheel(t, "pyx", "1.0")), manage(t, http.StatusOK, "GET", of("download", whl), ""))
	require.Len(t, listed(t, packages+"versions"), 2, "nothing is gone")

	manage(t, http.StatusOK, "POST", packages+"delete?name=pyx&version=1.0", "")
	putFile(t, server, "pypi/upload/"+strings.ReplaceAll(whl, "1.0", "1.1"), wheel(t, "pyx", "1.1"))
	manage(t, http.StatusOK, "POST", packages+"delete?name=pyx&version=1.1&qualifier=file%3Dpyx-1.1-py3-none-any.whl", "")
	require.Empty(t, listed(t, packages+"versions"))
}

// TestQualifierMeanwhile: a version that gets a second file while a call about its only
// one is under way keeps both, as they are.
func TestQualifierMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, n := w.startNode(t, "a", everyType)
	other := w.start(t, "b", everyType).URL // the first node may make one change at a time
	const packages = "/api/packages/pypi/"
	for version, call := range map[string]string{"1.0": "delete", "1.1": "status"} {
		upload := func(file string) { putFile(t, other, "pypi/upload/"+file, wheel(t, "pyx", version)) }
		file, joined := "pyx-"+version+"-py3-none-any.whl", false
		upload(file)
		ctx, end := testenv.OnSpan(func(span string) {
			if span == "transaction" && !joined {
				joined = true
				upload("pyx-" + version + "-py2-none-any.whl")
			}
		}).Tracer("test").Start(t.Context(), call)
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, packages+call+"?name=pyx&version="+version+"&qualifier=file%3D"+file, strings.NewReader(`{"listed":false}`))
		r.Header.Set("X-ApiKey", administrator)
		answer := httptest.NewRecorder()
		n.Handler().ServeHTTP(answer, r)
		end.End()
		require.Equal(t, http.StatusBadRequest, answer.Code, answer.Body)
		require.Contains(t, answer.Body.String(), "has 2 files")
		lines := listed(t, server.URL+packages+"versions?name=pyx&version="+version)
		require.Len(t, lines, 2)
		require.True(t, lines[0].Listed)
	}
}

// TestPackagesAPI goes through what pgutil packages and Inedo's scripts ask.
func TestPackagesAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t, "a", everyType).URL, w.start(t, "b", everyType).URL
	for f, kind := range map[string]string{"nuget": "nuget", "powershell": "nuget", "universal": "upack", "npm": "npm", "pypi": "pypi"} {
		_, text := ask(t, "GET", a+"/api/packages/"+f, nil)
		require.Contains(t, text, fmt.Sprintf(`"name":%q,"feedType":%q,"packageType":%q}`, f, f, kind))
		require.Contains(t, text, `"id":`)
	}
	const nuget = "/api/packages/nuget/"
	for _, version := range []string{"1.0.0", "1.10.0", "1.9.0", "2.0.0-beta"} {
		push(t, http.StatusCreated, a, "nuget", version, apiKey)
	}
	push(t, http.StatusCreated, a, "nuget", "3.0.0", apiKey)
	status := func(change string) {
		manage(t, http.StatusOK, "PUT", a+nuget+"status?purl=pkg:nuget/acme.lib@3.0.0", change)
	}
	status(`{"deprecated":true}`)
	status(`{"deprecated":false,"deprecationReason":"of no use"}`)
	require.False(t, listed(t, a+nuget+"versions?name=acme.lib&version=3.0.0")[0].Deprecated)
	status(`{"listed":false,"allow":false,"deprecated":true,"deprecationReason":"old"}`)
	status(`{"deprecated":true}`)

	lines := listed(t, b+nuget+"versions?name=acme.LIB")
	require.Equal(t, []string{"pkg:nuget/Acme.Lib@3.0.0", "pkg:nuget/Acme.Lib@2.0.0-beta", "pkg:nuget/Acme.Lib@1.10.0", "pkg:nuget/Acme.Lib@1.9.0", "pkg:nuget/Acme.Lib@1.0.0"}, purls(lines))
	require.False(t, lines[0].Listed || *lines[0].AllowDownload || !lines[0].Deprecated)
	require.Equal(t, "old", lines[0].DeprecationReason)
	require.True(t, lines[1].Listed && lines[1].AllowDownload == nil && !lines[1].Deprecated)
	require.Len(t, lines[1].SHA512, 128)
	require.NotZero(t, lines[1].Size)
	require.Equal(t, lines, listed(t, b+nuget+"versions"), "of all packages")
	require.Equal(t, []string{"pkg:nuget/Acme.Lib@1.9.0"}, purls(listed(t, b+nuget+"versions?name=Acme.Lib&version=1.9")))
	require.Empty(t, listed(t, b+nuget+"versions?name=none"))
	require.Equal(t, []string{"pkg:nuget/Acme.Lib@2.0.0-beta"}, purls(listed(t, b+nuget+"latest")))
	require.Equal(t, []string{"pkg:nuget/Acme.Lib@1.10.0"}, purls(listed(t, b+nuget+"latest?name=Acme.Lib&stableOnly=True")))

	for query, version := range map[string]string{"version=1.0.0": "1.0.0", "version=latest": "1.10.0", "version=latest-stable": "1.10.0", "version=latest-unstable": "2.0.0-beta"} {
		resp, text := ask(t, "GET", b+nuget+"download?name=Acme.Lib&"+query, nil)
		require.Equal(t, string(testenv.Nupkg(t, "Acme.Lib", version)), text)
		require.Contains(t, resp.Header.Get("Content-Disposition"), "."+version+".nupkg")
	}
	manage(t, http.StatusNotFound, "GET", b+nuget+"download?name=Acme.Lib&version=3.0.0", "")
	manage(t, http.StatusNotFound, "GET", b+nuget+"download?name=Acme.Lib&version=9.0.0", "")
	manage(t, http.StatusBadRequest, "GET", b+nuget+"download?name=Acme.Lib", "")
	for _, purl := range []string{"pkg:npm/Acme.Lib@1.0.0", "pkg:nuget/Acme.Lib", "pkg:nuget/@1.0.0", "pkg:nuget/a@%25", "nonsense"} {
		require.Contains(t, manage(t, http.StatusBadRequest, "POST", b+nuget+"delete?purl="+purl, ""), "package URL", purl)
	}
	manage(t, http.StatusOK, "DELETE", b+nuget+"delete?purl=pkg:nuget/Acme.Lib@1.0.0", "")
	require.Len(t, listed(t, a+nuget+"versions"), 4)
}

// TestStatusFields: what a change of a status does not know is refused by name, and
// changes nothing.
func TestStatusFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	packages := w.start(t, "a").URL + "/api/packages/nuget/"
	push(t, http.StatusCreated, strings.TrimSuffix(packages, "/api/packages/nuget/"), "nuget", "1.0.0", apiKey)
	status := packages + "status?name=Acme.Lib&version=1.0.0"
	for body, says := range map[string]string{
		`{"listd":false}`:               `does not support the field "listd"`,
		`{"listed":false,"listd":true}`: `does not support the field "listd"`,
		`{"listed":"no"}`:               `"listed" has a value of the wrong type`,
		`[]`:                            "not a valid JSON object",
		`{"listed":false`:               "not a valid JSON object",
	} {
		require.Contains(t, manage(t, http.StatusBadRequest, "POST", status, body), says, body)
	}
	for _, body := range []string{"", "{}", `{"listed":null,"listd":null}`} {
		manage(t, http.StatusOK, "POST", status, body)
		require.True(t, listed(t, packages+"versions")[0].Listed, body)
	}
	manage(t, http.StatusOK, "POST", status, `{"listed":false}`)
	require.False(t, listed(t, packages+"versions")[0].Listed)
	require.Contains(t, manage(t, http.StatusBadRequest, "POST", status, `{"allow":"no"}`), `"allow" has a value of the wrong type`)
	for _, free := range []string{"true", "null"} {
		manage(t, http.StatusOK, "POST", status, `{"allow":false}`)
		manage(t, http.StatusOK, "POST", status, `{"listed":true}`)
		require.False(t, *listed(t, packages+"versions")[0].AllowDownload, "as it was")
		manage(t, http.StatusOK, "POST", status, `{"allow":`+free+`}`)
		require.Nil(t, listed(t, packages+"versions")[0].AllowDownload, free)
	}
}

// TestGroups: npm's scopes are groups with and without their @, and Maven's are the
// groupIds.
func TestGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.start(t, "a", everyType).URL
	const packages = "/api/packages/npm/"
	putNPM(t, server, "@acme/tool", "1.0.0")
	putNPM(t, server, "tool", "2.0.0")
	lines := listed(t, server+packages+"latest?group=acme")
	require.Equal(t, []string{"pkg:npm/%40acme/tool@1.0.0"}, purls(lines))
	require.Equal(t, "@acme tool", lines[0].Group+" "+lines[0].Name)
	require.Equal(t, []string{"pkg:npm/tool@2.0.0"}, purls(listed(t, server+packages+"versions?name=tool")))
	for _, id := range []string{"group=acme&name=tool&version=1.0.0", "group=%40acme&name=tool&version=1.0.0", "name=@acme/tool&version=1.0.0",
		"purl=pkg:npm/%40acme/tool@1.0.0", "purl=" + url.QueryEscape(lines[0].PURL)} {
		manage(t, http.StatusOK, "PUT", server+packages+"status?"+id, `{"deprecated":true}`)
		manage(t, http.StatusOK, "GET", server+packages+"download?"+id, "")
	}
	manage(t, http.StatusOK, "POST", server+packages+"delete?group=acme&name=tool&version=1.0.0", "")
	require.Equal(t, []string{"pkg:npm/tool@2.0.0"}, purls(listed(t, server+packages+"versions")))

	putFile(t, server, "maven/upload/com/acme/lib/1.0/lib-1.0.jar", archive(t, "A.class", "a"))
	lines = listed(t, server+"/api/packages/maven/versions?group=com.acme")
	require.Equal(t, []string{"pkg:maven/com.acme/lib@1.0?file=lib-1.0.jar"}, purls(lines))
	manage(t, http.StatusOK, "GET", server+"/api/packages/maven/download?purl="+url.QueryEscape(lines[0].PURL), "")
	putFile(t, server, "universal/upload", archive(t, "upack.json", `{"group":"a/b","name":"lib","version":"1.0.0+x"}`, "package/a.txt", "a"))
	putFile(t, server, "universal/upload", archive(t, "upack.json", `{"name":"other","version":"1.0.0"}`, "package/a.txt", "a"))
	lines = listed(t, server+"/api/packages/universal/versions")
	require.ElementsMatch(t, []string{"pkg:upack/a/b/lib@1.0.0%2Bx", "pkg:upack/other@1.0.0"}, purls(lines))
	i := slices.IndexFunc(lines, func(l versionLine) bool { return l.Group == "a/b" })
	manage(t, http.StatusOK, "POST", server+"/api/packages/universal/delete?purl="+url.QueryEscape(lines[i].PURL), "")
}

// TestDockerAddress: clients of a registry are given no URL.
func TestDockerAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.start(t, "a", everyType).URL
	manage(t, http.StatusOK, "POST", server+"/api/management/feeds/create", `{"name":"Images","feedType":"docker"}`)
	host := strings.TrimPrefix(server, "http://")
	for _, page := range []string{"/feeds", "/feeds/Images"} {
		_, text := ask(t, "GET", server+page, nil)
		require.Contains(t, text, ">"+host+"/images</code>")
		require.NotContains(t, text, "/v2/")
	}
	require.Contains(t, manage(t, http.StatusOK, "GET", server+"/api/management/feeds/get/images", ""), `"endpointUrl":"`+server+`/v2/images"`)
	manage(t, http.StatusCreated, "PUT", server+"/v2/images/acme/app/manifests/1.0", `{"schemaVersion":2,"manifests":[]}`)
	manage(t, http.StatusCreated, "PUT", server+"/v2/images/acme/tool/manifests/1.0", `{"schemaVersion":2,"manifests":[]}`)
	for path, names := range map[string]string{
		"_catalog":                    `"images/acme/app","images/acme/tool"`,
		"_catalog?last=images/acme/b": `["images/acme/tool"]`,
		"images/acme/app/tags/list":   `"name":"images/acme/app"`,
		"Images/acme/none/tags/list":  "There is no repository images/acme/none.",
	} {
		_, text := ask(t, "GET", server+"/v2/"+path, nil, "X-ApiKey", apiKey)
		require.Contains(t, text, names, path)
	}
}

// TestDockerFeedNames: a registry's feed has a name that can begin an image's.
func TestDockerFeedNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	feeds := w.start(t, "a", everyType).URL + "/api/management/feeds/"
	create := func(status int, name, typ string) string {
		return manage(t, status, "POST", feeds+"create", fmt.Sprintf(`{"name":%q,"feedType":%q}`, name, typ))
	}
	for _, name := range []string{"a..b", "a.-b", "x_-y", "x___y", "My..Images"} {
		require.Contains(t, create(http.StatusBadRequest, name, "docker"), "Docker")
	}
	create(http.StatusOK, "a..b", "npm")
	for _, name := range []string{"a.b_c__d---e", "Team"} {
		create(http.StatusOK, name, "docker")
	}
	require.Contains(t, manage(t, http.StatusBadRequest, "POST", feeds+"update/team", `{"name":"a.-b"}`), "Docker")
	manage(t, http.StatusOK, "POST", feeds+"update/team", `{"name":"a-b"}`)
}

// TestFrontImage: what is attached to an image does not stand for its repository.
func TestFrontImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.start(t, "a", everyType).URL
	manage(t, http.StatusOK, "POST", server+"/api/management/feeds/create", `{"name":"images","feedType":"docker"}`)
	image := `{"schemaVersion":2,"manifests":[]}`
	attached := `{"schemaVersion":2,"manifests":[],"subject":{"mediaType":"application/vnd.oci.image.index.v1+json","size":34,"digest":"` + digest.FromString(image).String() + `"}}`
	manage(t, http.StatusCreated, "PUT", server+"/v2/images/app/manifests/1.0", image)
	manage(t, http.StatusCreated, "PUT", server+"/v2/images/app/manifests/"+digest.FromString(attached).String(), attached)
	_, page := ask(t, "GET", server+"/feeds/images/package?name=app", nil)
	require.Contains(t, page, "docker pull "+strings.TrimPrefix(server, "http://")+"/images/app:1.0<")
	require.Contains(t, page, "<code>"+digest.FromString(image).String()+"</code>")
	_, latest := ask(t, "GET", server+"/api/packages/images/latest", nil, "X-ApiKey", apiKey)
	require.Contains(t, latest, digest.FromString(image).String())
	require.NotContains(t, latest, digest.FromString(attached).String())
}

// TestUploadAgain: a file that is lost, and uploaded again, is whole on every node, also
// on one that has the package in memory.
func TestUploadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, other := w.start(t, "a", everyType).URL, w.start(t, "b", everyType).URL
	const file = "lost-1.0-py3-none-any.whl"
	body := wheel(t, "lost", "1.0")
	download := func() (int, string) {
		resp, text := ask(t, "GET", other+"/api/packages/pypi/download?name=lost&version=1.0", nil, "X-ApiKey", apiKey)
		return resp.StatusCode, text
	}
	putFile(t, one, "pypi/upload/"+file, body)
	status, _ := download()
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, os.RemoveAll(filepath.Join(w.folder, storage.BlobPrefix)))
	status, _ = download()
	require.Equal(t, http.StatusServiceUnavailable, status)
	putFile(t, one, "pypi/upload/"+file, body)
	status, text := download()
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(body), text)
}
