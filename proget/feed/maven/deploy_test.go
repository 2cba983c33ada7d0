package maven_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed/feedtest"
)

func sum(t testing.TB, algorithm, text string) string {
	t.Helper()
	h, err := proget.Algorithm(algorithm).New()
	require.NoError(t, err)
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

var algorithms = []string{"md5", "sha1", "sha256", "sha512"}

// deploy sends files with their checksums, as Maven does.
func (c *client) deploy(files ...string) {
	c.t.Helper()
	for i := 0; i < len(files); i += 2 {
		c.put(201, files[i], files[i+1])
		for _, a := range algorithms[:2] {
			c.put(201, files[i]+"."+a, sum(c.t, a, files[i+1]))
		}
	}
}

// TestDeployRelease does what mvn deploy does, in its order.
func TestDeployRelease(t *testing.T) {
	t.Parallel()
	c := start(t)
	jar, model := string(pack(t, "A.class", "a")), pom("com.acme", "lib", "1.0", "")
	const at = "/com/acme/lib/1.0/lib-1.0"
	c.missing("/com/acme/lib/maven-metadata.xml", "/com/acme/lib/maven-metadata.xml.sha1", "/com/acme/maven-metadata.xml", at+".jar", at+".jar.sha1")
	c.deploy(at+".jar", jar, at+".pom", model, at+"-sources.jar", jar, at+".jar.asc", "signature", at+"-bin.tar.gz", "not looked at", at+".module", "{}")
	const metadata = `<?xml version="1.0"?><metadata><versioning><versions><version>6.6.6</version></versions></versioning></metadata>`
	c.deploy("/com/acme/lib/maven-metadata.xml", metadata)

	d := c.metadata("/com/acme/lib/")
	require.Equal(t, "com.acme:lib", d.GroupID+":"+d.ArtifactID)
	require.Equal(t, []string{"1.0"}, d.Versioning.Versions, "and not what was sent")
	require.Equal(t, "1.0", d.Versioning.Latest)
	require.Equal(t, "1.0", d.Versioning.Release)
	require.Regexp(t, `^20\d{12}$`, d.Versioning.LastUpdated)
	for path, text := range map[string]string{at + ".jar": jar, at + ".pom": model, at + ".jar.asc": "signature", at + "-bin.tar.gz": "not looked at",
		"/com/acme/lib/maven-metadata.xml": c.get("/com/acme/lib/maven-metadata.xml")} {
		a := feedtest.Get(t, c.Feed+path)
		require.Equal(t, text, string(a.Body))
		for _, algorithm := range algorithms {
			require.Equal(t, sum(t, algorithm, text), c.get(path+"."+algorithm), path)
			if !strings.HasSuffix(path, "metadata.xml") {
				require.Equal(t, sum(t, algorithm, text), a.Header.Get("X-Checksum-"+algorithm), path)
			}
		}
	}
	require.Equal(t, "application/java-archive", feedtest.Get(t, c.Feed+at+".jar").Header.Get("Content-Type"))
	require.Equal(t, jar, string(feedtest.Get(t, c.URL+"/maven/maven"+at+".jar").Body), "the other address")
	c.missing("/com/acme/lib/1.0/maven-metadata.xml", "/com/acme/maven-metadata.xml", at+".jar.sha1.md5", at+"-javadoc.jar", "/com/acme/lib/1.1/lib-1.1.jar", "/com/acme/Lib/1.0/lib-1.0.jar", "/archetype-catalog.xml", "/.meta/prefixes.txt")
}

// TestReleasesStay: what is released is not overwritten, whoever tries, and to send
// the same again is no error.
func TestReleasesStay(t *testing.T) {
	t.Parallel()
	c := start(t)
	jar, model := string(pack(t, "A.class", "a")), pom("com.acme", "lib", "1.0", "")
	const at = "/com/acme/lib/1.0/lib-1.0"
	c.deploy(at+".jar", jar, at+".pom", model)
	before := c.Files(t)
	c.put(200, at+".jar", jar)
	c.put(200, at+".pom", model)
	require.Contains(t, c.put(409, at+".jar", string(pack(t, "A.class", "b"))), "com.acme:lib 1.0 already has the file lib-1.0.jar")
	c.put(409, at+".pom", pom("com.acme", "lib", "1.0", "<name>other</name>"))
	c.put(409, at+".JAR", jar) // a name that some file systems take for the same
	require.Equal(t, before, c.Files(t))
	require.Equal(t, jar, c.get(at+".jar"))

	require.Contains(t, c.put(409, at+".jar.sha1", sum(t, "sha1", "other")), "changed on its way")
	c.put(201, at+".jar.sha1", strings.ToUpper(sum(t, "sha1", jar))+"  lib-1.0.jar\n")
	c.put(201, at+".jar.md5", "MD5 (lib-1.0.jar) = "+sum(t, "md5", jar))
	c.put(201, at+".jar.sha512", sum(t, "sha512", jar))
	require.Contains(t, c.put(400, at+".jar.sha1", "abc"), "40 hexadecimal digits")

	build := "/com/acme/lib/2.0-SNAPSHOT/lib-2.0-20240131.120000-1.jar"
	c.put(201, build, jar)
	c.put(200, build, jar)
	c.put(409, build, string(pack(t, "A.class", "b")))
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	c := start(t)
	const dir = "/com/acme/lib/1.0-SNAPSHOT/"
	jar := func(n int) string { return string(pack(t, "A.class", fmt.Sprint(n))) }
	model := pom("com.acme", "lib", "1.0-SNAPSHOT", "")
	first, second := dir+"lib-1.0-20240131.120000-1", dir+"lib-1.0-20240131.130000-2"
	c.missing(dir+"maven-metadata.xml", dir+"maven-metadata.xml.sha1")
	c.deploy(first+".jar", jar(1), first+".pom", model, first+"-sources.jar", jar(11))
	c.deploy(second+".pom", model, second+".jar", jar(2))

	d := c.metadata(dir)
	require.Equal(t, "com.acme:lib:1.0-SNAPSHOT", d.GroupID+":"+d.ArtifactID+":"+d.Version)
	require.Equal(t, "20240131.130000", d.Versioning.Snapshot.Timestamp)
	require.Equal(t, 2, d.Versioning.Snapshot.BuildNumber)
	require.Equal(t, map[string]string{":jar": "1.0-20240131.130000-2", ":pom": "1.0-20240131.130000-2", "sources:jar": "1.0-20240131.120000-1"}, d.values())
	require.Equal(t, "20240131130000", d.Versioning.Files[0].Updated)
	require.Equal(t, sum(t, "sha1", c.get(dir+"maven-metadata.xml")), c.get(dir+"maven-metadata.xml.sha1"))

	require.Equal(t, jar(1), c.get(first+".jar"))
	require.Equal(t, jar(2), c.get(dir+"lib-1.0-SNAPSHOT.jar"), "the newest build")
	require.Equal(t, sum(t, "sha1", jar(2)), c.get(dir+"lib-1.0-SNAPSHOT.jar.sha1"))
	require.Equal(t, jar(11), c.get(dir+"lib-1.0-SNAPSHOT-sources.jar"))
	c.missing(dir+"lib-1.0-SNAPSHOT.war", dir+"lib-1.0-20240131.130000-3.jar")
	c.put(201, dir+"lib-1.0-SNAPSHOT.jar.sha1", sum(t, "sha1", jar(3))) // there is no such file itself

	late := dir + "lib-1.0-20240131.235959-1"
	c.deploy(late+".jar", jar(9))
	require.Equal(t, jar(2), c.get(dir+"lib-1.0-SNAPSHOT.jar"), "an older build that came late")

	d = c.metadata("/com/acme/lib/")
	require.Equal(t, []string{"1.0-SNAPSHOT"}, d.Versioning.Versions)
	require.Equal(t, "1.0-SNAPSHOT", d.Versioning.Latest)
	require.Empty(t, d.Versioning.Release)

	// As Maven 2 could: one file that changes.
	c.deploy(dir+"lib-1.0-SNAPSHOT.jar", jar(3))
	require.Equal(t, jar(3), c.get(dir+"lib-1.0-SNAPSHOT.jar"))
	c.deploy(dir+"lib-1.0-SNAPSHOT.jar", jar(4))
	a := feedtest.Get(t, c.Feed+dir+"lib-1.0-SNAPSHOT.jar")
	require.Equal(t, jar(4), string(a.Body))
	require.Equal(t, "1.0-SNAPSHOT", c.metadata(dir).values()[":jar"])
	require.Equal(t, "1.0-20240131.130000-2", c.metadata(dir).values()[":pom"])
	third := dir + "lib-1.0-20240201.000000-3"
	c.deploy(third+".jar", jar(5))
	now := feedtest.Get(t, c.Feed+dir+"lib-1.0-SNAPSHOT.jar", "If-None-Match", a.Header.Get("ETag"))
	require.Equal(t, jar(5), string(now.Body))
	c.put(200, dir+"lib-1.0-SNAPSHOT.jar", jar(4)) // the same again: its checksum is compared with it, and not with the newest build
	c.put(201, dir+"lib-1.0-SNAPSHOT.jar.sha1", sum(t, "sha1", jar(4)))
	c.put(409, dir+"lib-1.0-SNAPSHOT.jar.sha1", sum(t, "sha1", jar(5)))
}

// TestWrongClock: a build by a machine whose clock is wrong hides none of those that come
// after it, and the next deployment counts on from the highest number.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	c := start(t)
	const dir = "/com/acme/lib/1.0-SNAPSHOT/"
	jar := func(build string) string { return string(pack(t, "A.class", build)) }
	for _, try := range []struct{ build, newest string }{
		{"20991231.235959-1", "20991231.235959-1"},
		{"20261130.170000-2", "20261130.170000-2"},
		{"19700101.000000-3", "19700101.000000-3"},
		{"20261130.180000-3", "20261130.180000-3"}, // another machine took the same number
		{"20261130.175959-3", "20261130.180000-3"},
		{"20261130.190000-10", "20261130.190000-10"},
	} {
		c.deploy(dir+"lib-1.0-"+try.build+".jar", jar(try.build))
		d := c.metadata(dir)
		require.Equal(t, try.newest, fmt.Sprintf("%s-%d", d.Versioning.Snapshot.Timestamp, d.Versioning.Snapshot.BuildNumber))
		require.Equal(t, "1.0-"+try.newest, d.values()[":jar"])
		require.Equal(t, jar(try.newest), c.get(dir+"lib-1.0-SNAPSHOT.jar"))
	}
	c.deploy(dir+"lib-1.0-SNAPSHOT.jar", jar("plain"))
	d := c.metadata(dir)
	require.Equal(t, 10, d.Versioning.Snapshot.BuildNumber, "the next is 11")
	require.Empty(t, d.Versioning.Snapshot.Timestamp, "no build is the newest")
	require.Equal(t, "1.0-SNAPSHOT", d.values()[":jar"])
}

