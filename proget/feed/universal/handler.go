package universal

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxList bounds the entries of one list.
const maxList = 1000

// maxCounted bounds the packages whose versions meta counts. For a larger feed, it
// omits the number of versions.
const maxCounted = 2000

type handler struct {
	services feed.Services
	fetcher  *fetcher
	flights  *flights
}

var _ feed.Handler = (*handler)(nil)

// Operation implements feed.Handler.
func (h *handler) Operation(r *feed.Request) feed.Operation { return parse(r.Method, r.Path).action }

// ServeFeed implements feed.Handler.
func (h *handler) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	rt := parse(r.Method, r.Path)
	switch rt.action {
	case listPackages:
		return h.packages(w, r)
	case listVersions:
		return h.versions(w, r)
	case download:
		return h.download(w, r, rt)
	case downloadFile:
		return h.downloadFile(w, r, rt)
	case upload:
		return h.upload(w, r, rt)
	case remove:
		return h.remove(w, r, rt)
	case meta:
		return h.meta(w, r)
	case search:
		return h.search(w, r)
	case downloadVirtual:
		return h.downloadVirtual(w, r, rt)
	case importPackage:
		return h.importPackage(w, r)
	}
	known := func(method string) bool { return parse(method, r.Path).action != unknown }
	return feed.Unknown(w, r.Request, known, "universal feeds have packages, versions, download and upload.")
}

