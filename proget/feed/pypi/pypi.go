// Package pypi serves Python packages to pip, uv and twine. It follows the PyPA's
// specifications (packaging.python.org/specifications): "Simple repository API" (PEP
// 503, 592, 629, 658, 691, 700 and 714), "Core metadata", "Binary distribution format"
// (PEP 427), "Source distribution format" (PEP 625 and 721) and "Version specifiers"
// (PEP 440); and PyPI's own description of its "Upload API" and "JSON API".
//
// A version has several files, each published separately: wheels and source
// distributions. A file's description comes from the metadata in it, never from the
// upload form: otherwise clients would resolve dependencies by one and install the
// other. Files are stored byte for byte.
//
// Names are compared in PEP 503's normal form, and versions in PEP 440's without the
// zeros at the end of the release: 1.0 and 1.0.0 are the same version.
//
// A yanked version is one that is deprecated, with the reason, or unlisted, without a
// reason.
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
		Form:       &feed.Form{Accept: ".whl,.tar.gz,.zip", Hint: "A wheel or a source distribution, with its original file name."},
		WriteError: feed.WriteText,
	}
}

// readData decodes what inspect stored.
func readData(v *proget.Version) (d data) {
	_ = json.Unmarshal(v.Manifest, &d) // inspect encoded it
	return d
}

// facts returns the description in one of the version's files: a wheel if there is one,
// since an sdist may not know its dependencies until it is built.
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

// author returns the names of the authors, which may be part of their e-mail addresses.
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

// keywords splits text at commas or, as in older metadata, at spaces.
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

// projectURL returns the home page. In newer metadata it is one of the links,
// identified by its label as in "Well-known Project URLs in Metadata".
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

// readme returns the description as Markdown. Other markup is shown verbatim.
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

// requirement matches a line of Requires-Dist: "Dependency specifiers" in the PyPA's
// specifications, from PEP 508.
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
	if strings.Contains(version, "!") { // an epoch, whose "!" shells interpret
		version = "'" + version + "'"
	}
	what := " install " + version + " --index-url " + base + "/" + simplePath
	return []feed.Instruction{{Tool: "pip", Command: "pip" + what}, {Tool: "uv", Command: "uv pip" + what}}
}