// TestChecksumsFirst: some clients send files and checksums at once. A checksum that
// comes first is dropped, and the file's own one is served.
func TestChecksumsFirst(t *testing.T) {
	t.Parallel()
	c := start(t)
	jar := string(pack(t, "A.class", "a"))
	const at = "/com/acme/lib/1.0/lib-1.0"
	for _, file := range []string{at + ".jar", at + "-sources.jar"} { // of no package, and of one that is there
		for _, a := range algorithms {
			c.put(201, file+"."+a, sum(t, a, jar))
			c.missing(file, file+"."+a)
		}
		require.Contains(t, c.put(400, file+".sha1", "abc"), "40 hexadecimal digits")
		c.put(201, file+".md5", sum(t, "md5", "another")) // nothing to compare it with
		c.put(201, file, jar)
		for _, a := range algorithms {
			require.Equal(t, sum(t, a, jar), c.get(file+"."+a))
			c.put(201, file+"."+a, sum(t, a, jar))
			require.Contains(t, c.put(409, file+"."+a, sum(t, a, "another")), "changed on its way")
		}
	}
	require.Equal(t, []string{"../", "lib-1.0-sources.jar", "lib-1.0.jar"}, links(c.get("/com/acme/lib/1.0/")))
}

// TestManyAtOnce: deployments of several versions, each through another node, and
// several of one, leave a document that has them all.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t)
	const versions = 12
	var all sync.WaitGroup
	put := func(path, body string) {
		r := feedtest.Request(t, http.MethodPut, c.Feed+path, []byte(body))
		signIn(r, c.Key)
		all.Go(func() {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if assert.NoError(t, err) {
				assert.Equal(t, 2, resp.StatusCode/100, path)
				_ = resp.Body.Close()
			}
		})
	}
	jar := string(pack(t, "A.class", "a"))
	var want []string
	for n := range versions {
		v := fmt.Sprintf("1.%d", n)
		want = append(want, v)
		at := "/com/acme/lib/" + v + "/lib-" + v
		put(at+".jar", jar)
		put(at+".jar", jar)
		put(at+".pom", pom("com.acme", "lib", v, ""))
		put("/com/acme/lib/maven-metadata.xml", "<metadata/>")
	}
	all.Wait()
	require.Equal(t, want, c.metadata("/com/acme/lib/").Versioning.Versions)
	for _, v := range want {
		require.Equal(t, jar, c.get("/com/acme/lib/"+v+"/lib-"+v+".jar"))
		c.get("/com/acme/lib/" + v + "/lib-" + v + ".pom")
	}
}

