// Package npm serves npm packages to npm, yarn and pnpm. It follows npm's own
// description of its registry, "Public Registry API" and "Package Metadata"
// (docs/REGISTRY-API.md and docs/responses/package-metadata.md of npm/registry), and
// what clients send where that says nothing.
//
// A version's description comes from package.json in its tarball, never from what the
// client says: the two could differ, and then those who install the package would get
// another one than those who look at it. A tarball is stored byte for byte.
//
// Versions follow SemVer 2.0.0 without build metadata. Names are case-sensitive,
// because some old packages differ only in case.
package npm

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// New returns the feed type "npm".
func New() feed.Type {
	return feed.Type{
		Name: "npm", Title: "npm",
		Algorithms: []proget.Algorithm{proget.SHA1, proget.SHA512},
		NameKey:    func(name string) string { return name }, VersionKey: versionKey, CompareVersions: compareVersions,
		Naming:     feed.Naming{Scope: "@"},
		Operations: operations,
		Inspect:    inspect, Summary: summary, Install: install, Form: &feed.Form{Accept: ".tgz", Hint: "A tarball as npm pack makes it."},
		Handler:    func(s feed.Services) feed.Handler { return &handler{s} },
		WriteError: writeError,
	}
}

// versionKey returns a version as the clients' semver.clean does.
func versionKey(version string) string {
	version = strings.TrimLeft(strings.TrimSpace(version), "=v")
	version, _, _ = strings.Cut(version, "+")
	return version
}

// compareVersions orders versions by precedence, and otherwise by text.
func compareVersions(a, b string) int {
	va, errA := semver.StrictNewVersion(a)
	vb, errB := semver.StrictNewVersion(b)
	if errA == nil && errB == nil {
		if c := va.Compare(vb); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

func summary(v *proget.Version) feed.Summary {
	d := readData(v)
	var p struct {
		Description  string
		Keywords     any
		Homepage     any
		Repository   any
		License      any
		Author       any
		Dependencies map[string]any
	}
	_ = json.Unmarshal(d.Package, &p) // fields of an unusual type stay empty
	s := feed.Summary{Description: p.Description, Authors: person(p.Author), Tags: words(p.Keywords), Readme: d.Readme,
		ProjectURL: text(p.Homepage), Repository: text(p.Repository), License: text(p.License)}
	for _, name := range sorted(p.Dependencies) {
		s.Dependencies = append(s.Dependencies, feed.Dependency{Name: name, Range: text(p.Dependencies[name])})
	}
	return s
}

func install(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
	registry := " --registry " + base + "/"
	return []feed.Instruction{
		{Tool: "npm", Command: "npm install " + v.Name + "@" + v.Version + registry},
		{Tool: "yarn", Command: "yarn add " + v.Name + "@" + v.Version + registry},
		{Tool: "pnpm", Command: "pnpm add " + v.Name + "@" + v.Version + registry},
	}
}

// writeError writes the body whose error clients show.
func writeError(w http.ResponseWriter, _ *http.Request, status int, message string, _ error) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message}) // an error means that the client went away
}
