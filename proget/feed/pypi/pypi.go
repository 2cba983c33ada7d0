// Package pypi serves Python packages to pip, uv and twine. It follows the
// PyPA's specifications (packaging.python.org/specifications): "Simple repository
// API" (PEP 503, 592, 629, 658, 691, 700 and 714), "Core metadata", "Binary
// distribution format" (PEP 427), "Source distribution format" (PEP 625 and 721)
// and "Version specifiers" (PEP 440); and PyPI's own description of its "Upload
// API" and "JSON API".
//
// A version has several files, each published by itself: wheels and source
// distributions. What a file is comes from the metadata within it, never from
// the form with which it is uploaded: clients would resolve dependencies by the
// one and install the other. Files are kept byte for byte.
//
// Names are compared by PEP 503's normal form, and versions by PEP 440's without
// the zeros at the end of the release: 1.0 and 1.0.0 are one.
//
// A yanked version is one that is deprecated, with the reason, or unlisted,
// without.
package pypi

import (
	"encoding/json"
	"net/mail"
	"regexp"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// New returns the feed type "pypi".
func New() feed.Type {
	return feed.Type{
		Name: "pypi", Title: "PyPI", Start: simplePath,
		Algorithms: []proget.Algorithm{proget.MD5},
		NameKey:    nameKey, VersionKey: versionKey, CompareVersions: compareVersions,
		Naming:     feed.Naming{Parted: true},
		Operations: operations,
		Inspect:    inspect, Summary: summary, Install: install,
		Handler:    func(s feed.Services) feed.Handler { return &handler{s} },
		Form:       &feed.Form{Accept: ".whl,.tar.gz,.zip", Hint: "A wheel or a source distribution, under the name with which it was built."},
		WriteError: feed.WriteText,
	}
}

// readData decodes what inspect stored.
func readData(v *proget.Version) (d data) {
	_ = json.Unmarshal(v.Manifest, &d) // inspect encoded it
	return d
}

// facts are what the files of a version say of it, as one of them does: a wheel
// if there is any, since an sdist may know its dependencies only once it is built.
func facts(v *proget.Version) (best fileData) {
	for _, f := range v.Files {
		if d := readFileData(f); best.Type == "" || best.Type == sdistType && d.Type == wheelType {
			best = d
		}
	}
	return best
}

func summary(v *proget.Version) feed.Summary {
	d := readData(v)
	s := feed.Summary{Description: d.Summary, Authors: author(d), Tags: keywords(d.Keywords), ProjectURL: projectURL(d), License: license(d), Readme: readme(d)}
	for _, line := range facts(v).RequiresDist {
		s.Dependencies = append(s.Dependencies, dependency(line))
	}
	return s
}

func license(d data) string {
	if d.LicenseExpression != "" {
		return d.LicenseExpression
	}
	return d.License
}

// author returns the names of authors, which may be part of their addresses.
func author(d data) string {
	if d.Author != "" || d.AuthorEmail == "" {
		return d.Author
	}
	list, err := mail.ParseAddressList(d.AuthorEmail)
	if err != nil {
		return d.AuthorEmail
	}
	var names []string
	for _, a := range list {
		if a.Name != "" {
			names = append(names, a.Name)
		} else {
			names = append(names, a.Address)
		}
	}
	return strings.Join(names, ", ")
}

// keywords are separated by commas, or by spaces in older metadata.
func keywords(text string) []string {
	separator := func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }
	if strings.Contains(text, ",") {
		separator = func(r rune) bool { return r == ',' }
	}
	var tags []string
	for word := range strings.FieldsFuncSeq(text, separator) {
		if word = strings.TrimSpace(word); word != "" {
			tags = append(tags, word)
		}
	}
	return tags
}

// projectURL is the home page, which newer metadata has among the links, under a
// label that "Well-known Project URLs in Metadata" says how to read.
func projectURL(d data) string {
	if d.HomePage != "" {
		return d.HomePage
	}
	for _, line := range d.ProjectURLs {
		label, to, _ := strings.Cut(line, ",")
		if strings.EqualFold(notLetters.ReplaceAllString(label, ""), "homepage") {
			return strings.TrimSpace(to)
		}
	}
	return ""
}

var notLetters = regexp.MustCompile(`[^A-Za-z]+`)

// readme returns the description as Markdown: other markup is shown as it is.
func readme(d data) string {
	if strings.HasPrefix(strings.ToLower(d.DescriptionType), "text/markdown") || strings.TrimSpace(d.Description) == "" {
		return d.Description
	}
	fence := "```"
	for strings.Contains(d.Description, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(d.Description, "\n") + "\n" + fence
}

// requirement takes a line of Requires-Dist apart: "Dependency specifiers" of the
// PyPA's specifications, from PEP 508.
var requirement = regexp.MustCompile(`^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*([^;]*?)\s*(?:;\s*(.*))?$`)

func dependency(line string) feed.Dependency {
	parts := requirement.FindStringSubmatch(line)
	if parts == nil {
		return feed.Dependency{Name: line}
	}
	return feed.Dependency{Group: strings.TrimSpace(parts[4]), Name: parts[1], Range: strings.TrimSpace(parts[2] + " " + strings.Trim(parts[3], "()"))}
}

func install(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
	version := v.Name + "==" + v.Version
	if strings.Contains(version, "!") { // of an epoch, which shells take for something else
		version = "'" + version + "'"
	}
	what := " install " + version + " --index-url " + base + "/" + simplePath
	return []feed.Instruction{{Tool: "pip", Command: "pip" + what}, {Tool: "uv", Command: "uv pip" + what}}
}