// TestExtraFiles: what is not called after the artifact joins a version that is
// there.
func TestExtraFiles(t *testing.T) {
	t.Parallel()
	c := start(t)
	require.Contains(t, c.put(404, "/com/acme/lib/1.0/site.html", "<p>x"), "publish that first")
	c.put(201, "/com/acme/lib/1.0/lib-1.0.jar", string(pack(t)))
	c.deploy("/com/acme/lib/1.0/site.html", "<script>alert(1)</script>", "/com/acme/lib/1.0/Read%20me%20%26%20%C3%9C.txt", "x")
	a := feedtest.Get(t, c.Feed+"/com/acme/lib/1.0/site.html")
	require.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
	require.Contains(t, a.Header.Get("Content-Disposition"), "attachment", "no page of this server's")
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	c.put(409, "/com/acme/lib/1.0/site.html", "other")
	c.put(404, "/com/acme/lib/1.0/site/index.html", "deeper")
	page := c.get("/com/acme/lib/1.0/")
	require.Contains(t, page, "Read me &amp; Ü.txt")
	require.Contains(t, page, "/com/acme/lib/1.0/Read%20me%20&amp;%20%C3%9C.txt")
}

// TestSbtPlugins: sbt leaves the versions of Scala and sbt out of the names of a plugin's
// files, and of its POM, before sbt 1.9; later it sends them both ways.
func TestSbtPlugins(t *testing.T) {
	t.Parallel()
	c := start(t)
	jar, sources := string(pack(t, "A.class", "a")), string(pack(t, "A.scala", "a"))
	const name = "sbt-foo_2.12_1.0"
	legacy, suffixed := pom("com.acme", "sbt-foo", "1.0", "<name>Foo</name>"), pom("com.acme", name, "1.0", "<name>Foo</name>")
	const at, proper = "/com/acme/" + name + "/1.0/sbt-foo-1.0", "/com/acme/" + name + "/1.0/" + name + "-1.0"
	c.put(404, "/com/acme/"+name+"/1.0/sbt-bar-1.0.jar", jar)
	c.put(404, "/com/acme/"+name+"/1.0/sbt-foo-2.0.jar", jar)
	c.put(404, "/com/acme/foo_1_2/1.0/foo-1.0.jar", jar)
	require.Contains(t, c.put(400, at+".pom", suffixed), "artifactId")
	c.put(400, at+".jar", "junk")
	c.missing("/com/acme/" + name + "/maven-metadata.xml")

	c.deploy(at+".pom", legacy, at+".jar", jar, at+"-sources.jar", sources, at+".jar.asc", "signature")
	c.put(200, at+".jar", jar)
	c.put(409, at+".jar", sources)
	require.Equal(t, []string{"1.0"}, c.metadata("/com/acme/"+name+"/").Versioning.Versions)
	require.Equal(t, []string{"../", "sbt-foo-1.0-sources.jar", "sbt-foo-1.0.jar", "sbt-foo-1.0.jar.asc", "sbt-foo-1.0.pom"}, links(c.get("/com/acme/"+name+"/1.0/")))
	c.deploy(proper+".pom", suffixed, proper+".jar", jar)
	c.put(400, proper+".pom", legacy)
	for path, text := range map[string]string{at + ".pom": legacy, at + ".jar": jar, at + "-sources.jar": sources, proper + ".pom": suffixed, proper + ".jar": jar} {
		require.Equal(t, text, c.get(path))
	}
	require.Equal(t, http.StatusNoContent, c.do(http.MethodDelete, "/com/acme/"+name+"/1.0/", nil).StatusCode)
	c.missing(at+".jar", proper+".jar", "/com/acme/"+name+"/maven-metadata.xml")

	// A snapshot both ways, each of which stays what it is.
	const dir = "/com/acme/" + name + "/2.0-SNAPSHOT/"
	suffixed, legacy = pom("com.acme", name, "2.0-SNAPSHOT", ""), pom("com.acme", "sbt-foo", "2.0-SNAPSHOT", "")
	c.deploy(dir+name+"-2.0-SNAPSHOT.pom", suffixed, dir+"sbt-foo-2.0-SNAPSHOT.pom", legacy)
	for _, body := range []string{jar, sources} {
		c.deploy(dir+"sbt-foo-2.0-SNAPSHOT.jar", body, dir+name+"-2.0-SNAPSHOT.jar", body)
		require.Equal(t, []string{suffixed, body, legacy, body}, []string{c.get(dir + name + "-2.0-SNAPSHOT.pom"), c.get(dir + name + "-2.0-SNAPSHOT.jar"),
			c.get(dir + "sbt-foo-2.0-SNAPSHOT.pom"), c.get(dir + "sbt-foo-2.0-SNAPSHOT.jar")})
		require.Equal(t, map[string]string{":pom": "2.0-SNAPSHOT", ":jar": "2.0-SNAPSHOT"}, c.metadata(dir).values())
	}
}

