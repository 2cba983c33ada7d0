package nuget

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget/internal/odata"
)

// A v2Entity is a version as the entity of protocol version 2.
type v2Entity struct {
	pkg              *feed.Package
	version          *proget.Version
	meta             *metadata
	latest, absolute bool  // it is the newest listed version: of the stable ones, of all
	downloads        int64 // of all versions
}

// v2Entities returns the versions that a client may see, oldest first. Which one is the
// latest depends on that.
func v2Entities(p *feed.Package, semVer2 bool) ([]*v2Entity, error) {
	var entities []*v2Entity
	var latest, absolute *v2Entity
	var downloads int64
	for _, v := range p.Versions {
		downloads += v.Downloads
		if !feed.Allowed(v) || !semVer2 && needsSemVer2(v) {
			continue
		}
		m, err := decode(v)
		if err != nil {
			return nil, err
		}
		m.Readme = "" // it has no column, and may be long
		e := &v2Entity{pkg: p, version: v, meta: m}
		entities = append(entities, e)
		if v.Status.Listed {
			absolute = e
			if !v.Prerelease {
				latest = e
			}
		}
	}
	for _, e := range entities {
		e.latest, e.absolute, e.downloads = e == latest, e == absolute, downloads
	}
	return entities, nil
}

// A v2Property is one column of the entity.
type v2Property struct {
	name  string
	edm   string // its EDM type
	value func(e *v2Entity, l links) odata.Value
}

func v2String(name string, value func(m *metadata) string) v2Property {
	return v2Property{name, "Edm.String", func(e *v2Entity, _ links) odata.Value { return orNull(value(e.meta)) }}
}

// orNull returns nil for an empty string, which the package does not set.
func orNull(s string) odata.Value {
	if s == "" {
		return nil
	}
	return s
}

// v2Properties are the columns of nuget.org's entity.
var v2Properties = []v2Property{
	{"Id", "Edm.String", func(e *v2Entity, _ links) odata.Value { return e.version.Name }},
	{"Version", "Edm.String", func(e *v2Entity, _ links) odata.Value {
		return versionText{fullVersion(e.version.Version), e.version.Key}
	}},
	{"NormalizedVersion", "Edm.String", func(e *v2Entity, _ links) odata.Value {
		return versionText{e.normal(), e.version.Key}
	}},
	v2String("Authors", func(m *metadata) string { return m.Authors }),
	v2String("Copyright", func(m *metadata) string { return m.Copyright }),
	{"Created", "Edm.DateTime", func(e *v2Entity, _ links) odata.Value { return e.created() }},
	{"Dependencies", "Edm.String", func(e *v2Entity, _ links) odata.Value { return v2Dependencies(e.meta) }},
	v2String("Description", func(m *metadata) string { return m.Description }),
	{"DownloadCount", "Edm.Int64", func(e *v2Entity, _ links) odata.Value { return float64(e.downloads) }},
	{"GalleryDetailsUrl", "Edm.String", func(*v2Entity, links) odata.Value { return nil }},
	{"IconUrl", "Edm.String", func(e *v2Entity, l links) odata.Value {
		return orNull(l.icon(e.meta, e.pkg.Key, e.version.Key))
	}},
	{"IsLatestVersion", "Edm.Boolean", func(e *v2Entity, _ links) odata.Value { return e.latest }},
	{"IsAbsoluteLatestVersion", "Edm.Boolean", func(e *v2Entity, _ links) odata.Value { return e.absolute }},
	{"IsPrerelease", "Edm.Boolean", func(e *v2Entity, _ links) odata.Value { return e.version.Prerelease }},
	v2String("Language", func(m *metadata) string { return m.Language }),
	{"LastUpdated", "Edm.DateTime", func(e *v2Entity, _ links) odata.Value { return e.created() }},
	{"Published", "Edm.DateTime", func(e *v2Entity, _ links) odata.Value { return published(e.version) }},
	{"PackageHash", "Edm.String", func(e *v2Entity, _ links) odata.Value { return e.hash() }},
	{"PackageHashAlgorithm", "Edm.String", func(*v2Entity, links) odata.Value { return "SHA512" }},
	{"PackageSize", "Edm.Int64", func(e *v2Entity, _ links) odata.Value { return float64(e.file().Size) }},
	v2String("ProjectUrl", func(m *metadata) string { return feed.WebURL(m.ProjectURL) }),
	{"ReportAbuseUrl", "Edm.String", func(*v2Entity, links) odata.Value { return nil }},
	v2String("ReleaseNotes", func(m *metadata) string { return m.ReleaseNotes }),
	{"RequireLicenseAcceptance", "Edm.Boolean", func(e *v2Entity, _ links) odata.Value { return e.meta.RequireLicenseAcceptance }},
	v2String("Summary", func(m *metadata) string { return m.Summary }),
	{"Tags", "Edm.String", func(e *v2Entity, _ links) odata.Value { return orNull(strings.Join(e.meta.Tags, " ")) }},
	{"Title", "Edm.String", func(e *v2Entity, _ links) odata.Value { return e.title() }},
	{"VersionDownloadCount", "Edm.Int64", func(e *v2Entity, _ links) odata.Value { return float64(e.version.Downloads) }},
	v2String("MinClientVersion", func(m *metadata) string { return m.MinClientVersion }),
	{"LastEdited", "Edm.DateTime", func(*v2Entity, links) odata.Value { return nil }},
	{"LicenseUrl", "Edm.String", func(e *v2Entity, l links) odata.Value {
		return orNull(l.license(e.meta, e.pkg.Key, e.version.Key))
	}},
	v2String("LicenseNames", func(m *metadata) string { return m.LicenseExpression }),
	{"LicenseReportUrl", "Edm.String", func(*v2Entity, links) odata.Value { return nil }},
}

