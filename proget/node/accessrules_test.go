package node_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/proget-go/ha/internal/testenv"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonBody = "application/json "
	formBody = formType + " "
	rawBody  = "application/octet-stream "
)

// accessRules are in an order in which each finds what it needs.
func accessRules(t *testing.T) (rules []rule) {
	for _, some := range [][]rule{nugetRules(t), mavenRules(t), npmRules(t), pypiRules(t), dockerRules(), universalRules(t), assetRules(t), apiRules(t), pageRules(), otherRules()} {
		rules = append(rules, some...)
	}
	return rules
}

func nugetRules(t *testing.T) []rule {
	const v3, v2 = "GET /nuget/nuget/v3/", "GET /nuget/nuget/v2/"
	return []rule{
		{"nuget pushPackage", "PUT /nuget/nuget/api/v2/package", rawBody + string(testenv.Nupkg(t, "Acme.Lib", "1.0.0")), publishers, 0},
		{"nuget serviceIndex", v3 + "index.json", "", viewers, 0},
		{"nuget contentVersions", v3 + "flatcontainer/acme.lib/index.json", "", viewers, 0},
		{"nuget contentPackage", v3 + "flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg", "", viewers, 0},
		{"nuget contentNuspec", v3 + "flatcontainer/acme.lib/1.0.0/acme.lib.nuspec", "", viewers, 0},
		{"nuget contentReadme", v3 + "flatcontainer/acme.lib/1.0.0/readme", "", viewers, http.StatusNotFound},
		{"nuget contentIcon", v3 + "flatcontainer/acme.lib/1.0.0/icon", "", viewers, http.StatusNotFound},
		{"nuget contentLicense", v3 + "flatcontainer/acme.lib/1.0.0/license", "", viewers, http.StatusNotFound},
		{"nuget registrationIndex", v3 + "registration/acme.lib/index.json", "", viewers, 0},
		{"nuget registrationPage", v3 + "registration/acme.lib/page/1.0.0/1.0.0.json", "", viewers, 0},
		{"nuget registrationLeaf", v3 + "registration/acme.lib/1.0.0.json", "", viewers, 0},
		{"nuget catalogFile", v3 + "catalog/index.json", "", viewers, 0},
		{"nuget searchPackages", v3 + "search?q=acme", "", viewers, 0},
		{"nuget autocomplete", v3 + "autocomplete?q=acme", "", viewers, 0},
		{"nuget v2Service", v2, "", viewers, 0},
		{"nuget v2Metadata", v2 + "$metadata", "", viewers, 0},
		{"nuget v2Packages", v2 + "Packages()", "", viewers, 0},
		{"nuget v2Find", v2 + "FindPackagesById()?id='Acme.Lib'", "", viewers, 0},
		{"nuget v2Search", v2 + "Search()?searchTerm='acme'", "", viewers, 0},
		{"nuget v2Updates", v2 + "GetUpdates()?packageIds='Acme.Lib'&versions='0.1.0'", "", viewers, 0},
		{"nuget v2Entry", v2 + "Packages(Id='Acme.Lib',Version='1.0.0')", "", viewers, 0},
		{"nuget symbolFile", "GET /symbols/nuget/a.pdb/0123/a.pdb", "", viewers, http.StatusNotFound},
		{"nuget unlistVersion", "DELETE /nuget/nuget/api/v2/package/Acme.Lib/1.0.0", "", managers, 0},
		{"nuget relistVersion", "POST /nuget/nuget/api/v2/package/Acme.Lib/1.0.0", "", managers, 0},
		{"nuget ", "GET /nuget/nuget/no/such/thing", "", viewers, http.StatusNotFound},
	}
}

func mavenRules(t *testing.T) []rule {
	const at = " /maven2/maven/com/acme/lib/1.0/lib-1.0.jar"
	return []rule{
		{"maven putFile", "PUT" + at, rawBody + string(archive(t, "A.class", "a")), publishers, 0},
		{"maven putChecksum", "PUT" + at + ".sha1", "text/plain " + strings.Repeat("0", 40), publishers, http.StatusConflict},
		{"maven putMetadata", "PUT /maven/maven/com/acme/lib/maven-metadata.xml", "text/xml <metadata/>", publishers, 0},
		{"maven getFile", "GET" + at, "", viewers, 0},
		{"maven getMetadata", "GET /maven2/maven/com/acme/lib/maven-metadata.xml", "", viewers, 0},
		{"maven browse", "GET /maven2/maven/com/", "", viewers, 0},
		{"maven remove", "DELETE /maven2/maven/com/acme/lib/1.0", "", managers, 0},
	}
}

