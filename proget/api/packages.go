package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A packageID is how a query names a version.
type packageID struct {
	name, version string
	qualifier     string // distinguishes a file from others of its version: "file=lib-1.0.tar.gz"
}

// readPackageID parses a query: a package URL, or name, version and, if the type has
// them, group and qualifier.
func readPackageID(q url.Values, t *feed.Type) (id packageID, err error) {
	if purl := q.Get("purl"); purl != "" {
		return parsePURL(purl, t)
	}
	id = packageID{t.Naming.Join(q.Get("group"), q.Get("name")), q.Get("version"), q.Get("qualifier")}
	if q.Get("name") == "" || id.version == "" {
		return id, proget.Errorf(proget.ErrInvalid, "Name the package, as in ?name=NAME&version=VERSION or ?purl=PURL.")
	}
	return id, nil
}

// parsePURL parses pkg:type/group/name@version?qualifier, after the query's own escapes
// were removed.
func parsePURL(purl string, t *feed.Type) (id packageID, err error) {
	invalid := func() (packageID, error) {
		return id, proget.Errorf(proget.ErrInvalid, "%.200q is not a package URL of a %s feed: use the form pkg:%s/name@1.0.0.", purl, t.Title, t.PURLType())
	}
	rest, ok := strings.CutPrefix(purl, "pkg:"+t.PURLType()+"/")
	rest, _, _ = strings.Cut(rest, "#")
	rest, id.qualifier, _ = strings.Cut(rest, "?")
	at := strings.LastIndexByte(rest, '@') // an npm scope contains one, too
	if !ok || at < 1 {
		return invalid()
	}
	full, err := url.PathUnescape(strings.Trim(rest[:at], "/"))
	if err != nil {
		return invalid()
	}
	if id.version, err = url.PathUnescape(rest[at+1:]); err != nil || id.version == "" {
		return invalid()
	}
	i := strings.LastIndexByte(full, '/')
	id.name = t.Naming.Join(full[:max(i, 0)], full[i+1:])
	return id, nil
}

// formatPURL returns a version's package URL.
func formatPURL(t *feed.Type, v *proget.Version, qualifier string) string {
	group, name := t.Naming.Split(v.Name)
	path := append(strings.FieldsFunc(group, func(r rune) bool { return r == '/' }), name)
	for i := range path {
		path[i] = escapePURL(path[i])
	}
	purl := "pkg:" + t.PURLType() + "/" + strings.Join(path, "/") + "@" + escapePURL(v.Version)
	if qualifier != "" {
		purl += "?" + qualifier
	}
	return purl
}

