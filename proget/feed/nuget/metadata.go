package nuget

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// metadata is the JSON that the database stores of a package's .nuspec: everything that
// clients or pages show. Stored manifests outlive the code that wrote them: fields may
// be added, but their meaning must never change.
type metadata struct {
	SemVer2 bool `json:"semVer2"` // must be first, see needsSemVer2

	ID                       string              `json:"id"`
	Version                  string              `json:"version"` // as the author wrote it
	Title                    string              `json:"title,omitempty"`
	Authors                  string              `json:"authors,omitempty"`
	Owners                   string              `json:"owners,omitempty"`
	Description              string              `json:"description,omitempty"`
	Summary                  string              `json:"summary,omitempty"`
	ReleaseNotes             string              `json:"releaseNotes,omitempty"`
	Copyright                string              `json:"copyright,omitempty"`
	Language                 string              `json:"language,omitempty"`
	Tags                     []string            `json:"tags,omitempty"`
	ProjectURL               string              `json:"projectUrl,omitempty"`
	IconURL                  string              `json:"iconUrl,omitempty"`
	Icon                     string              `json:"icon,omitempty"` // a path within the package
	LicenseURL               string              `json:"licenseUrl,omitempty"`
	LicenseExpression        string              `json:"licenseExpression,omitempty"`
	LicenseFile              string              `json:"licenseFile,omitempty"` // a path within the package
	RequireLicenseAcceptance bool                `json:"requireLicenseAcceptance,omitempty"`
	DevelopmentDependency    bool                `json:"developmentDependency,omitempty"`
	MinClientVersion         string              `json:"minClientVersion,omitempty"`
	PackageTypes             []packageType       `json:"packageTypes,omitempty"`
	DependencyGroups         []dependencyGroup   `json:"dependencyGroups,omitempty"`
	FrameworkAssemblies      []frameworkAssembly `json:"frameworkAssemblies,omitempty"`
	Repository               *repository         `json:"repository,omitempty"`
	ReadmeFile               string              `json:"readmeFile,omitempty"` // a path within the package
	Readme                   string              `json:"readme,omitempty"`     // its text, if it is not too long
}

type packageType struct {
	Name    string `json:"name" xml:"name,attr"`
	Version string `json:"version,omitempty" xml:"version,attr"`
}

// A dependencyGroup without a target framework applies to all of them.
type dependencyGroup struct {
	TargetFramework string       `json:"targetFramework,omitempty" xml:"targetFramework,attr"`
	Dependencies    []dependency `json:"dependencies,omitempty" xml:"dependency"`
}

type dependency struct {
	ID      string `json:"id" xml:"id,attr"`
	Range   string `json:"range,omitempty" xml:"version,attr"` // as the author wrote it
	Include string `json:"include,omitempty" xml:"include,attr"`
	Exclude string `json:"exclude,omitempty" xml:"exclude,attr"`
}

type frameworkAssembly struct {
	Name            string `json:"name" xml:"assemblyName,attr"`
	TargetFramework string `json:"targetFramework,omitempty" xml:"targetFramework,attr"`
}

type repository struct {
	Type   string `json:"type,omitempty" xml:"type,attr"`
	URL    string `json:"url,omitempty" xml:"url,attr"`
	Branch string `json:"branch,omitempty" xml:"branch,attr"`
	Commit string `json:"commit,omitempty" xml:"commit,attr"`
}

// decode returns the metadata of a published version.
func decode(v *proget.Version) (*metadata, error) {
	m := new(metadata)
	if err := json.Unmarshal(v.Manifest, m); err != nil {
		return nil, fmt.Errorf("decode the manifest of %s %s: %w", v.Name, v.Key, err)
	}
	return m, nil
}

// needsSemVer2 reports whether clients before 4.3 must not see the version, because of
// its own number or a range in its dependencies. It is called for every version of a
// package, so it reads only the flag at the manifest's start.
func needsSemVer2(v *proget.Version) bool {
	if own, ok := parseVersion(v.Version); ok && own.semVer2() {
		return true
	}
	d := json.NewDecoder(bytes.NewReader(v.Manifest))
	_, _ = d.Token() // the opening brace; an error comes again
	if key, err := d.Token(); err == nil && key == "semVer2" {
		flag, err := d.Token()
		return err == nil && flag == true
	}
	m, err := decode(v)
	return err == nil && m.SemVer2
}

// types returns the package's types. A package without types is a dependency.
func (m *metadata) types() []packageType {
	if len(m.PackageTypes) == 0 {
		return []packageType{{Name: "Dependency"}}
	}
	return m.PackageTypes
}

func (m *metadata) hasType(name string) bool {
	for _, t := range m.types() {
		if strings.EqualFold(t.Name, name) {
			return true
		}
	}
	return false
}

// licenseLink returns the URL of the page that clients open for the license.
func (m *metadata) licenseLink() string {
	if m.LicenseExpression != "" {
		return "https://licenses.nuget.org/" + url.PathEscape(m.LicenseExpression)
	}
	return feed.WebURL(m.LicenseURL)
}

// splitTags splits tags as authors write them: at spaces, as specified, and at commas
// and semicolons, as many do.
func splitTags(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return strings.ContainsRune(" \t\r\n,;", r)
	})
}