// property returns the value that filters and orders use. Listed is no longer a column,
// but is still supported.
func (e *v2Entity) property(name string) (odata.Value, bool) {
	if name == "Listed" {
		return e.version.Status.Listed, true
	}
	for _, p := range v2Properties {
		if p.name == name {
			return p.value(e, links{}), true
		}
	}
	return nil, false
}

// A versionText is a version as filters and orders compare it: clients query ranges of
// versions, and write the same version in several ways.
type versionText struct{ text, key string }

var _ odata.Ordered = versionText{}

// String implements odata.Ordered.
func (v versionText) String() string { return v.text }

// Compare implements odata.Ordered by NuGet's order.
func (v versionText) Compare(other odata.Value) (int, bool) {
	switch other := other.(type) {
	case versionText:
		return compareVersions(v.key, other.key), true
	case string:
		return compareVersions(v.key, versionKey(other)), true
	}
	return 0, false
}

// compare orders two entities by a property.
func (e *v2Entity) compare(other *v2Entity, property string) int {
	a, _ := e.property(property)
	b, _ := other.property(property)
	if a == nil || b == nil { // null comes first
		return boolRank(a != nil) - boolRank(b != nil)
	}
	order, _ := odata.Compare(a, b)
	return order
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (e *v2Entity) normal() string {
	if v, ok := parseVersion(e.version.Version); ok {
		return v.normal()
	}
	return e.version.Version
}

func (e *v2Entity) title() string {
	if e.meta.Title != "" {
		return e.meta.Title
	}
	return e.version.Name
}

func (e *v2Entity) created() time.Time { return e.version.Published.UTC().Truncate(time.Millisecond) }

func (e *v2Entity) file() proget.File {
	if len(e.version.Files) == 0 {
		return proget.File{}
	}
	return e.version.Files[0]
}

func (e *v2Entity) hash() odata.Value {
	sum, err := hex.DecodeString(e.file().Digests[proget.SHA512])
	if err != nil || len(sum) == 0 {
		return nil
	}
	return base64.StdEncoding.EncodeToString(sum)
}

// v2Dependencies returns "id:range:framework|…"; a framework without dependencies is
// "::framework".
func v2Dependencies(m *metadata) string {
	var all []string
	clean := func(s string) string { return strings.NewReplacer(":", "", "|", "").Replace(s) }
	for _, g := range m.DependencyGroups {
		framework := clean(g.TargetFramework)
		if len(g.Dependencies) == 0 && framework != "" {
			all = append(all, "::"+framework)
		}
		for _, d := range g.Dependencies {
			text := ""
			if r, ok := parseRange(d.Range); ok {
				text = r.String()
			}
			all = append(all, clean(d.ID)+":"+text+":"+framework)
		}
	}
	return strings.Join(all, "|")
}
