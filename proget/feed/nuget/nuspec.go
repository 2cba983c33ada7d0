package nuget

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const maxIDLength = 100 // NuGet's own

var errDTD = errors.New("document type declarations are not allowed")

// The nuspec types mirror the file. Element names match in any namespace, because
// NuGet's several schemas differ only in it. Elements that decide identity are slices,
// so that duplicates can be refused.
type (
	nuspec struct {
		XMLName  xml.Name         `xml:"package"`
		Metadata []nuspecMetadata `xml:"metadata"`
	}
	nuspecMetadata struct {
		MinClientVersion         string              `xml:"minClientVersion,attr"`
		ID                       []string            `xml:"id"`
		Version                  []string            `xml:"version"`
		Title                    string              `xml:"title"`
		Authors                  string              `xml:"authors"`
		Owners                   string              `xml:"owners"`
		Description              string              `xml:"description"`
		Summary                  string              `xml:"summary"`
		ReleaseNotes             string              `xml:"releaseNotes"`
		Copyright                string              `xml:"copyright"`
		Language                 string              `xml:"language"`
		Tags                     string              `xml:"tags"`
		ProjectURL               string              `xml:"projectUrl"`
		IconURL                  string              `xml:"iconUrl"`
		Icon                     string              `xml:"icon"`
		LicenseURL               string              `xml:"licenseUrl"`
		License                  nuspecLicense       `xml:"license"`
		Readme                   string              `xml:"readme"`
		RequireLicenseAcceptance string              `xml:"requireLicenseAcceptance"`
		DevelopmentDependency    string              `xml:"developmentDependency"`
		PackageTypes             []packageType       `xml:"packageTypes>packageType"`
		Dependencies             nuspecDependencies  `xml:"dependencies"`
		FrameworkAssemblies      []frameworkAssembly `xml:"frameworkAssemblies>frameworkAssembly"`
		Repository               *repository         `xml:"repository"`
	}
	nuspecLicense struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	}
	nuspecDependencies struct {
		Flat   []dependency      `xml:"dependency"`
		Groups []dependencyGroup `xml:"group"`
	}
)

// parseNuspec parses a .nuspec, or returns an error that says what is wrong with it.
func parseNuspec(text []byte) (*metadata, error) {
	n, err := decodeNuspec(text)
	switch {
	case errors.Is(err, errDTD):
		return nil, proget.Errorf(proget.ErrInvalid, "The .nuspec contains a document type declaration (<!DOCTYPE>), which is not allowed; remove it.")
	case err != nil:
		return nil, proget.WrapError(proget.ErrInvalid, err, "The .nuspec cannot be read: %s.", err)
	case len(n.Metadata) != 1:
		return nil, proget.Errorf(proget.ErrInvalid, "The .nuspec must have one <metadata> element; it has %d.", len(n.Metadata))
	}
	return n.Metadata[0].check()
}

func decodeNuspec(text []byte) (*nuspec, error) {
	text, err := toUTF8(text)
	if err != nil {
		return nil, err
	}
	raw := xml.NewDecoder(bytes.NewReader(text))
	raw.CharsetReader = charsetReader
	n := new(nuspec)
	if err := xml.NewTokenDecoder(guard{raw}).Decode(n); err != nil {
		return nil, err
	}
	return n, nil
}

// guard passes on a decoder's tokens, but refuses document type declarations. Go
// expands no entities, but other readers of the same file do.
type guard struct{ *xml.Decoder }

func (g guard) Token() (xml.Token, error) {
	t, err := g.RawToken()
	if d, ok := t.(xml.Directive); ok && err == nil {
		return nil, fmt.Errorf("<!%.20s: %w", d, errDTD)
	}
	return t, err
}

// toUTF8 recognises UTF-16 by its byte order mark or first character. Old tools on
// Windows wrote it.
func toUTF8(text []byte) ([]byte, error) {
	order := unicode.LittleEndian
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return text[3:], nil
	case bytes.HasPrefix(text, []byte("\xfe\xff")), bytes.HasPrefix(text, []byte("\x00<")):
		order = unicode.BigEndian
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("<\x00")):
	default:
		return text, nil
	}
	return unicode.UTF16(order, unicode.UseBOM).NewDecoder().Bytes(text)
}

// charsetReader supports the encodings that an XML declaration may name besides UTF-8.
// For UTF-16, toUTF8 has already done the work.
func charsetReader(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-16", "utf-16le", "utf-16be", "unicode", "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "latin1", "windows-1252":
		return charmap.Windows1252.NewDecoder().Reader(in), nil
	}
	return nil, fmt.Errorf("its encoding %q is not supported, save it as UTF-8", label)
}