func npmRules(t *testing.T) []rule {
	file := testenv.Tarball(t, "package/package.json", `{"name":"lib","version":"1.0.0"}`)
	document := fmt.Sprintf(`{"_id":"lib","name":"lib","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"lib","version":"1.0.0"}},
		"_attachments":{"lib-1.0.0.tgz":{"data":%q,"length":%d}}}`, base64.StdEncoding.EncodeToString(file), len(file))
	const put, get, del, post = "PUT /npm/npm/", "GET /npm/npm/", "DELETE /npm/npm/", "POST /npm/npm/"
	return []rule{
		{"npm putPackage", put + "lib", jsonBody + document, publishers, 0},
		{"npm root", get, "", viewers, 0},
		{"npm ping", get + "-/ping", "", strangers, 0},
		{"npm whoami", get + "-/whoami", "", viewers, 0},
		{"npm profile", get + "-/npm/v1/user", "", viewers, 0},
		{"npm search", get + "-/v1/search?text=lib", "", viewers, 0},
		{"npm auditBulk", post + "-/npm/v1/security/advisories/bulk", jsonBody + "{}", viewers, 0},
		{"npm auditFull", post + "-/npm/v1/security/audits", jsonBody + "{}", viewers, 0},
		{"npm getPackage", get + "lib", "", viewers, 0},
		{"npm getVersion", get + "lib/1.0.0", "", viewers, 0},
		{"npm getTarball", get + "lib/-/lib-1.0.0.tgz", "", viewers, 0},
		{"npm getTags", get + "-/package/lib/dist-tags", "", viewers, 0},
		{"npm putTag", put + "-/package/lib/dist-tags/next", jsonBody + `"1.0.0"`, publishers, 0},
		{"npm deleteTag", del + "-/package/lib/dist-tags/next", "", publishers, 0},
		{"npm login", put + "-/user/org.couchdb.user:Admin", jsonBody + `{"name":"Admin","password":"password"}`, strangers, 0},
		{"npm logout", del + "-/user/token/x", "", strangers, 0},
		{"npm editPackage", put + "lib/-rev/1", jsonBody + `{"versions":{}}`, managers, 0},
		{"npm deleteTarball", del + "lib/-/lib-1.0.0.tgz/-rev/1", "", managers, 0},
		{"npm deletePackage", del + "lib/-rev/1", "", managers, http.StatusNotFound},
	}
}

func pypiRules(t *testing.T) []rule {
	const name, info = "lib-1.0-py3-none-any.whl", "lib-1.0.dist-info/"
	wheel := archive(t, "module.py", "x = 1\n", info+"METADATA", "Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n\n", info+"WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", info+"RECORD", "")
	return []rule{
		{"pypi uploadFile", "PUT /pypi/pypi/upload/" + name, rawBody + string(wheel), publishers, 0},
		{"pypi uploadForm", "POST /pypi/pypi/legacy/", "multipart/form-data;boundary=x --x--", publishers, http.StatusBadRequest},
		{"pypi home", "GET /pypi/pypi/", "", viewers, 0},
		{"pypi listProjects", "GET /pypi/pypi/simple/", "", viewers, 0},
		{"pypi getProject", "GET /pypi/pypi/simple/lib/", "", viewers, 0},
		{"pypi getFile", "GET /pypi/pypi/packages/lib/" + name, "", viewers, 0},
		{"pypi getJSON", "GET /pypi/pypi/pypi/lib/json", "", viewers, 0},
	}
}