func escapePURL(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// fileOf returns the file of a version that the qualifier names. Without a qualifier,
// it returns the first file, or an error if several could be meant.
func fileOf(t *feed.Type, v *proget.Version, qualifier string) (proget.File, error) {
	switch {
	case len(v.Files) == 0:
		return proget.File{}, proget.Errorf(proget.ErrNotFound, "%s %s has no file.", v.Name, v.Version)
	case qualifier == "" && t.Naming.Parted && len(v.Files) > 1:
		return proget.File{}, proget.Errorf(proget.ErrInvalid, "%s %s has %d files: say which one, as in &qualifier=file%%3DNAME.", v.Name, v.Version, len(v.Files))
	case qualifier == "":
		return v.Files[0], nil
	}
	name, err := fileName(qualifier)
	if err != nil {
		return proget.File{}, err
	}
	i := slices.IndexFunc(v.Files, func(file proget.File) bool { return strings.EqualFold(file.Name, name) })
	if i < 0 {
		return proget.File{}, proget.Errorf(proget.ErrNotFound, "%s %s has no file %.200s.", v.Name, v.Version, name)
	}
	return v.Files[i], nil
}

// fileName returns the name of the file that a qualifier names; "" without a qualifier.
func fileName(qualifier string) (string, error) {
	if qualifier == "" {
		return "", nil
	}
	q, err := url.ParseQuery(qualifier)
	if err != nil || len(q) != 1 || q.Get("file") == "" {
		return "", proget.Errorf(proget.ErrInvalid, "The qualifier %.200q names no file: use one as in file=NAME, or none.", qualifier)
	}
	return q.Get("file"), nil
}

// tellPackages answers the first request that ProGet's client makes about a feed.
func (a *api) tellPackages(w http.ResponseWriter, c *call) error {
	t, err := feed.TypeOf(a.Types, c.feed)
	if err != nil {
		return err
	}
	feed.WriteJSON(w, http.StatusOK, struct {
		ID          int64  `json:"id"`
		Name        string `json:"name"`
		FeedType    string `json:"feedType"`
		PackageType string `json:"packageType"`
	}{c.feed.ID, c.feed.Name, c.feed.Type, t.PURLType()})
	return nil
}

// versionInfo is a version in a list, or one of its files.
type versionInfo struct {
	PURL              string    `json:"purl"`
	Group             string    `json:"group,omitempty"`
	Name              string    `json:"name"`
	Version           string    `json:"version"`
	Qualifier         string    `json:"qualifier,omitempty"`
	TotalDownloads    int64     `json:"totalDownloads"` // of all versions of the package
	Downloads         int64     `json:"downloads"`
	Published         time.Time `json:"published"`
	PublishedBy       string    `json:"publishedBy,omitempty"`
	Size              int64     `json:"size"`
	Listed            bool      `json:"listed"`
	MD5               string    `json:"md5,omitempty"`
	SHA1              string    `json:"sha1,omitempty"`
	SHA256            string    `json:"sha256,omitempty"`
	SHA512            string    `json:"sha512,omitempty"`
	AllowDownload     *bool     `json:"allowDownload,omitempty"` // false or absent
	Deprecated        bool      `json:"deprecated"`
	DeprecationReason string    `json:"deprecationReason,omitempty"`
}

func newVersionInfo(t *feed.Type, v *proget.Version, file proget.File) versionInfo {
	info := versionInfo{Version: v.Version, Downloads: v.Downloads, Published: v.Published, PublishedBy: v.PublishedBy,
		Size: file.Size, Listed: v.Status.Listed, Deprecated: v.Status.Deprecated != "", DeprecationReason: v.Status.Deprecated,
		MD5: file.Digests[proget.MD5], SHA1: file.Digests[proget.SHA1], SHA256: file.Digests[proget.SHA256], SHA512: file.Digests[proget.SHA512]}
	info.Group, info.Name = t.Naming.Split(v.Name)
	if t.Naming.Parted {
		info.Qualifier = "file=" + escapePURL(file.Name)
	}
	info.PURL = formatPURL(t, v, info.Qualifier)
	if v.Status.Blocked {
		info.AllowDownload = new(bool)
	}
	return info
}

// newest returns the newest version or, with stable, the newest stable one; nil if
// there is none. It prefers versions that are listed and not blocked.
func newest(p *feed.Package, stable bool) *proget.Version {
	fits := func(v *proget.Version) bool { return !stable || !v.Prerelease }
	return p.Latest(func(v *proget.Version) bool { return fits(v) && feed.AllowedListed(v) }, fits)
}

// listLatest lists the newest version of each package, or of the package that the query
// names.
func (a *api) listLatest(w http.ResponseWriter, c *call) error {
	t, err := feed.TypeOf(a.Types, c.feed)
	if err != nil {
		return err
	}
	stable := strings.EqualFold(c.URL.Query().Get("stableOnly"), "true")
	return a.listPackages(w, c, t, func(p *feed.Package) []*proget.Version {
		if v := newest(t.Front(p), stable); v != nil {
			return []*proget.Version{v}
		}
		return nil
	})
}

// listVersions lists versions, newest first: those of the package or the group that the
// query names, or of the whole feed.
func (a *api) listVersions(w http.ResponseWriter, c *call) error {
	t, err := feed.TypeOf(a.Types, c.feed)
	if err != nil {
		return err
	}
	version := c.URL.Query().Get("version")
	return a.listPackages(w, c, t, func(p *feed.Package) (some []*proget.Version) {
		for _, v := range slices.Backward(p.Versions) {
			if version == "" || v.Key == t.VersionKey(version) {
				some = append(some, v)
			}
		}
		return some
	})
}

// packagesPage is how many packages a list reads at a time.
const packagesPage = 200

// listPackages lists versions of the packages that the query selects; pick chooses the
// versions of each.
func (a *api) listPackages(w http.ResponseWriter, c *call, t *feed.Type, pick func(*feed.Package) []*proget.Version) error {
	q := c.URL.Query()
	if q.Get("name") != "" {
		return a.listPackage(w, c, t, t.Naming.Join(q.Get("group"), q.Get("name")), pick)
	}
	if err := a.lists.Enter(c.Context(), "lists of whole feeds"); err != nil {
		return err
	}
	defer a.lists.Leave()
	page, err := a.Catalog.List(c.Context(), c.feed, "", packagesPage)
	if err != nil {
		return err
	}
	list := newVersionList(w, t)
	if c.Method == http.MethodHead {
		return nil
	}
	group := strings.TrimPrefix(q.Get("group"), "@")
	for len(page) > 0 {
		for _, p := range page {
			if in, _ := t.Naming.Split(p.Name); group == "" || strings.EqualFold(strings.TrimPrefix(in, "@"), group) {
				list.add(p, pick(p))
			}
		}
		if page, err = a.Catalog.List(c.Context(), c.feed, page[len(page)-1].Key, packagesPage); err != nil {
			if c.Context().Err() == nil {
				a.Logger.WarnContext(c.Context(), "a list of packages was cut short", "feed", c.feed.Name, "error", err)
			}
			panic(http.ErrAbortHandler) // a partial list must not look complete
		}
	}
	list.end()
	return nil
}

// listPackage lists versions of one package. For ProGet's clients, a package that does
// not exist is an empty list, not an error.
func (a *api) listPackage(w http.ResponseWriter, c *call, t *feed.Type, name string, pick func(*feed.Package) []*proget.Version) error {
	p, err := a.Catalog.Package(c.Context(), c.feed, t.NameKey(name))
	if err != nil && !errors.Is(err, proget.ErrNotFound) {
		return err
	}
	list := newVersionList(w, t)
	if err == nil {
		list.add(p, pick(p))
	}
	list.end()
	return nil
}

// A versionList writes a JSON array. It ignores write errors, which mean that the
// client went away.
type versionList struct {
	out  *bufio.Writer
	typ  *feed.Type
	some bool
}

func newVersionList(w http.ResponseWriter, t *feed.Type) *versionList {
	w.Header().Set("Content-Type", feed.JSONType)
	w.Header().Set("Cache-Control", "no-store")
	return &versionList{out: bufio.NewWriter(w), typ: t}
}

func (l *versionList) add(p *feed.Package, versions []*proget.Version) {
	total := int64(0)
	for _, v := range p.Versions {
		total += v.Downloads
	}
	for _, v := range versions {
		files := v.Files[:min(1, len(v.Files))]
		if l.typ.Naming.Parted {
			files = v.Files
		}
		for _, file := range files {
			info := newVersionInfo(l.typ, v, file)
			info.TotalDownloads = total
			l.item(info)
		}
	}
}

func (l *versionList) item(info versionInfo) {
	before := byte('[')
	if l.some {
		before = ','
	}
	l.some = true
	text, _ := json.Marshal(info) // contains only text, numbers and times from the database
	_ = l.out.WriteByte(before)
	_, _ = l.out.Write(text)
}

func (l *versionList) end() {
	if !l.some {
		_ = l.out.WriteByte('[')
	}
	_, _ = l.out.WriteString("]\n")
	_ = l.out.Flush()
}

// downloadPackage sends a file of the named version, or of the newest.
func (a *api) downloadPackage(w http.ResponseWriter, c *call) error {
	t, err := feed.TypeOf(a.Types, c.feed)
	if err != nil {
		return err
	}
	id, err := readPackageID(c.URL.Query(), t)
	if err != nil {
		return err
	}
	v, err := a.findVersion(c, t, id)
	if err != nil {
		return err
	}
	if err := feed.CheckAllowed(v); err != nil {
		return err
	}
	file, err := fileOf(t, v, id.qualifier)
	if err != nil {
		return err
	}
	if err := t.CheckWhole(v, file); err != nil {
		return err
	}
	return a.Files.Serve(w, &feed.Request{Request: c.Request, Feed: c.feed, Principal: c.id.Principal}, v, file, "application/octet-stream")
}

// findVersion returns the version with that number, or the newest for words such as
// "latest".
func (a *api) findVersion(c *call, t *feed.Type, id packageID) (*proget.Version, error) {
	p, err := a.Catalog.Package(c.Context(), c.feed, t.NameKey(id.name))
	if err != nil {
		return nil, err
	}
	switch id.version {
	case "latest", "latest-stable":
		if v := newest(t.Front(p), true); v != nil {
			return v, nil
		}
		return nil, proget.Errorf(proget.ErrNotFound, "%s has no stable version.", p.Name)
	case "latest-unstable":
		return newest(t.Front(p), false), nil
	}
	return p.Version(t.VersionKey(id.version))
}
