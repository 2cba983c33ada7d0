package maven

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

var lib = location{coordinates{"com.acme", "lib"}, "1.0", "lib-1.0.pom"}

const whole = `<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment --><?a b?>
<project xmlns="http://maven.apache.org/POM/4.0.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://maven.apache.org/POM/4.0.0 https://maven.apache.org/xsd/maven-4.0.0.xsd">
  <modelVersion>4.0.0</modelVersion>
  <parent><groupId> com.acme </groupId><artifactId>parent</artifactId><version>7</version></parent>
  <artifactId>
    lib
  </artifactId>
  <version>1.0</version>
  <name>${project.groupId} &amp; Lib &copy;</name>
  <description><![CDATA[Does <things>.]]></description>
  <url>https://example.com/${project.artifactId}</url>
  <licenses><license><name>Apache-2.0</name></license></licenses>
  <developers><developer><name>Ann</name></developer><developer><id>bob</id></developer><developer/></developers>
  <properties><other.version>2.1</other.version><empty/></properties>
  <dependencyManagement><dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId></dependency></dependencies></dependencyManagement>
  <dependencies>
    <dependency><groupId>${project.groupId}</groupId><artifactId>other</artifactId><version>${other.version}</version></dependency>
    <dependency><groupId>org.test</groupId><artifactId>unit</artifactId><version>${from.parent}</version><scope>test</scope><type>test-jar</type><optional>true</optional></dependency>
  </dependencies>
</project>
<!-- the end -->
`

func version(t testing.TB, text string) *proget.Version {
	t.Helper()
	d, err := readPOM([]byte(text), lib)
	require.NoError(t, err, "%s", proget.Message(err))
	manifest, err := json.Marshal(d)
	require.NoError(t, err)
	return &proget.Version{Name: lib.name(), Version: lib.version, Manifest: manifest}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	require.Equal(t, feed.Summary{Title: "com.acme & Lib ©", Description: "Does <things>.", Authors: "Ann, bob", Types: []string{"jar"}, ProjectURL: "https://example.com/lib", License: "Apache-2.0",
		Dependencies: []feed.Dependency{{Group: "compile", Name: "com.acme:other", Range: "2.1"}, {Group: "test", Name: "org.test:unit", Range: "${from.parent}"}}}, summary(version(t, whole)))
	require.Equal(t, feed.Summary{}, summary(&proget.Version{Manifest: json.RawMessage("null")}), "until there is a POM")
}

func TestInstall(t *testing.T) {
	t.Parallel()
	command := func(packaging string) string {
		return install("https://host/maven2/f", nil, version(t, strings.Replace(whole, "<version>1.0", "<packaging>"+packaging+"</packaging><version>1.0", 1)))[0].Command
	}
	require.Equal(t, "<dependency>\n  <groupId>com.acme</groupId>\n  <artifactId>lib</artifactId>\n  <version>1.0</version>\n</dependency>", command("bundle"))
	require.Contains(t, command("pom"), "<type>pom</type>")
	require.Contains(t, command("maven-plugin"), "<plugin>")
	all := install("https://host/maven2/f", nil, version(t, whole))
	require.Contains(t, all[1].Command, "<url>https://host/maven2/f</url>")
	require.Equal(t, `implementation("com.acme:lib:1.0")`, all[2].Command)
	require.Equal(t, `implementation 'com.acme:lib:1.0'`, all[3].Command)
}

