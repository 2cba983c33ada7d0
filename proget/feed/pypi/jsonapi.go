package pypi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A document is a project or a version in PyPI's "JSON API". Fields without a source
// here are omitted or have PyPI's value for nothing.
type document struct {
	Info            info                      `json:"info"`
	Releases        map[string][]documentFile `json:"releases,omitempty"` // for a project
	URLs            []documentFile            `json:"urls"`
	Vulnerabilities []any                     `json:"vulnerabilities"`
}

type info struct {
	Name                   string            `json:"name"`
	Version                string            `json:"version"`
	Summary                string            `json:"summary"`
	Description            string            `json:"description"`
	DescriptionContentType *string           `json:"description_content_type"`
	Keywords               string            `json:"keywords"`
	Author                 string            `json:"author"`
	AuthorEmail            string            `json:"author_email"`
	Maintainer             string            `json:"maintainer"`
	MaintainerEmail        string            `json:"maintainer_email"`
	License                string            `json:"license"`
	LicenseExpression      *string           `json:"license_expression"`
	LicenseFiles           []string          `json:"license_files"`
	Classifiers            []string          `json:"classifiers"`
	HomePage               string            `json:"home_page"`
	DownloadURL            string            `json:"download_url"`
	ProjectURL             string            `json:"project_url"`
	PackageURL             string            `json:"package_url"`
	ReleaseURL             string            `json:"release_url"`
	ProjectURLs            map[string]string `json:"project_urls"`
	Platform               *string           `json:"platform"`
	Dynamic                []string          `json:"dynamic"`
	RequiresPython         string            `json:"requires_python"`
	RequiresDist           []string          `json:"requires_dist"`
	ProvidesExtra          []string          `json:"provides_extra"`
	Yanked                 bool              `json:"yanked"`
	YankedReason           *string           `json:"yanked_reason"`
}

type documentFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Size           int64             `json:"size"`
	Digests        map[string]string `json:"digests"`
	MD5Digest      string            `json:"md5_digest"`
	PackageType    string            `json:"packagetype"`
	PythonVersion  string            `json:"python_version"`
	RequiresPython *string           `json:"requires_python"`
	Metadata       any               `json:"core-metadata"` // false, or hashes
	UploadTime     string            `json:"upload_time"`
	UploadTimeISO  string            `json:"upload_time_iso_8601"`
	CommentText    string            `json:"comment_text"`
	Downloads      int               `json:"downloads"` // always -1
	HasSig         bool              `json:"has_sig"`
	Yanked         bool              `json:"yanked"`
	YankedReason   *string           `json:"yanked_reason"`
}

// json serves the document of a project or of one of its versions.
func (h *handler) json(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.find(r, rt.name)
	if err != nil {
		return err
	}
	v := newest(p)
	if rt.arg != "" {
		if v, err = p.Version(versionKey(rt.arg)); err != nil {
			return err
		}
	}
	if v == nil || v.Status.Blocked {
		return proget.Errorf(proget.ErrNotFound, "%s %s is blocked.", p.Name, rt.arg)
	}
	key := "json " + r.Base
	if rt.arg != "" {
		key = "json of " + v.Key + " " + r.Base
	}
	doc, err := p.Document(key, jsonType, func() ([]byte, error) { return renderDocument(r.Base, p, v, rt.arg == "") })
	if err != nil {
		return fmt.Errorf("render %s %s: %w", v.Name, v.Version, err)
	}
	doc.Serve(w, r.Request)
	return nil
}

// newest returns the version that people see: preferably one that is not yanked, and a
// final version before a prerelease.
func newest(p *feed.Package) *proget.Version {
	good := func(v *proget.Version) bool { _, is := yanked(v); return !is && feed.Allowed(v) }
	final := func(v *proget.Version) bool { return good(v) && !v.Prerelease }
	return p.Latest(final, good, feed.Allowed)
}

func renderDocument(base string, p *feed.Package, v *proget.Version, project bool) ([]byte, error) {
	doc := document{Info: newInfo(base, p, v), URLs: []documentFile{}, Vulnerabilities: []any{}}
	if project {
		doc.Releases = make(map[string][]documentFile)
	}
	each(p, func(of *proget.Version, f proget.File, d fileData) {
		if of != v && !project {
			return
		}
		file := newDocumentFile(base, p, of, f, d)
		if project {
			doc.Releases[of.Version] = append(doc.Releases[of.Version], file)
		}
		if of == v {
			doc.URLs = append(doc.URLs, file)
		}
	})
	return json.Marshal(doc)
}

func newDocumentFile(base string, p *feed.Package, v *proget.Version, f proget.File, d fileData) documentFile {
	added := f.Added.UTC().Format(timeFormat)
	seconds, _, _ := strings.Cut(added, ".")
	file := documentFile{Filename: f.Name, URL: fileURL(base, p.Key, f.Name), Size: f.Size, MD5Digest: f.Digests[proget.MD5],
		Digests:     map[string]string{"sha256": f.Digests[proget.SHA256], "md5": f.Digests[proget.MD5]},
		PackageType: d.Type, PythonVersion: d.Python, RequiresPython: orNull(d.RequiresPython), Metadata: false,
		UploadTime: seconds, UploadTimeISO: added, Downloads: -1}
	if d.BLAKE2 != "" {
		file.Digests["blake2b_256"] = d.BLAKE2
	}
	if d.Metadata != "" {
		file.Metadata = map[string]string{"sha256": d.Metadata}
	}
	reason, is := yanked(v)
	file.Yanked, file.YankedReason = is, orNull(reason)
	return file
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func newInfo(base string, p *feed.Package, v *proget.Version) info {
	d, file := readData(v), facts(v)
	page := base + "/" + simplePath + "/" + p.Key + "/"
	i := info{Name: v.Name, Version: v.Version, Summary: d.Summary, Description: d.Description, DescriptionContentType: orNull(d.DescriptionType),
		Keywords: d.Keywords, Author: d.Author, AuthorEmail: d.AuthorEmail, Maintainer: d.Maintainer, MaintainerEmail: d.MaintainerEmail,
		License: d.License, LicenseExpression: orNull(d.LicenseExpression), LicenseFiles: d.LicenseFiles, Classifiers: d.Classifiers,
		HomePage: d.HomePage, DownloadURL: d.DownloadURL, ProjectURL: page, PackageURL: page, ReleaseURL: page, ProjectURLs: projectURLs(d),
		Platform: orNull(strings.Join(d.Platforms, ",")), Dynamic: d.Dynamic,
		RequiresPython: file.RequiresPython, RequiresDist: file.RequiresDist, ProvidesExtra: file.ProvidesExtra}
	if i.Classifiers == nil {
		i.Classifiers = []string{}
	}
	reason, is := yanked(v)
	i.Yanked, i.YankedReason = is, orNull(reason)
	return i
}

// projectURLs returns a version's links by label, or nil.
func projectURLs(d data) map[string]string {
	var urls map[string]string
	for _, line := range d.ProjectURLs {
		label, to, ok := strings.Cut(line, ",")
		if !ok {
			continue
		}
		if urls == nil {
			urls = make(map[string]string)
		}
		urls[strings.TrimSpace(label)] = strings.TrimSpace(to)
	}
	return urls
}