func pluginJar(t testing.TB, group, artifact, prefix string) string {
	return string(pack(t, "META-INF/maven/plugin.xml", fmt.Sprintf(
		"<plugin><name>The %s</name><groupId>%s</groupId><artifactId>%s</artifactId><goalPrefix>%s</goalPrefix><mojos><mojo><goal>x</goal></mojo></mojos></plugin>", artifact, group, artifact, prefix)))
}

func TestPlugins(t *testing.T) {
	t.Parallel()
	c := start(t)
	put := func(group, artifact, version, jar string) {
		c.put(201, "/"+strings.ReplaceAll(group, ".", "/")+"/"+artifact+"/"+version+"/"+artifact+"-"+version+".jar", jar)
	}
	put("com.acme", "lib", "1.0", string(pack(t)))
	c.missing("/com/acme/maven-metadata.xml")
	put("com.acme", "b-maven-plugin", "1.0", pluginJar(t, "com.acme", "b-maven-plugin", "old"))
	put("com.acme", "b-maven-plugin", "1.1", pluginJar(t, "com.acme", "b-maven-plugin", "new"))
	put("com.acme", "b-maven-plugin", "1.2", string(pack(t)))
	put("com.acme", "a-maven-plugin", "1.0", pluginJar(t, "com.acme", "a-maven-plugin", "a&lt;b"))
	put("com.acme", "rogue", "1.0", pluginJar(t, "com.acme", "b-maven-plugin", "evil"))
	put("com.acme", "broken", "1.0", string(pack(t, "META-INF/maven/plugin.xml", "<plugin>")))
	put("com.acme", "bomb", "1.0", string(pack(t, "META-INF/maven/plugin.xml", "<plugin><!--"+strings.Repeat(" ", 9<<20)+"--></plugin>")))
	put("com.acme-x", "c-maven-plugin", "1.0", pluginJar(t, "com.acme-x", "c-maven-plugin", "c"))
	put("com.acme.x", "d-maven-plugin", "1.0", pluginJar(t, "com.acme.x", "d-maven-plugin", "d"))

	d := c.metadata("/com/acme/")
	require.Len(t, d.Plugins, 2)
	require.Equal(t, "a-maven-plugin a<b The a-maven-plugin", d.Plugins[0].ArtifactID+" "+d.Plugins[0].Prefix+" "+d.Plugins[0].Name)
	require.Equal(t, "new", d.Plugins[1].Prefix, "of the newest version that is a plugin")
	require.Empty(t, d.Versioning.Versions)
	require.Equal(t, sum(t, "sha1", c.get("/com/acme/maven-metadata.xml")), c.get("/com/acme/maven-metadata.xml.sha1"))

	put("com", "acme", "3.0", string(pack(t))) // the folder of an artifact and of a group
	d = c.metadata("/com/acme/")
	require.Len(t, d.Plugins, 2)
	require.Equal(t, []string{"3.0"}, d.Versioning.Versions)
	require.Equal(t, fmt.Sprintf("%x", sha1.Sum([]byte(c.get("/com/acme/maven-metadata.xml")))), c.get("/com/acme/maven-metadata.xml.sha1"))
}