// TestPOMs are odd but right.
func TestPOMs(t *testing.T) {
	t.Parallel()
	const start, body = "<project>", "<groupId>com.acme</groupId><artifactId>lib</artifactId><version>1.0</version><name>Gr\u00fc\u00dfe</name></project>"
	latin := strings.NewReplacer("ü", "\xfc", "ß", "\xdf").Replace(body)
	utf16 := func(text string) string {
		var b strings.Builder
		for _, r := range text {
			b.WriteString(string([]byte{byte(r), byte(r >> 8)}))
		}
		return "\xff\xfe" + b.String()
	}
	for name, text := range map[string]string{
		"no namespace": start + body,
		"BOM":          "\ufeff" + start + body,
		"Latin 1":      `<?xml version="1.0" encoding="ISO-8859-1"?>` + start + latin,
		"Windows":      `<?xml version="1.0" encoding="windows-1252"?>` + start + latin,
		"UTF-16":       utf16(`<?xml version="1.0" encoding="UTF-16"?>` + start + body),
		"entities":     start + strings.NewReplacer("ü", "&uuml;", "ß", "&#223;").Replace(body),
		"last line":    start + body + "\n\n",
	} {
		d, err := readPOM([]byte(text), lib)
		require.NoError(t, err, "%s: %s", name, proget.Message(err))
		require.Equal(t, "Grüße", d.Name, name)
		require.Equal(t, "jar", d.Packaging)
	}
	for _, coordinates := range []string{
		"<groupId>com.acme</groupId><artifactId>lib</artifactId><version>${revision}</version>",
		"<groupId>com.acme</groupId><artifactId>lib</artifactId><version>1.${minor}${changelist}</version>",
		"<groupId>${g}.acme</groupId><artifactId>${a}i${b}</artifactId><version>1.0</version>",
		"<parent><groupId>com.acme</groupId><artifactId>p</artifactId><version>1.0</version></parent><artifactId>lib</artifactId>",
		"<parent><groupId>org.other</groupId><artifactId>p</artifactId><version>[1,2)</version></parent><groupId>com.acme</groupId><artifactId>lib</artifactId><version>1.0</version>",
	} {
		_, err := readPOM([]byte(start+coordinates+"</project>"), lib)
		require.NoError(t, err, "%s", coordinates)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	require.True(t, matches("${a}b${c}b", "xbyb"))
	require.True(t, matches("a${x}", "a"))
	for _, said := range []string{"${x}abc${y}bcd", "${x}b${y}b", "ab", "x${a}", "${a}x", "${ab", "$abc"} {
		require.False(t, matches(said, "abc"), said)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version, file string
		want          fileData
	}{
		{"1.0", "lib-1.0.jar", fileData{Extension: "jar"}},
		{"1.0", "lib-1.0.tar.gz", fileData{Extension: "tar.gz"}},
		{"1.0", "lib-1.0.7z", fileData{Extension: "7z"}},
		{"1.0", "lib-1.0.pom.asc", fileData{Extension: "pom.asc"}},
		{"1.0", "lib-1.0-sources.jar", fileData{Classifier: "sources", Extension: "jar"}},
		{"1.0", "lib-1.0-linux-2.17.so", fileData{Classifier: "linux-2.17", Extension: "so"}},
		{"1.0", "lib-1.0-bin.tar.gz.asc", fileData{Classifier: "bin", Extension: "tar.gz.asc"}},
		{"1.0", "lib-1.0-a.b.jar.asc", fileData{Classifier: "a.b", Extension: "jar.asc"}},
		{"1.0", "lib-1.0-sources.jar.sigstore.json", fileData{Classifier: "sources", Extension: "jar.sigstore.json"}},
		{"1.0", "lib-1.0.jar.sigstore.json", fileData{Extension: "jar.sigstore.json"}},
		{"1.0-SNAPSHOT", "lib-1.0-SNAPSHOT-x.jar", fileData{Classifier: "x", Extension: "jar"}},
		{"1.0-SNAPSHOT", "lib-1.0-20240131.120000-12-x.jar", fileData{Classifier: "x", Extension: "jar", Timestamp: "20240131.120000", Build: 12}},
		{"SNAPSHOT", "lib-20240131.120000-1.jar", fileData{Extension: "jar", Timestamp: "20240131.120000", Build: 1}},
		{"1.0", "lib-1.0", fileData{}}, {"1.0", "lib-1.0.", fileData{}}, {"1.0", "lib-1.0-.jar", fileData{}}, {"1.0", "lib-1.0-x", fileData{}},
		{"1.0", "lib-1.0.1.jar", fileData{}}, {"1.0", "lib-1.01.jar", fileData{}}, {"1.0", "other-1.0.jar", fileData{}}, {"1.0", "lib-1.0-x.asc", fileData{}},
		{"1.0", "lib-1.0-.tar.gz", fileData{}},
		{"1.0-SNAPSHOT", "lib-1.0-2024.jar", fileData{}}, {"1.0-SNAPSHOT", "lib-1.0-20240131.120000-9999999999.jar", fileData{}},
	} {
		loc := location{coordinates{"com.acme", "lib"}, tc.version, tc.file}
		require.Equal(t, tc.want, loc.describe(), tc.file)
	}
}
