// Package maven serves artifacts to Maven, Gradle and other clients that resolve and
// deploy as they do. It follows the "Maven Repository Layout" and the "Maven Repository
// Metadata" reference and, where these say nothing, Maven's resolver.
//
// A package is a groupId with an artifactId, a version is a version folder, and each
// file in that folder is a file of the version. Only its path and its bytes describe a
// file. Checksums and maven-metadata.xml are generated and never stored: those that
// clients send are compared and dropped, so that concurrent deployments cannot lose
// each other's versions.
//
// Released files never change. Builds of a snapshot have their own names, with a time
// and a number; a request for the snapshot itself gets the newest build.
package maven

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// New returns the feed type "maven", mounted under /maven2/ and /maven/.
func New() feed.Type {
	same := func(text string) string { return text }
	return feed.Type{
		Name: "maven", Title: "Maven", Mount: "maven2", Mounts: []string{"maven"},
		Algorithms: []proget.Algorithm{proget.SHA1, proget.MD5, proget.SHA512},
		NameKey:    nameKey, VersionKey: same, CompareVersions: compareVersions,
		Naming:     feed.Naming{Separator: ":", Parted: true},
		Operations: operations,
		Inspect:    inspect, Summary: summary, Install: install,
		Handler: func(s feed.Services) feed.Handler { return &handler{s} },
		Form: &feed.Form{Accept: ".jar,.pom,.war,.aar,.module,.asc,.zip,.tar.gz", Path: "Folder",
			Hint: "Name the folder by groupId, artifactId and version, as in com/acme/lib/1.0, and upload the POM, too."},
		WriteError: feed.WriteText,
	}
}

// nameKey does not change names, except that it turns group/artifact, as ProGet's
// native API joins the two, into group:artifact.
func nameKey(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i < 0 || strings.Contains(name, ":") {
		return name
	}
	return coordinates{name[:i], name[i+1:]}.name()
}

func summary(v *proget.Version) feed.Summary {
	d := readData(v)
	s := feed.Summary{Title: d.Name, Description: d.Description, Authors: strings.Join(d.Developers, ", "), ProjectURL: d.URL}
	if d.Packaging != "" {
		s.Types = []string{d.Packaging}
	}
	for _, l := range d.Licenses {
		if s.License = l.URL; s.License == "" {
			s.License = l.Name
		}
		if s.License != "" {
			break
		}
	}
	for _, dep := range d.Dependencies {
		scope := dep.Scope
		if scope == "" {
			scope = "compile"
		}
		s.Dependencies = append(s.Dependencies, feed.Dependency{Group: scope, Name: dep.GroupID + ":" + dep.ArtifactID, Range: dep.Version})
	}
	return s
}

// readData decodes what Inspect returned; it returns the zero value until there is a
// POM.
func readData(v *proget.Version) (d pomData) {
	_ = json.Unmarshal(v.Manifest, &d) // Inspect encoded it
	return d
}

// typed are the packagings that a dependency must state; others are jars.
var typed = []string{"pom", "war", "ear", "aar", "zip", "tar.gz"}

func install(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
	c, d := splitName(v.Name), readData(v)
	element := "dependency"
	if d.Packaging == "maven-plugin" {
		element = "plugin"
	}
	dependency := fmt.Sprintf("<%s>\n  <groupId>%s</groupId>\n  <artifactId>%s</artifactId>\n  <version>%s</version>\n", element, escape(c.group), escape(c.artifact), escape(v.Version))
	if slices.Contains(typed, d.Packaging) {
		dependency += "  <type>" + d.Packaging + "</type>\n"
	}
	dependency += "</" + element + ">"
	return []feed.Instruction{
		{Tool: "Maven", Command: dependency},
		{Tool: "Maven repository", Command: "<repository>\n  <id>proget</id>\n  <url>" + escape(base) + "</url>\n</repository>"},
		{Tool: "Gradle (Kotlin)", Command: fmt.Sprintf(`implementation("%s:%s")`, v.Name, v.Version)},
		{Tool: "Gradle (Groovy)", Command: fmt.Sprintf("implementation '%s:%s'", v.Name, v.Version)},
	}
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder does not fail
	return b.String()
}
