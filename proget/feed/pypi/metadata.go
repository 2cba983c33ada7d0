package pypi

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
)

// Bounds of core metadata.
const (
	maxMetadata = 2 << 20 // of METADATA or PKG-INFO, in bytes
	maxFields   = 5000
	maxLine     = 500 // of what an index's page contains, in bytes
)

// metadata is METADATA of a wheel or PKG-INFO of an sdist, as the PyPA's "Core
// metadata specifications" describe it.
type metadata struct {
	fields map[string][]string // by name in lower case
	body   string              // the description, in versions from 2.1

	name    string
	version version
}

// parseMetadata parses core metadata and validates what everything else relies on.
func parseMetadata(text []byte) (*metadata, error) {
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, proget.Errorf(proget.ErrInvalid, "The file's metadata is not UTF-8 text.")
	}
	m := &metadata{fields: make(map[string][]string)}
	if err := m.parse(string(text)); err != nil {
		return nil, err
	}
	for _, name := range []string{"metadata-version", "name", "version"} {
		if len(m.fields[name]) != 1 {
			return nil, proget.Errorf(proget.ErrInvalid, "The file's metadata has %d lines with the field %s and must have one.", len(m.fields[name]), name)
		}
	}
	if len(m.fields["requires-python"]) > 1 { // clients differ in which one they use
		return nil, proget.Errorf(proget.ErrInvalid, "The file's metadata has more than one Requires-Python.")
	}
	if python := m.requiresPython(); len(python) > maxLine || strings.ContainsAny(python, "\n\r") {
		return nil, proget.Errorf(proget.ErrInvalid, "Requires-Python in the file's metadata is not one line of up to %d bytes.", maxLine)
	}
	major, _, _ := strings.Cut(m.text("metadata-version"), ".")
	if major != "1" && major != "2" {
		return nil, proget.Errorf(proget.ErrInvalid, "The file's metadata has version %.20q, which is not supported: use 1.0 to 2.x.", m.text("metadata-version"))
	}
	m.name = m.text("name")
	if err := checkName(m.name); err != nil {
		return nil, err
	}
	declared := m.text("version")
	var ok bool
	if m.version, ok = parseVersion(declared); !ok || len(declared) > maxVersion {
		return nil, proget.Errorf(proget.ErrInvalid, "The version %.60q in the file's metadata is not a PEP 440 version such as 1.2.3 or 2.0rc1, or is longer than %d bytes.", declared, maxVersion)
	}
	return m, nil
}

// parse splits the text as Python's email.parser does, which clients use: the body
// begins at the first line that is neither a header nor the continuation of one.
func (m *metadata) parse(text string) error {
	rest := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	var name string
	var lines []string
	end := func() {
		if name != "" {
			m.fields[name] = append(m.fields[name], unfold(lines))
		}
	}
	count := 0
	for rest != "" {
		line, after, _ := strings.Cut(rest, "\n")
		switch {
		case line != "" && (line[0] == ' ' || line[0] == '\t'):
			lines = append(lines, line)
		case line == "":
			end()
			m.body = after
			return nil
		case !isHeader(line):
			end()
			m.body = rest
			return nil
		default:
			if count++; count > maxFields {
				return proget.Errorf(proget.ErrInvalid, "The file's metadata has more than %d fields.", maxFields)
			}
			end()
			field, value, _ := strings.Cut(line, ":")
			name, lines = strings.ToLower(field), []string{value}
		}
		rest = after
	}
	end()
	return nil
}

// isHeader reports whether a line begins with printable characters and a colon.
func isHeader(line string) bool {
	colon := strings.IndexByte(line, ':')
	return colon > 0 && !strings.ContainsFunc(line[:colon], func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// unfold joins the lines of a field. The lines of a description are indented by eight
// columns, of which the last may be a bar.
func unfold(lines []string) string {
	for i, line := range lines[1:] {
		if trimmed, ok := strings.CutPrefix(line, "       |"); ok {
			line = trimmed
		} else {
			for n := 0; n < 8 && line != "" && line[0] == ' '; n++ {
				line = line[1:]
			}
		}
		lines[i+1] = line
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// text returns the first value of a field. It treats UNKNOWN, which older tools wrote,
// as "".
func (m *metadata) text(name string) string {
	if values := m.fields[name]; len(values) > 0 && values[0] != "UNKNOWN" {
		return values[0]
	}
	return ""
}

func (m *metadata) requiresPython() string { return m.text("requires-python") }

// data is what the database stores of a version: the metadata of its newest file,
// except what differs from file to file.
type data struct {
	MetadataVersion   string   `json:"metadataVersion"`
	Summary           string   `json:"summary,omitempty"`
	Description       string   `json:"description,omitempty"`
	DescriptionType   string   `json:"descriptionType,omitempty"`
	Keywords          string   `json:"keywords,omitempty"`
	HomePage          string   `json:"homePage,omitempty"`
	DownloadURL       string   `json:"downloadURL,omitempty"`
	Author            string   `json:"author,omitempty"`
	AuthorEmail       string   `json:"authorEmail,omitempty"`
	Maintainer        string   `json:"maintainer,omitempty"`
	MaintainerEmail   string   `json:"maintainerEmail,omitempty"`
	License           string   `json:"license,omitempty"`
	LicenseExpression string   `json:"licenseExpression,omitempty"`
	LicenseFiles      []string `json:"licenseFiles,omitempty"`
	Classifiers       []string `json:"classifiers,omitempty"`
	ProjectURLs       []string `json:"projectURLs,omitempty"` // "label, URL"
	Platforms         []string `json:"platforms,omitempty"`
	Dynamic           []string `json:"dynamic,omitempty"`
}

// fileData is what the database stores of a file.
type fileData struct {
	Type           string   `json:"type"`   // wheelType or sdistType
	Python         string   `json:"python"` // the Python tag, such as "py3"; "source" for an sdist
	RequiresPython string   `json:"requiresPython,omitempty"`
	RequiresDist   []string `json:"requiresDist,omitempty"`
	ProvidesExtra  []string `json:"providesExtra,omitempty"`
	Metadata       string   `json:"metadata,omitempty"` // SHA-256 of a wheel's METADATA
	BLAKE2         string   `json:"blake2,omitempty"`   // BLAKE2b digest of 256 bits, if the upload was a form

	digests proget.Digests // of the file; set during inspection only
}

func (m *metadata) data() data {
	d := data{
		MetadataVersion: m.text("metadata-version"), Summary: m.text("summary"), Description: m.body, DescriptionType: m.text("description-content-type"),
		Keywords: m.text("keywords"), HomePage: m.text("home-page"), DownloadURL: m.text("download-url"),
		Author: m.text("author"), AuthorEmail: m.text("author-email"), Maintainer: m.text("maintainer"), MaintainerEmail: m.text("maintainer-email"),
		License: m.text("license"), LicenseExpression: m.text("license-expression"), LicenseFiles: m.fields["license-file"],
		Classifiers: m.fields["classifier"], ProjectURLs: m.fields["project-url"], Platforms: m.fields["platform"], Dynamic: m.fields["dynamic"],
	}
	if strings.TrimSpace(d.Description) == "" {
		d.Description = m.text("description")
	}
	return d
}
