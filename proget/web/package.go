package web

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// packageView is one version of a package.
type packageView struct {
	Feed      *proget.Feed
	Version   *proget.Version
	Summary   feed.Summary
	Website   string
	License   string
	About     template.HTML // the readme, or the description
	Install   []feed.Instruction
	Files     []fileRow
	Versions  []versionRow
	Downloads int64
	Manage    bool
	StatusURL string
	DeleteURL string
}

type fileRow struct {
	proget.File
	URL string
}

type versionRow struct {
	*proget.Version
	URL     string
	Current bool
}

// openVersion returns the version that the query names, or the newest.
func (s *site) openVersion(v *visit, task proget.Task) (*proget.Feed, *feed.Type, *feed.Package, *proget.Version, error) {
	f, t, err := s.openFeed(v, task)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	q := v.URL.Query()
	p, err := s.Catalog.Package(v.Context(), f, t.NameKey(q.Get("name")))
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if q.Get("version") == "" {
		latest := p.Latest(func(v *proget.Version) bool { return v.Status.Listed && !v.Prerelease })
		if latest == nil {
			latest = p.Versions[len(p.Versions)-1]
		}
		return f, t, p, latest, nil
	}
	version, err := p.Version(t.VersionKey(q.Get("version")))
	return f, t, p, version, err
}

func (s *site) showPackage(v *visit) error {
	f, t, p, version, err := s.openVersion(v, proget.TaskView)
	if err != nil {
		return err
	}
	view := packageView{Feed: f, Version: version, Summary: t.Summary(version), Install: t.Install(s.endpoint(v, t, f), f, version)}
	view.Website = webURL(view.Summary.ProjectURL)
	if view.License = view.Summary.License; len(view.License) > 200 {
		view.License = ""
	}
	about := view.Summary.Readme
	if about == "" {
		about = view.Summary.Description
	}
	if view.About, err = markdown(about); err != nil {
		return err
	}
	if view.Manage, err = s.may(v, proget.TaskManage, f); err != nil {
		return err
	}
	base, query := "/feeds/"+url.PathEscape(f.Name), versionQuery(version.Name, version.Version)
	view.StatusURL, view.DeleteURL = base+"/status?"+query, base+"/delete?"+query
	for _, file := range version.Files {
		q := url.Values{"name": {version.Name}, "version": {version.Version}, "file": {file.Name}}
		view.Files = append(view.Files, fileRow{file, base + "/download?" + q.Encode()})
	}
	for _, each := range slices.Backward(p.Versions) {
		view.Downloads += each.Downloads
		view.Versions = append(view.Versions, versionRow{each, packageURL(f, each.Name, each.Version), each == version})
	}
	return s.render(v, http.StatusOK, page{name: "package", title: version.Name + " " + version.Version, section: "feeds", view: view})
}

// download sends a file of a version.
func (s *site) download(v *visit) error {
	f, t, _, version, err := s.openVersion(v, proget.TaskView)
	if err != nil {
		return err
	}
	if version.Status.Blocked {
		return proget.Errorf(proget.ErrNotFound, "%s %s is blocked.", version.Name, version.Version)
	}
	name := v.URL.Query().Get("file")
	i := slices.IndexFunc(version.Files, func(file proget.File) bool { return file.Name == name })
	if i < 0 {
		return proget.Errorf(proget.ErrNotFound, "%s %s has no file %s.", version.Name, version.Version, name)
	}
	r := &feed.Request{Request: v.client, Feed: f, Base: s.endpoint(v, t, f), Principal: v.id.Principal}
	return s.Files.Serve(v.w, r, version, version.Files[i], "application/octet-stream")
}