// packageDocument is a package in a list.
type packageDocument struct {
	Group         string   `json:"group"`
	Name          string   `json:"name"`
	LatestVersion string   `json:"latestVersion"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Downloads     int64    `json:"downloads"`
	IsLocal       bool     `json:"isLocal"`
	IsCached      bool     `json:"isCached"`
	Versions      []string `json:"versions"`
}

// versionDocument is a version in a list.
type versionDocument struct {
	Group       string    `json:"group"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	IsLocal     bool      `json:"isLocal"`
	IsCached    bool      `json:"isCached"`
	IsVirtual   bool      `json:"isVirtual"`
	SHA1        string    `json:"sha1"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	Downloads   int64     `json:"downloads"`
	Published   time.Time `json:"published"`
	Size        int64     `json:"size"`
	FileList    []entry   `json:"fileList,omitempty"`
}

// entry is a file within a package.
type entry struct {
	Name string    `json:"name"`
	Size uint64    `json:"size"`
	Date time.Time `json:"date"`
}

// latest returns the newest version that is not blocked. It prefers listed versions to
// unlisted ones, and stable ones first.
func latest(p *feed.Package) (*proget.Version, error) {
	if v := p.Latest(feed.AllowedStable, feed.AllowedListed, feed.Allowed); v != nil {
		return v, nil
	}
	return nil, proget.Errorf(proget.ErrNotFound, "All versions of %s are blocked.", p.Name)
}

// availableVersions returns up to limit versions that are not blocked, newest first.
func availableVersions(p *feed.Package, limit int) []*proget.Version {
	versions := slices.DeleteFunc(slices.Clone(p.Versions), func(v *proget.Version) bool { return !feed.Allowed(v) })
	slices.Reverse(versions)
	return versions[:min(limit, len(versions))]
}

func describePackage(p *feed.Package) (packageDocument, error) {
	newest, err := latest(p)
	if err != nil {
		return packageDocument{}, err
	}
	m := readManifest(newest)
	d := packageDocument{Group: m.Group, Name: m.Name, LatestVersion: newest.Version, Title: m.Title, Description: m.Description, IsLocal: true}
	for _, v := range p.Versions {
		d.Downloads += v.Downloads
	}
	for _, v := range availableVersions(p, len(p.Versions)) {
		if v.Status.Listed {
			d.Versions = append(d.Versions, v.Version)
		}
	}
	return d, nil
}

func describeVersion(v *proget.Version) versionDocument {
	m, file := readManifest(v), v.Files[0]
	if isVirtual(v) {
		file, _ = constructed(v) // unknown until somebody has requested the package
	}
	return versionDocument{Group: m.Group, Name: m.Name, Version: v.Version, IsLocal: true, IsVirtual: isVirtual(v), SHA1: file.Digests[proget.SHA1],
		Title: m.Title, Description: m.Description, Downloads: v.Downloads, Published: v.Published, Size: file.Size}
}

// count reads the limit that the client asks for.
func count(r *feed.Request) (int, error) {
	text := r.URL.Query().Get("count")
	if text == "" {
		return maxList, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, proget.Errorf(proget.ErrInvalid, "count is %.20q; give a number, as in count=100.", text)
	}
	return min(n, maxList), nil
}

// queryName joins the group and the name in the query.
func queryName(r *feed.Request) string {
	q := r.URL.Query()
	if q.Get("group") == "" || q.Get("name") == "" {
		return q.Get("name")
	}
	return q.Get("group") + "/" + q.Get("name")
}

func (h *handler) packages(w http.ResponseWriter, r *feed.Request) error {
	if name := queryName(r); name != "" {
		p, err := h.find(r, name)
		if err != nil {
			return err
		}
		d, err := describePackage(p)
		if err != nil {
			return err
		}
		return feed.ServeJSON(w, r, feed.JSONType, d)
	}
	limit, err := count(r)
	if err != nil {
		return err
	}
	list := []packageDocument{}
	err = h.each(r, func(p *feed.Package) bool {
		if d, err := describePackage(p); err == nil && len(list) < limit {
			list = append(list, d)
		}
		return len(list) < limit
	})
	if err != nil {
		return err
	}
	return feed.ServeJSON(w, r, feed.JSONType, list)
}

func (h *handler) find(r *feed.Request, name string) (*feed.Package, error) {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, strings.ToLower(name))
	if errors.Is(err, proget.ErrNotFound) {
		return nil, proget.WrapError(proget.ErrNotFound, err, "There is no package %.300s in feed %s.", name, r.Feed.Name)
	}
	return p, err
}

func (h *handler) versions(w http.ResponseWriter, r *feed.Request) error {
	limit, err := count(r)
	if err != nil {
		return err
	}
	name, q := queryName(r), r.URL.Query()
	if name == "" {
		return h.allVersions(w, r, limit)
	}
	p, err := h.find(r, name)
	if err != nil {
		return err
	}
	if q.Get("version") != "" {
		v, err := namedVersion(p, q.Get("version"))
		if err != nil {
			return err
		}
		d := describeVersion(v)
		if q.Get("includeFileList") == "true" {
			d.FileList, err = h.entries(r, v)
		}
		if err != nil {
			return err
		}
		return feed.ServeJSON(w, r, feed.JSONType, d)
	}
	list := []versionDocument{}
	for _, v := range availableVersions(p, limit) {
		list = append(list, describeVersion(v))
	}
	return feed.ServeJSON(w, r, feed.JSONType, list)
}

// allVersions lists the versions of all packages, or of those in a group.
func (h *handler) allVersions(w http.ResponseWriter, r *feed.Request, limit int) error {
	list := []versionDocument{}
	err := h.each(r, func(p *feed.Package) bool {
		for _, v := range availableVersions(p, limit-len(list)) {
			list = append(list, describeVersion(v))
		}
		return len(list) < limit
	})
	if err != nil {
		return err
	}
	return feed.ServeJSON(w, r, feed.JSONType, list)
}

// each calls fn for the packages of the feed, or of the group that the query names,
// until fn returns false.
func (h *handler) each(r *feed.Request, fn func(*feed.Package) bool) error {
	group := strings.ToLower(r.URL.Query().Get("group"))
	for after := ""; ; {
		page, err := h.services.Packages.List(r.Context(), r.Feed, after, 200)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			if after = p.Key; group != "" && strings.ToLower(readManifest(p.Versions[0]).Group) != group {
				continue
			}
			if !fn(p) {
				return nil
			}
		}
	}
}

func (h *handler) entries(r *feed.Request, v *proget.Version) ([]entry, error) {
	a, content, err := h.openPackage(r, v)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	var list []entry
	for i, f := range a.File {
		list = append(list, entry{a.Names[i], f.UncompressedSize64, f.Modified.UTC()})
	}
	return list, nil
}

func (h *handler) meta(w http.ResponseWriter, r *feed.Request) error {
	hits, err := h.services.Search.Search(r.Context(), r.Feed, feed.Query{Prerelease: true, Take: 1})
	if err != nil {
		return err
	}
	answer := map[string]any{
		"apiVersion": "2.0.0", "name": r.Feed.Name, "description": r.Feed.Description, "packageCount": hits.Total,
		"services": []string{"packages", "versions", "download", "download-file", "download-vpack", "upload", "import", "delete", "search"},
	}
	packages, versions := 0, 0
	err = h.each(r, func(p *feed.Package) bool {
		packages++
		versions += len(availableVersions(p, len(p.Versions)))
		return packages <= maxCounted
	})
	if err != nil {
		return err
	}
	if packages <= maxCounted {
		answer["packageVersionCount"] = versions
	}
	return feed.ServeJSON(w, r, feed.JSONType, answer)
}

func (h *handler) search(w http.ResponseWriter, r *feed.Request) error {
	limit, err := count(r)
	if err != nil {
		return err
	}
	list := []packageDocument{}
	if limit == 0 {
		return feed.ServeJSON(w, r, feed.JSONType, list)
	}
	q := r.URL.Query()
	hits, err := h.services.Search.Search(r.Context(), r.Feed, feed.Query{Text: q.Get("query") + q.Get("term"), Prerelease: true, Take: limit})
	if err != nil {
		return err
	}
	for _, key := range hits.Keys {
		p, err := h.services.Packages.Package(r.Context(), r.Feed, key)
		if errors.Is(err, proget.ErrNotFound) {
			continue // the package was just deleted
		}
		if err != nil {
			return err
		}
		if d, err := describePackage(p); err == nil {
			list = append(list, d)
		}
	}
	return feed.ServeJSON(w, r, feed.JSONType, list)
}

func (h *handler) remove(w http.ResponseWriter, r *feed.Request, rt route) error {
	if rt.name == "" || rt.version == "" {
		return proget.Errorf(proget.ErrInvalid, "Name the version to delete: delete/[group/]name/version.")
	}
	ref := feed.Ref{Feed: r.Feed, NameKey: strings.ToLower(rt.name), VersionKey: versionKey(rt.version)}
	if err := h.services.Publisher.Delete(r.Context(), ref, r.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
