package maven_test

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget/feed/feedtest"
	"github.com/proget-go/ha/proget/feed/maven"
)

// pack makes a zip archive of pairs of names and contents.
func pack(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		require.NoError(t, err)
		_, err = io.WriteString(w, files[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func artifact(name string) string {
	group, artifact, _ := strings.Cut(name, ":")
	return "/" + strings.ReplaceAll(group, ".", "/") + "/" + artifact + "/"
}

func file(name, version, rest string) string {
	return artifact(name) + version + "/" + name[strings.Index(name, ":")+1:] + "-" + version + rest
}

func push(t testing.TB, base, name, version string) (*http.Request, []byte) {
	t.Helper()
	jar := pack(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n", "A.class", name+version)
	return feedtest.Request(t, http.MethodPut, base+file(name, version, ".jar"), jar), jar
}

func signIn(r *http.Request, key string) { r.SetBasicAuth("api", key) }

func TestConformance(t *testing.T) {
	feedtest.Run(t, feedtest.Suite{
		Type: maven.New(), Push: push, SignIn: signIn, Name: "com.acme:lib", Three: [3]string{"1.2.3", "1.10.0", "2.0.0-rc.1"}, Repeatable: true,
		Documents: func(base, name string) []string {
			return []string{base + artifact(name) + "maven-metadata.xml", base + artifact(name)}
		},
		Download: func(base, name, version string) string { return base + file(name, version, ".jar") },
		Names: [][2]string{{"a:b", "1"}, {"com.acme:LIB", "1.0"}, {"com.acme:lib", "1.0.Final+build~1"}, {"org.a-b.c_d:e.f-g_2.13", "r09"}, {"a.b:1.0", "SNAPSHOT"},
			{strings.Repeat("g", 200) + ":" + strings.Repeat("a", 150), "1-" + strings.Repeat("0", 90)}},
		Refused: refused,
	})
}

const pomStart = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>`

func pom(group, artifact, version, more string) string {
	return fmt.Sprintf(pomStart+"<groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>%s</project>", group, artifact, version, more)
}

func refused(t testing.TB, base string) map[string]*http.Request {
	put := func(path, body string) *http.Request {
		return feedtest.Request(t, http.MethodPut, base+"/"+path, []byte(body))
	}
	jar := string(pack(t, "a", "b"))
	jarAt := func(path string) *http.Request { return put(path, jar) }
	pomOf := func(text string) *http.Request { return put("com/acme/lib/1.0/lib-1.0.pom", text) }
	good := pom("com.acme", "lib", "1.0", "")
	all := map[string]*http.Request{
		"root":                   jarAt(""),
		"a file at the root":     jarAt("lib-1.0.jar"),
		"no group":               jarAt("lib/1.0/lib-1.0.jar"),
		"a folder":               jarAt("com/acme/lib/1.0/"),
		"points in a group":      jarAt("com.acme/lib/1.0/lib-1.0.jar"),
		"hidden group":           jarAt("com/.acme/lib/1.0/lib-1.0.jar"),
		"up":                     jarAt("com/acme/%2e%2e/lib/1.0/lib-1.0.jar"),
		"up in an artifact":      jarAt("com/acme/%2e%2e/1.0/..-1.0.jar"),
		"up in a version":        jarAt("com/acme/lib/%2e%2e/lib-...jar"),
		"up in a file":           jarAt("com/acme/lib/1.0/%2e%2e"),
		"escaped slash":          jarAt("com/acme/lib/1.0/lib%2f1.0.jar"),
		"backslash":              jarAt(`com/acme/lib/1.0/lib-1.0-a%5cb.jar`),
		"line break":             jarAt("com/acme/lib/1.0/lib-1.0-a%0d%0ab.jar"),
		"NUL":                    jarAt("com/acme/lib/1.0/lib-1.0%00.jar"),
		"invalid UTF-8":          jarAt("com/acme/lib/1.0/lib-1.0-%ff.jar"),
		"space in a group":       jarAt("com/a%20b/lib/1.0/lib-1.0.jar"),
		"colon":                  jarAt("com/acme/a:b/1.0/a:b-1.0.jar"),
		"letters":                jarAt("com/acm%C3%A9/lib/1.0/lib-1.0.jar"),
		"long group":             jarAt(strings.Repeat("group/", 80) + "lib/1.0/lib-1.0.jar"),
		"long version":           jarAt("com/acme/lib/" + strings.Repeat("1", 256) + "/lib.jar"),
		"long file":              jarAt("com/acme/lib/1.0/lib-1.0-" + strings.Repeat("c", 250) + ".jar"),
		"markup in a version":    jarAt("com/acme/lib/%3Cb%3E/lib-%3Cb%3E.jar"),
		"build in its folder":    jarAt("com/acme/lib/1.0-20240131.120000-1/lib-1.0-20240131.120000-1.jar"),
		"another's file":         jarAt("com/acme/lib/1.0/other-1.0.jar"),
		"another version's file": jarAt("com/acme/lib/1.0/lib-2.0.jar"),
		"a later version's file": jarAt("com/acme/lib/1.0/lib-1.0.1.jar"),
		"release in a snapshot":  jarAt("com/acme/lib/1.0-SNAPSHOT/lib-1.0.jar"),
		"half a build":           jarAt("com/acme/lib/1.0-SNAPSHOT/lib-1.0-20240131.120000.jar"),
		"no extension":           jarAt("com/acme/lib/1.0/lib-1.0"),
		"signature of nothing":   put("com/acme/lib/1.0/lib-1.0-sources.asc", "signature"),

		"empty jar":        put("com/acme/lib/1.0/lib-1.0.jar", ""),
		"text as jar":      put("com/acme/lib/1.0/lib-1.0.jar", "junk"),
		"text as war":      put("com/acme/lib/1.0/lib-1.0.war", "junk"),
		"text as aar":      put("com/acme/lib/1.0/lib-1.0-debug.aar", "junk"),
		"jar cut off":      put("com/acme/lib/1.0/lib-1.0.jar", jar[:len(jar)-10]),
		"jar without head": put("com/acme/lib/1.0/lib-1.0.jar", jar[len(jar)-60:]),

		"empty POM":                pomOf(""),
		"no XML":                   pomOf("junk"),
		"another document":         pomOf("<metadata/>"),
		"POM cut off":              pomOf(good[:len(good)-4]),
		"POM and more":             pomOf(good + "<project/>"),
		"POM and text":             pomOf(good + "junk"),
		"tags that cross":          pomOf(strings.Replace(good, "</artifactId>", "</groupId>", 1)),
		"invalid text":             pomOf(strings.Replace(good, "lib<", "l\xffb<", 1)),
		"unknown encoding":         pomOf(`<?xml version="1.0" encoding="klingon"?>` + good),
		"document type":            pomOf(`<!DOCTYPE project [<!ENTITY a "x">]>` + good),
		"own entity":               pomOf(strings.Replace(good, "lib<", "&lib;<", 1)),
		"external entity":          pomOf(`<!DOCTYPE project SYSTEM "file:///etc/passwd">` + good),
		"deep":                     pomOf(pomStart + strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200) + "</project>"),
		"giant POM":                pomOf(strings.Replace(good, "</project>", strings.Repeat(" ", 3<<20)+"</project>", 1)),
		"another group":            pomOf(pom("com.evil", "lib", "1.0", "")),
		"another artifact":         pomOf(pom("com.acme", "other", "1.0", "")),
		"another version":          pomOf(pom("com.acme", "lib", "2.0", "")),
		"case of the artifact":     pomOf(pom("com.acme", "Lib", "1.0", "")),
		"no group in it":           pomOf(pomStart + "<artifactId>lib</artifactId><version>1.0</version></project>"),
		"no version in it":         pomOf(pomStart + "<groupId>com.acme</groupId><artifactId>lib</artifactId></project>"),
		"no artifact":              pomOf(pomStart + "<groupId>com.acme</groupId><version>1.0</version></project>"),
		"artifact of the parent":   pomOf(pomStart + "<parent><groupId>com.acme</groupId><artifactId>lib</artifactId><version>1.0</version></parent></project>"),
		"another group inherited":  pomOf(pomStart + "<parent><groupId>com.evil</groupId><version>1.0</version></parent><artifactId>lib</artifactId></project>"),
		"another version inherits": pomOf(pomStart + "<parent><groupId>com.acme</groupId><version>2.0</version></parent><artifactId>lib</artifactId></project>"),
		"two groups":               pomOf(pom("com.acme", "lib", "1.0", "<groupId>com.evil</groupId>")),
		"two versions":             pomOf(pom("com.acme", "lib", "1.0", "<version>2.0</version>")),
		"two parents":              pomOf(pom("com.acme", "lib", "1.0", "<parent/><parent/>")),
		"expression":               pomOf(pom("com.acme", "lib", "2.${x}", "")),
		"long packaging":           pomOf(pom("com.acme", "lib", "1.0", "<packaging>"+strings.Repeat("x", 1001)+"</packaging>")),
		"POM with a classifier":    put("com/acme/lib/1.0/lib-1.0-build.pom", "junk"),

		"checksum of no path":   put("lib.jar.sha1", strings.Repeat("a", 40)),
		"no checksum":           put("com/acme/lib/1.0/lib-1.0.jar.sha1", "junk"),
		"long checksum":         put("com/acme/lib/1.0/lib-1.0.jar.sha1", strings.Repeat("a", 41)),
		"giant checksum":        put("com/acme/lib/1.0/lib-1.0.jar.sha1", strings.Repeat("a ", 4<<10)),
		"empty metadata":        put("com/acme/lib/maven-metadata.xml", ""),
		"metadata cut off":      put("com/acme/lib/maven-metadata.xml", "<metadata><versioning>"),
		"metadata that is none": put("com/acme/lib/maven-metadata.xml", good),
		"metadata with a type":  put("com/acme/lib/maven-metadata.xml", `<!DOCTYPE metadata [<!ENTITY a "x">]><metadata>&a;</metadata>`),
		"metadata's checksum":   put("com/acme/lib/maven-metadata.xml.sha1", "junk"),
		"POST":                  feedtest.Request(t, http.MethodPost, base+"/com/acme/lib/1.0/lib-1.0.jar", []byte(jar)),
		"delete nothing":        feedtest.Request(t, http.MethodDelete, base+"/com/acme/lib/1.0", nil),
		"delete a group":        feedtest.Request(t, http.MethodDelete, base+"/com/acme/", nil),
		"delete everything":     feedtest.Request(t, http.MethodDelete, base+"/", nil),
		"cut off":               feedtest.Request(t, http.MethodPut, base+"/com/acme/lib/1.0/lib-1.0.zip", []byte("x"), "Content-Type", "multipart/form-data; boundary=b"),
	}
	return all
}

// client talks to a feed as Maven does.
type client struct {
	*feedtest.Cluster
	t *testing.T
}

func start(t *testing.T) *client { return &client{feedtest.Start(t, maven.New()), t} }

func (c *client) do(method, path string, body []byte) feedtest.Answer {
	c.t.Helper()
	r := feedtest.Request(c.t, method, c.Feed+path, body)
	signIn(r, c.Key)
	return feedtest.Do(c.t, r)
}

// put sends a file and wants a status.
func (c *client) put(status int, path, body string) string {
	c.t.Helper()
	a := c.do(http.MethodPut, path, []byte(body))
	require.Equal(c.t, status, a.StatusCode, "%s: %s", path, a.Body)
	return string(a.Body)
}

func (c *client) get(path string) string {
	c.t.Helper()
	a := feedtest.Get(c.t, c.Feed+path)
	require.Equal(c.t, http.StatusOK, a.StatusCode, "%s: %s", path, a.Body)
	return string(a.Body)
}

func (c *client) missing(paths ...string) {
	c.t.Helper()
	for _, path := range paths {
		a := feedtest.Get(c.t, c.Feed+path)
		require.Equal(c.t, http.StatusNotFound, a.StatusCode, "%s: %s", path, a.Body)
		require.Greater(c.t, len(a.Body), 20)
	}
}

// document is maven-metadata.xml as a client reads it.
type document struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
	Versioning struct {
		Latest      string   `xml:"latest"`
		Release     string   `xml:"release"`
		Versions    []string `xml:"versions>version"`
		LastUpdated string   `xml:"lastUpdated"`
		Snapshot    struct {
			Timestamp   string `xml:"timestamp"`
			BuildNumber int    `xml:"buildNumber"`
		} `xml:"snapshot"`
		Files []struct {
			Classifier string `xml:"classifier"`
			Extension  string `xml:"extension"`
			Value      string `xml:"value"`
			Updated    string `xml:"updated"`
		} `xml:"snapshotVersions>snapshotVersion"`
	} `xml:"versioning"`
	Plugins []struct {
		Name       string `xml:"name"`
		Prefix     string `xml:"prefix"`
		ArtifactID string `xml:"artifactId"`
	} `xml:"plugins>plugin"`
}

func (c *client) metadata(folder string) (d document) {
	c.t.Helper()
	require.NoError(c.t, xml.Unmarshal([]byte(c.get(folder+"maven-metadata.xml")), &d))
	return d
}

// values are the versions by classifier and extension.
func (d document) values() map[string]string {
	values := make(map[string]string)
	for _, f := range d.Versioning.Files {
		values[f.Classifier+":"+f.Extension] = f.Value
	}
	return values
}
