package nuget

import (
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

type (
	catalogEntry struct {
		ID                       string       `json:"@id"`
		Type                     string       `json:"@type"`
		Authors                  string       `json:"authors"`
		DependencyGroups         []entryGroup `json:"dependencyGroups,omitempty"`
		Deprecation              *deprecation `json:"deprecation,omitempty"`
		Description              string       `json:"description"`
		IconURL                  string       `json:"iconUrl,omitempty"`
		PackageID                string       `json:"id"`
		Language                 string       `json:"language,omitempty"`
		LicenseExpression        string       `json:"licenseExpression,omitempty"`
		LicenseURL               string       `json:"licenseUrl,omitempty"`
		Listed                   bool         `json:"listed"`
		MinClientVersion         string       `json:"minClientVersion,omitempty"`
		PackageContent           string       `json:"packageContent"`
		ProjectURL               string       `json:"projectUrl,omitempty"`
		Published                time.Time    `json:"published"`
		RequireLicenseAcceptance bool         `json:"requireLicenseAcceptance"`
		Summary                  string       `json:"summary"`
		Tags                     []string     `json:"tags"`
		Title                    string       `json:"title"`
		Version                  string       `json:"version"`
	}
	entryGroup struct {
		Type            string            `json:"@type"`
		TargetFramework string            `json:"targetFramework,omitempty"`
		Dependencies    []entryDependency `json:"dependencies,omitempty"`
	}
	entryDependency struct {
		Type         string `json:"@type"`
		ID           string `json:"id"`
		Range        string `json:"range,omitempty"`
		Registration string `json:"registration,omitempty"`
	}
	deprecation struct {
		Reasons []string `json:"reasons"`
		Message string   `json:"message,omitempty"`
	}
)

func (reg *registration) entry(v *proget.Version) (catalogEntry, error) {
	m, err := decode(v)
	if err != nil {
		return catalogEntry{}, err
	}
	return catalogEntry{
		ID:                       reg.links.leaf(reg.hive, reg.id, v.Key),
		Type:                     "PackageDetails",
		Authors:                  m.Authors,
		DependencyGroups:         entryGroups(m, func(id string) string { return reg.links.index(reg.hive, id) }),
		Deprecation:              newDeprecation(v.Status),
		Description:              m.Description,
		IconURL:                  reg.icon(m, reg.id, v.Key),
		PackageID:                v.Name,
		Language:                 m.Language,
		LicenseExpression:        m.LicenseExpression,
		LicenseURL:               reg.license(m, reg.id, v.Key),
		Listed:                   v.Status.Listed,
		MinClientVersion:         m.MinClientVersion,
		PackageContent:           reg.content(reg.id, v.Key),
		ProjectURL:               feed.WebURL(m.ProjectURL),
		Published:                published(v),
		RequireLicenseAcceptance: m.RequireLicenseAcceptance,
		Summary:                  m.Summary,
		Tags:                     notNil(m.Tags),
		Title:                    m.Title,
		Version:                  fullVersion(v.Version),
	}, nil
}

// entryGroups omits ranges that clients cannot parse. Clients then assume "any
// version", as they do when they read such a range in the package itself.
func entryGroups(m *metadata, registration func(id string) string) []entryGroup {
	groups := make([]entryGroup, 0, len(m.DependencyGroups))
	for _, g := range m.DependencyGroups {
		group := entryGroup{Type: "PackageDependencyGroup", TargetFramework: g.TargetFramework}
		for _, d := range g.Dependencies {
			item := entryDependency{
				Type:         "PackageDependency",
				ID:           d.ID,
				Registration: registration(d.ID),
			}
			if r, ok := parseRange(d.Range); ok {
				item.Range = r.String()
			}
			group.Dependencies = append(group.Dependencies, item)
		}
		groups = append(groups, group)
	}
	return groups
}

// published returns the time for clients: unlisted versions have the year 1900, by
// which old clients recognise them. All clients can parse milliseconds.
func published(v *proget.Version) time.Time {
	if !v.Status.Listed {
		return time.Date(1900, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return v.Published.UTC().Truncate(time.Millisecond)
}

// newDeprecation returns nil for a version that is not deprecated. It uses a reason
// that the protocol does not define as the message.
func newDeprecation(s proget.Status) *deprecation {
	switch s.Deprecated {
	case "":
		return nil
	case "Legacy", "CriticalBugs", "Other":
		return &deprecation{Reasons: []string{s.Deprecated}}
	}
	return &deprecation{Reasons: []string{"Other"}, Message: s.Deprecated}
}

// notNil replaces nil by an empty slice, because clients expect an array in JSON.
func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
