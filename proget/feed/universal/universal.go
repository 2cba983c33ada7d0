// Package universal serves universal packages: zip files with a manifest, upack.json,
// at the root and their content under package/. Inedo's documentation of universal
// packages and the universal feed API describes the format and the feed's endpoints.
//
// A package is identified by group and name, ignoring case; its version follows SemVer
// 2.0.0, and build metadata is not part of its identity.
//
// A virtual package is a manifest that lists the packages and files from which the
// package is assembled. The server does that when somebody first requests the package,
// and stores the result with the version, so that everybody then gets the same bytes.
package universal

import (
	"encoding/json"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// New returns the feed type "universal", mounted under /upack/. opts may be nil.
func New(opts *Options) feed.Type {
	fetcher := newFetcher(opts)
	return feed.Type{
		Name: "universal", Title: "Universal", Mount: "upack",
		Algorithms: []proget.Algorithm{proget.SHA1, proget.MD5, proget.SHA512},
		NameKey:    strings.ToLower, VersionKey: versionKey, CompareVersions: compareVersions,
		Naming:     feed.Naming{PURL: "upack"},
		Virtual:    func(f proget.File) bool { return strings.HasSuffix(f.Name, vpackEnding) || len(f.Data) > 0 }, // to be assembled, or assembled
		Operations: operations,
		Inspect:    inspect, Summary: summary, Install: install,
		Handler:    func(s feed.Services) feed.Handler { return &handler{s, fetcher, newFlights()} },
		Form:       &feed.Form{Accept: upackEnding + "," + vpackEnding},
		WriteError: feed.WriteText,
	}
}

// versionKey drops build metadata: two builds of one version have the same precedence,
// so neither could be called the latest.
func versionKey(version string) string {
	version, _, _ = strings.Cut(version, "+")
	return strings.ToLower(version)
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
	m := readManifest(v)
	s := feed.Summary{Title: m.Title, Description: m.Description, ProjectURL: m.ProjectURL, Tags: m.Tags}
	if s.Description == "" {
		s.Description = m.ShortDescription
	}
	for _, d := range m.Dependencies {
		name, rest, _ := strings.Cut(d, ":")
		versions, _, _ := strings.Cut(rest, ":")
		s.Dependencies = append(s.Dependencies, feed.Dependency{Name: name, Range: versions})
	}
	return s
}

func install(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
	return []feed.Instruction{
		{Tool: "upack", Command: "upack install " + v.Name + " " + v.Version + " --source=" + base + " --target=."},
		{Tool: "curl", Command: "curl -O -J " + base + "/download/" + v.Name + "/" + v.Version},
	}
}

// readManifest decodes what Inspect stored.
func readManifest(v *proget.Version) (m manifest) {
	_ = json.Unmarshal(v.Manifest, &m) // Inspect encoded it
	return m
}