func dockerRules() []rule {
	const at = " /v2/docker/app/"
	blob := digest.FromString("{}").String()
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/octet-stream","digest":%q,"size":2},"layers":[]}`, blob)
	return []rule{
		{"docker startUpload", "POST" + at + "blobs/uploads/?digest=" + blob, rawBody + "{}", publishers, 0},
		{"docker startUpload", "POST" + at + "blobs/uploads/?from=docker/app&mount=" + blob, "", publishers, 0},
		{"docker uploadStatus", "GET" + at + "blobs/uploads/none", "", publishers, http.StatusNotFound},
		{"docker uploadChunk", "PATCH" + at + "blobs/uploads/none", rawBody + "x", publishers, http.StatusNotFound},
		{"docker finishUpload", "PUT" + at + "blobs/uploads/none?digest=" + digest.FromString("x").String(), "", publishers, http.StatusNotFound},
		{"docker cancelUpload", "DELETE" + at + "blobs/uploads/none", "", publishers, http.StatusNotFound},
		{"docker putManifest", "PUT" + at + "manifests/1", "application/vnd.oci.image.manifest.v1+json " + manifest, publishers, 0},
		{"docker getManifest", "GET" + at + "manifests/1", "", viewers, 0},
		{"docker getBlob", "GET" + at + "blobs/" + blob, "", viewers, 0},
		{"docker listTags", "GET" + at + "tags/list", "", viewers, 0},
		{"docker listReferrers", "GET" + at + "referrers/" + blob, "", viewers, 0},
		{"docker deleteBlob", "DELETE" + at + "blobs/" + blob, "", managers, http.StatusMethodNotAllowed},
		{"docker deleteManifest", "DELETE" + at + "manifests/" + digest.FromString(manifest).String(), "", managers, 0},
		{"/v2/_auth", "GET /v2/_auth", "", strangers, 0},
		{"/v2/_catalog", "GET /v2/_catalog", "", strangers, 0},
		{"/v2/{$}", "PUT /v2/", "", strangers, http.StatusMethodNotAllowed},
	}
}

func universalRules(t *testing.T) []rule {
	const at = " /upack/universal/"
	return []rule{
		{"universal upload", "PUT" + at + "upload", rawBody + string(archive(t, "upack.json", `{"name":"lib","version":"1.0.0"}`, "package/a.txt", "a")), publishers, 0},
		{"universal importPackage", "POST" + at + "import", jsonBody + "{}", publishers, http.StatusBadRequest},
		{"universal listPackages", "GET" + at + "packages", "", viewers, 0},
		{"universal listVersions", "GET" + at + "versions?name=lib", "", viewers, 0},
		{"universal download", "GET" + at + "download/lib/1.0.0", "", viewers, 0},
		{"universal downloadFile", "GET" + at + "download-file/lib/1.0.0?path=package/a.txt", "", viewers, 0},
		{"universal downloadVirtual", "GET" + at + "download-vpack/lib/1.0.0", "", viewers, http.StatusBadRequest},
		{"universal meta", "GET" + at + "meta", "", viewers, 0},
		{"universal search", "GET" + at + "search?term=lib", "", viewers, 0},
		{"universal remove", "DELETE" + at + "delete/lib/1.0.0", "", managers, 0},
	}
}

func assetRules(t *testing.T) []rule {
	const at = " /endpoints/asset/"
	zipped := string(archive(t, "in.txt", "x"))
	return []rule{
		{"asset createContent", "PUT" + at + "content/a.txt", rawBody + "a", publishers, 0},
		{"asset putContent", "POST" + at + "content/a.txt", rawBody + "b", publishers, 0},
		{"asset putContent", "POST" + at + "content/b.txt?multipart=upload&id=1&index=0&offset=0&partSize=1&totalSize=2&totalParts=2", rawBody + "b", publishers, 0},
		{"asset putContent", "POST" + at + "content/b.txt?multipart=complete&id=2", "", publishers, http.StatusBadRequest},
		{"asset replaceContent", "PATCH" + at + "content/a.txt", rawBody + "c", publishers, 0},
		{"asset makeFolder", "POST" + at + "dir/folder", "", publishers, 0},
		{"asset importArchive", "POST" + at + "import/into?format=zip", rawBody + zipped, publishers, 0},
		{"asset setMetadata", "POST" + at + "metadata/a.txt", jsonBody + `{"userMetadata":{"k":"v"}}`, publishers, 0},
		{"asset getContent", "GET" + at + "content/a.txt", "", viewers, 0},
		{"asset listFolder", "GET" + at + "dir/", "", viewers, 0},
		{"asset exportFolder", "GET" + at + "export/into?format=zip", "", viewers, 0},
		{"asset getMetadata", "GET" + at + "metadata/a.txt", "", viewers, 0},
		{"asset deleteContent", "DELETE" + at + "content/a.txt", "", managers, 0},
		{"asset deleteItem", "POST" + at + "delete/into?recursive=true", "", managers, 0},
	}
}