func links(page string) (links []string) {
	for line := range strings.Lines(page) {
		if _, rest, ok := strings.Cut(line, `<a href="`); ok {
			_, rest, _ = strings.Cut(rest, ">")
			name, _, _ := strings.Cut(rest, "<")
			links = append(links, name)
		}
	}
	return links
}

func TestBrowse(t *testing.T) {
	t.Parallel()
	c := start(t)
	require.Empty(t, links(c.get("/")))
	for _, name := range []string{"com.acme:lib", "com.acme:other", "com.acme.lib:core", "com.acme.lib.deep:x", "com.acme-x:y", "com0:z", "net:net"} {
		c.put(201, file(name, "1.0", ".jar"), string(pack(t, "A.class", name)))
	}
	c.put(201, "/com/acme/lib/2.0-SNAPSHOT/lib-2.0-20240131.120000-1.jar", string(pack(t)))
	require.Equal(t, []string{"com/", "com0/", "net/"}, links(c.get("/")))
	require.Equal(t, []string{"../", "acme-x/", "acme/"}, links(c.get("/com/")))
	require.Equal(t, []string{"../", "lib/", "other/"}, links(c.get("/com/acme/")))
	require.Equal(t, []string{"../", "1.0/", "2.0-SNAPSHOT/", "core/", "deep/", "maven-metadata.xml"}, links(c.get("/com/acme/lib/")), "an artifact and a group")
	for _, path := range []string{"/com/acme/lib/2.0-SNAPSHOT/", "/com/acme/lib/2.0-SNAPSHOT"} {
		require.Equal(t, []string{"../", "lib-2.0-20240131.120000-1.jar", "maven-metadata.xml"}, links(c.get(path)))
	}
	require.Equal(t, links(c.get("/com/acme/lib/")), links(c.get("/com/acme/lib")))
	require.Equal(t, links(c.get("/com/")), links(c.get("/com")))
	page := c.get("/com/acme/lib/1.0/")
	require.Contains(t, page, c.Feed+"/com/acme/lib/1.0/lib-1.0.jar")
	require.Regexp(t, `<td>20\d\d-\d\d-\d\d \d\d:\d\d:\d\d</td><td align="right">\d+</td>`, page)
	c.missing("/com/acme/lib.sha1", "/com/acme.md5", "/com.sha256", "/com/acme/lib/1.0.sha512") // a folder has no checksum
	c.missing("/com/ac/", "/com/acme/li/", "/com/acme/lib/1/", "/com.acme/", "/x/", "/%3Cscript%3E/", "/com/acme/lib/1.0/x/y/z", "/..%2f", "/%00/")

	for _, path := range []string{"/com/acme/lib/1.0", "/com/acme/lib/2.0-SNAPSHOT/"} {
		require.Equal(t, http.StatusNoContent, c.do(http.MethodDelete, path, nil).StatusCode)
	}
	require.Equal(t, http.StatusNotFound, c.do(http.MethodDelete, "/com/acme/lib/1.0/", nil).StatusCode)
	require.Equal(t, http.StatusNotFound, c.do(http.MethodDelete, "/com/acme/other/1.0/other-1.0.jar", nil).StatusCode)
	c.missing("/com/acme/lib/1.0/lib-1.0.jar", "/com/acme/lib/maven-metadata.xml")
	require.True(t, slices.Contains(links(c.get("/com/acme/")), "lib/"), "a group still")
	a := c.do(http.MethodPost, "/com/acme/other/1.0/other-1.0.jar", nil)
	require.Equal(t, http.StatusMethodNotAllowed, a.StatusCode)
	require.Equal(t, "GET, HEAD, PUT, DELETE", a.Header.Get("Allow"))
}

