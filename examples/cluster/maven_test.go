package main_test

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

func jar(t testing.TB, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// deployFile returns mvn's arguments to deploy a jar by itself.
func deployFile(m *testenv.Maven, feed, artifact, version, file string) []string {
	return []string{m.Goal("deploy", "deploy-file"), "-Durl=" + feed, "-DrepositoryId=feed", "-DgroupId=com.acme", "-DartifactId=" + artifact,
		"-Dversion=" + version, "-Dpackaging=jar", "-Dfile=" + file}
}

// TestMaven: mvn deploys releases, snapshots and plugins through the load balancer,
// and mvn and gradle resolve them.
func TestMaven(t *testing.T) {
	t.Parallel()
	c := start(t)
	feed := c.LoadBalancer.URL + "/maven2/maven"
	m := testenv.FindMaven(t, feed, "api", c.APIKey)
	file := m.Write("a.jar", jar(t, "a.txt", "a"))

	// A release, by itself.
	m.Run(".", "repo", deployFile(m, feed, "lib", "1.0", file)...)
	m.Run(".", "repo", deployFile(m, feed, "lib", "1.0", file)...) // the same again
	other := m.Write("b.jar", jar(t, "b.txt", "b"))
	out, err := m.Try(".", "repo", deployFile(m, feed, "lib", "1.0", other)...)
	require.Error(t, err, "a released version is not overwritten")
	require.Contains(t, out, "409")
	m.Run(".", "fresh", m.Goal("dependency", "get"), "-Dartifact=com.acme:lib:1.0", "-DremoteRepositories=feed::default::"+feed, "-Dtransitive=false")
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	got, err := os.ReadFile(m.Local("fresh", "com/acme/lib/1.0/lib-1.0.jar"))
	require.NoError(t, err)
	require.Equal(t, want, got)

	// A snapshot, twice, of a project that needs the release.
	project := func(name, artifact, dependency string) {
		m.Write(name+"/pom.xml", `<project><modelVersion>4.0.0</modelVersion><groupId>com.acme</groupId><artifactId>`+artifact+`</artifactId><version>1.0-SNAPSHOT</version>
<properties><maven.compiler.source>8</maven.compiler.source><maven.compiler.target>8</maven.compiler.target><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<distributionManagement><snapshotRepository><id>feed</id><url>`+feed+`</url></snapshotRepository></distributionManagement>
<dependencies><dependency><groupId>com.acme</groupId><artifactId>`+dependency+`</dependency></dependencies>`+m.Build()+`</project>`)
	}
	project("app", "app", "lib</artifactId><version>[1.0,2)</version>")
	for _, method := range []string{"one", "two"} {
		m.Write("app/src/main/java/com/acme/App.java", "package com.acme; public class App { public static int "+method+"() { return 1; } }")
		m.Run("app", "repo", "deploy", "-DskipTests")
		project("user", "user", "app</artifactId><version>1.0-SNAPSHOT</version>")
		m.Write("user/src/main/java/com/acme/User.java", "package com.acme; public class User { int n = App."+method+"(); }")
		m.Run("user", "fresh", "compile")
	}
	builds, err := filepath.Glob(m.Local("fresh", "com/acme/app/1.0-SNAPSHOT/app-1.0-2*-*.jar"))
	require.NoError(t, err)
	require.Len(t, builds, 2, "both builds, one after the other")
	require.FileExists(t, m.Local("fresh", "com/acme/lib/1.0/lib-1.0.jar"), "what the build needs")

	// A plugin, which mvn finds by its prefix.
	plugin := m.Write("plugin.jar", jar(t, "META-INF/maven/plugin.xml", `<plugin><name>Hello</name><groupId>com.acme</groupId><artifactId>hello-maven-plugin</artifactId>
<version>1.0</version><goalPrefix>hey</goalPrefix><mojos><mojo><goal>there</goal><implementation>x.Y</implementation></mojo></mojos></plugin>`))
	m.Run(".", "repo", deployFile(m, feed, "hello-maven-plugin", "1.0", plugin)...)
	out, err = m.Try(".", "fresh", "hey:you")
	require.Error(t, err)
	require.Contains(t, out, "Could not find goal 'you' in plugin com.acme:hello-maven-plugin:1.0")

	m.Write("gradle-user/settings.gradle", "")
	m.Write("gradle-user/build.gradle", `configurations { some }
repositories { maven { url '`+feed+`' } }
dependencies { some 'com.acme:app:1.0-SNAPSHOT' }
task list { doLast { configurations.some.each { println 'has ' + it.name } } }`)
	out = m.Gradle("gradle-user", "list")
	require.Contains(t, out, "has lib-1.0.jar")
	require.Contains(t, out, "has app-1.0-SNAPSHOT.jar")
}

// TestMavenDeploysAtOnce: versions that are deployed at the same time, each through
// another node, are all in the artifact's metadata.
func TestMavenDeploysAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t)
	m := testenv.FindMaven(t, c.LoadBalancer.URL+"/maven2/maven", "api", c.APIKey)
	file := m.Write("a.jar", jar(t, "a.txt", "a"))
	var all sync.WaitGroup
	var want []string
	for n, node := range c.Nodes {
		if node.Role != "web" {
			continue
		}
		version := fmt.Sprintf("1.%d", n)
		want = append(want, version)
		all.Go(func() {
			out, err := m.Try(".", "repo-"+version, deployFile(m, node.URL+"/maven2/maven", "lib", version, file)...)
			assert.NoError(t, err, out)
		})
	}
	all.Wait()
	require.Greater(t, len(want), 1)
	resp, err := http.Get(c.LoadBalancer.URL + "/maven2/maven/com/acme/lib/maven-metadata.xml")
	require.NoError(t, err)
	defer resp.Body.Close()
	var doc struct {
		Versions []string `xml:"versioning>versions>version"`
	}
	require.NoError(t, xml.NewDecoder(resp.Body).Decode(&doc))
	require.Equal(t, want, doc.Versions)
}