// check validates the fields that decide identity or that clients depend on.
func (n *nuspecMetadata) check() (*metadata, error) {
	id, err := single("id", n.ID)
	if err != nil {
		return nil, err
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	text, err := single("version", n.Version)
	if err != nil {
		return nil, err
	}
	v, ok := parseVersion(text)
	if !ok || len(text) > feed.MaxVersion {
		return nil, proget.Errorf(proget.ErrInvalid, "The .nuspec's version %.100q is not a valid NuGet version such as 1.2.3 or 1.2.3-beta.1.", text)
	}
	if err := n.checkRest(); err != nil {
		return nil, err
	}
	m := n.metadata(id, text)
	m.SemVer2 = v.semVer2() || m.dependsOnSemVer2()
	return m, nil
}

func single(element string, values []string) (string, error) {
	if len(values) != 1 {
		return "", proget.Errorf(proget.ErrInvalid, "The .nuspec must have one <%s> element; it has %d.", element, len(values))
	}
	return strings.TrimSpace(values[0]), nil
}

// checkID allows what NuGet allows, but only ASCII letters and digits, like nuget.org:
// other scripts have letters that look the same, and clients lower-case them
// differently.
func checkID(id string) error {
	if len(id) > maxIDLength {
		return proget.Errorf(proget.ErrInvalid, "The package id is longer than %d characters.", maxIDLength)
	}
	wordBefore := false
	for _, c := range []byte(id) {
		word := isWord(c)
		if !word && (c != '.' && c != '-' || !wordBefore) {
			wordBefore = false
			break
		}
		wordBefore = word
	}
	if !wordBefore {
		return proget.Errorf(proget.ErrInvalid, "The package id %q is not valid: use the letters A to Z, digits and underscores, with single dots or hyphens between them.", id)
	}
	return nil
}

func (n *nuspecMetadata) checkRest() error {
	if s := strings.TrimSpace(n.MinClientVersion); s != "" {
		if _, ok := parseVersion(s); !ok {
			return proget.Errorf(proget.ErrInvalid, "The .nuspec's minClientVersion %.100q is not a version.", s)
		}
	}
	for _, t := range n.PackageTypes {
		if strings.TrimSpace(t.Name) == "" {
			return proget.Errorf(proget.ErrInvalid, "The .nuspec has a <packageType> without a name.")
		}
	}
	for _, g := range n.dependencyGroups() {
		for _, d := range g.Dependencies {
			if strings.TrimSpace(d.ID) == "" {
				return proget.Errorf(proget.ErrInvalid, "The .nuspec has a <dependency> without an id.")
			}
		}
	}
	return nil
}

// dependencyGroups ignores the flat list if there are groups, as clients do.
func (n *nuspecMetadata) dependencyGroups() []dependencyGroup {
	if len(n.Dependencies.Groups) > 0 {
		return n.Dependencies.Groups
	}
	if len(n.Dependencies.Flat) > 0 {
		return []dependencyGroup{{Dependencies: n.Dependencies.Flat}}
	}
	return nil
}

func (n *nuspecMetadata) metadata(id, version string) *metadata {
	m := &metadata{
		ID:                       id,
		Version:                  version,
		Title:                    strings.TrimSpace(n.Title),
		Authors:                  strings.TrimSpace(n.Authors),
		Owners:                   strings.TrimSpace(n.Owners),
		Description:              strings.TrimSpace(n.Description),
		Summary:                  strings.TrimSpace(n.Summary),
		ReleaseNotes:             strings.TrimSpace(n.ReleaseNotes),
		Copyright:                strings.TrimSpace(n.Copyright),
		Language:                 strings.TrimSpace(n.Language),
		Tags:                     splitTags(n.Tags),
		ProjectURL:               strings.TrimSpace(n.ProjectURL),
		IconURL:                  strings.TrimSpace(n.IconURL),
		Icon:                     strings.TrimSpace(n.Icon),
		LicenseURL:               strings.TrimSpace(n.LicenseURL),
		RequireLicenseAcceptance: isTrue(n.RequireLicenseAcceptance),
		DevelopmentDependency:    isTrue(n.DevelopmentDependency),
		MinClientVersion:         strings.TrimSpace(n.MinClientVersion),
		PackageTypes:             n.PackageTypes,
		DependencyGroups:         n.dependencyGroups(),
		FrameworkAssemblies:      n.FrameworkAssemblies,
		Repository:               n.Repository,
		ReadmeFile:               strings.TrimSpace(n.Readme),
	}
	m.setLicense(n.License)
	return m
}

func (m *metadata) setLicense(l nuspecLicense) {
	text := strings.TrimSpace(l.Text)
	switch strings.ToLower(strings.TrimSpace(l.Type)) {
	case "expression":
		m.LicenseExpression = text
	case "file":
		m.LicenseFile = text
	}
}

func (m *metadata) dependsOnSemVer2() bool {
	for _, g := range m.DependencyGroups {
		for _, d := range g.Dependencies {
			if r, ok := parseRange(d.Range); ok && r.semVer2() {
				return true
			}
		}
	}
	return false
}

func isTrue(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "true") }