// TestStatus: what is not listed is there for those who name it, and what is
// blocked is not.
func TestStatus(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, v := range []string{"1.0", "1.1", "1.2-SNAPSHOT"} {
		c.put(201, file("com.acme:lib", v, ".jar"), pluginJar(t, "com.acme", "lib", "p"+v))
	}
	status := func(version, body string) {
		a := feedtest.Do(t, feedtest.Request(t, http.MethodPost, c.URL+"/api/packages/maven/status?group=com.acme&name=lib&version="+version, []byte(body), "X-ApiKey", c.Key, "Content-Type", "application/json"))
		require.Equal(t, http.StatusOK, a.StatusCode, string(a.Body))
	}
	status("1.1", `{"listed":false}`)
	status("1.2-SNAPSHOT", `{"allow":false}`)
	d := c.metadata("/com/acme/lib/")
	require.Equal(t, []string{"1.0"}, d.Versioning.Versions)
	require.Equal(t, "1.0 1.0", d.Versioning.Latest+" "+d.Versioning.Release)
	require.Equal(t, "p1.0", c.metadata("/com/acme/").Plugins[0].Prefix)
	require.Equal(t, []string{"../", "1.0/", "maven-metadata.xml"}, links(c.get("/com/acme/lib/")))
	c.get(file("com.acme:lib", "1.1", ".jar"))
	c.get("/com/acme/lib/1.1/")
	c.missing(file("com.acme:lib", "1.2-SNAPSHOT", ".jar"), file("com.acme:lib", "1.2-SNAPSHOT", ".jar.sha1"), "/com/acme/lib/1.2-SNAPSHOT/maven-metadata.xml", "/com/acme/lib/1.2-SNAPSHOT/")
	status("1.0", `{"listed":false}`)
	c.missing("/com/acme/lib/maven-metadata.xml", "/com/acme/lib/maven-metadata.xml.md5", "/com/acme/maven-metadata.xml")
	c.put(409, file("com.acme:lib", "1.1", ".jar"), string(pack(t)))
}

// TestUpload: a file that comes by the native API or a form is what its path says.
func TestUpload(t *testing.T) {
	t.Parallel()
	c := start(t)
	upload := func(path, body string) feedtest.Answer {
		return feedtest.Do(t, feedtest.Request(t, http.MethodPut, c.URL+"/api/packages/maven/upload/"+path, []byte(body), "X-ApiKey", c.Key))
	}
	jar := string(pack(t, "a", "b"))
	require.Equal(t, http.StatusOK, upload("com/acme/lib/1.0/lib-1.0.jar", jar).StatusCode)
	require.Equal(t, http.StatusOK, upload("com/acme/lib/1.0/lib-1.0.jar", jar).StatusCode, "the same again")
	require.Equal(t, http.StatusConflict, upload("com/acme/lib/1.0/lib-1.0.jar", string(pack(t, "a", "c"))).StatusCode)
	require.Equal(t, jar, c.get("/com/acme/lib/1.0/lib-1.0.jar"))
	for path, want := range map[string]string{
		"lib-1.0.jar":                       "com/acme/lib/1.0/lib-1.0.jar",
		"com/acme/lib/1.0/lib-1.0.jar.sha1": "made by the server",
		"com/acme/lib/maven-metadata.xml":   "maven-metadata.xml",
		"com/acme/lib/1.0/readme/x":         "publish that first",
	} {
		a := upload(path, jar)
		require.Equal(t, 4, a.StatusCode/100, "%s: %s", path, a.Body)
		require.Contains(t, string(a.Body), want, path)
	}
}
