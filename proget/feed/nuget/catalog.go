package nuget

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/storage"
)

// The catalog is Catalog/3.0.0 of NuGet's server API
// (learn.microsoft.com/nuget/api/catalog-resource): paged documents, one for each
// change of a version, by which mirrors follow a feed.
//
// Its documents are stored with URLs relative to the catalog, because a feed may have
// several URLs, and are completed when they are served.
const (
	catalogKind  = "catalog"
	catalogIndex = "index.json"

	catalogPageSize = 550 // items, as on nuget.org
	catalogStep     = 400 // items in one commit of a rebuild; a commit is never split over pages

	// catalogEvery is the minimum time between commits: each rewrites the newest page.
	catalogEvery = 5 * time.Second
)

// catalogTime is the time of a commit. Commit times are unique and only grow.
type catalogTime struct{ time.Time }

// catalogLayout has as many digits as .NET's clock.
const catalogLayout = "2006-01-02T15:04:05.0000000Z"

func (t catalogTime) MarshalText() ([]byte, error) {
	return []byte(t.UTC().Format(catalogLayout)), nil
}

func (t *catalogTime) UnmarshalText(text []byte) (err error) {
	t.Time, err = time.Parse(catalogLayout, string(text))
	return err
}

type (
	commit struct {
		CommitID        string      `json:"commitId"`
		CommitTimeStamp catalogTime `json:"commitTimeStamp"`
	}
	catalogRoot struct {
		ID   string   `json:"@id"`
		Type []string `json:"@type"`
		commit
		Count int              `json:"count"`
		Items []catalogPageRef `json:"items"`
	}
	catalogPageRef struct {
		ID   string `json:"@id"`
		Type string `json:"@type"`
		commit
		Count int `json:"count"`
	}
	catalogPage struct {
		ID   string `json:"@id"`
		Type string `json:"@type"`
		commit
		Count  int           `json:"count"`
		Parent string        `json:"parent"`
		Items  []catalogItem `json:"items"`
	}
	catalogItem struct {
		ID   string `json:"@id"`
		Type string `json:"@type"`
		commit
		PackageID string `json:"nuget:id"`
		Version   string `json:"nuget:version"`
	}
	catalogLeaf struct {
		ID              string      `json:"@id"`
		Type            []string    `json:"@type"`
		CommitID        string      `json:"catalog:commitId"`
		CommitTimeStamp catalogTime `json:"catalog:commitTimeStamp"`
		PackageID       string      `json:"id"`
		Version         string      `json:"version"`
		Published       time.Time   `json:"published"`
	}
	catalogDetails struct {
		catalogLeaf
		Authors                  string        `json:"authors,omitempty"`
		Copyright                string        `json:"copyright,omitempty"`
		Created                  time.Time     `json:"created"`
		DependencyGroups         []entryGroup  `json:"dependencyGroups,omitempty"`
		Deprecation              *deprecation  `json:"deprecation,omitempty"`
		Description              string        `json:"description,omitempty"`
		IconFile                 string        `json:"iconFile,omitempty"`
		IconURL                  string        `json:"iconUrl,omitempty"`
		IsPrerelease             bool          `json:"isPrerelease"`
		Language                 string        `json:"language,omitempty"`
		LicenseExpression        string        `json:"licenseExpression,omitempty"`
		LicenseFile              string        `json:"licenseFile,omitempty"`
		LicenseURL               string        `json:"licenseUrl,omitempty"`
		Listed                   bool          `json:"listed"`
		MinClientVersion         string        `json:"minClientVersion,omitempty"`
		PackageHash              string        `json:"packageHash"`
		PackageHashAlgorithm     string        `json:"packageHashAlgorithm"`
		PackageSize              int64         `json:"packageSize"`
		PackageTypes             []packageType `json:"packageTypes,omitempty"`
		ProjectURL               string        `json:"projectUrl,omitempty"`
		ReadmeFile               string        `json:"readmeFile,omitempty"`
		ReleaseNotes             string        `json:"releaseNotes,omitempty"`
		Repository               *repository   `json:"repository,omitempty"`
		RequireLicenseAcceptance bool          `json:"requireLicenseAcceptance"`
		Summary                  string        `json:"summary,omitempty"`
		Tags                     []string      `json:"tags,omitempty"`
		Title                    string        `json:"title,omitempty"`
		VerbatimVersion          string        `json:"verbatimVersion"`
	}
)

const (
	typeDetails = "PackageDetails"
	typeDelete  = "PackageDelete"
)

func catalogOf(s feed.Services) repoindex.Index {
	return repoindex.Index{Kind: catalogKind, Every: catalogEvery,
		Build: func(ctx context.Context, b *repoindex.Build) (*repoindex.Generation, error) {
			c, err := openCatalog(b)
			if err != nil {
				return nil, err
			}
			if b.Entries == nil {
				return c.addAll(ctx, s.Packages)
			}
			return c.addChanges(ctx, s.Packages)
		}}
}

// catalogBuilder makes one commit.
type catalogBuilder struct {
	*repoindex.Build
	root   catalogRoot
	commit commit
	items  []catalogItem
	leaves []any // one document per item
}

// openCatalog reads the present catalog. If it cannot be read, a new one begins, which
// reports all versions to mirrors once more.
func openCatalog(b *repoindex.Build) (*catalogBuilder, error) {
	c := &catalogBuilder{Build: b, root: catalogRoot{ID: catalogIndex, Type: []string{"CatalogRoot", "AppendOnlyCatalog", "Permalink"}}}
	if err := c.load(catalogIndex, &c.root); err != nil && !(b.State == "" && errors.Is(err, errUnreadable)) {
		return nil, err
	}
	now := time.Now().UTC().Truncate(100 * time.Nanosecond)
	if last := c.root.CommitTimeStamp.Time; !now.After(last) { // another node's clock is ahead of this one's
		now = last.Add(100 * time.Nanosecond)
	}
	c.commit = commit{uuid.NewString(), catalogTime{now}}
	if b.State == "" {
		c.root.Items = nil
	}
	return c, nil
}

// errUnreadable requests a new catalog, too.
var errUnreadable = fmt.Errorf("the catalog cannot be read: %w", repoindex.ErrRebuild)

func (c *catalogBuilder) load(name string, document any) error {
	text, err := c.Read(name)
	if err == nil {
		err = json.Unmarshal(text, document)
	} else if !errors.Is(err, proget.ErrNotFound) && !errors.Is(err, storage.ErrDamaged) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return nil
}

// addChanges adds the present state of the versions that changed. Of several changes of
// one version, only the last counts.
func (c *catalogBuilder) addChanges(ctx context.Context, packages feed.Packages) (*repoindex.Generation, error) {
	type version struct{ id, key string }
	seen := make(map[version]bool)
	for _, e := range c.Entries {
		v := version{e.PackageKey, e.VersionKey}
		if e.Change == proget.VersionMoved || e.Change == proget.VersionEdited || v.key == "" || seen[v] {
			continue // the version was moved, or symbols joined it: the package itself is unchanged
		}
		seen[v] = true
		if err := c.addVersion(ctx, packages, v.id, v.key, e.At); err != nil {
			return nil, err
		}
	}
	return c.generation("caught up")
}

func (c *catalogBuilder) addVersion(ctx context.Context, packages feed.Packages, id, key string, at time.Time) error {
	p, err := packages.Package(ctx, c.Feed, id)
	if err == nil {
		v, err := p.Version(key)
		if err == nil && feed.Allowed(v) {
			return c.addDetails(v)
		}
	} else if !errors.Is(err, proget.ErrNotFound) {
		return err
	}
	leaf := c.add(typeDelete, id, key, at.UTC())
	c.leaves = append(c.leaves, leaf)
	return nil
}

// addAll adds all versions, ordered by package name, in several commits. The state
// names the last version added.
func (c *catalogBuilder) addAll(ctx context.Context, packages feed.Packages) (*repoindex.Generation, error) {
	lastID, lastVersion, _ := strings.Cut(c.State, " ")
	if lastID != "" {
		p, err := packages.Package(ctx, c.Feed, lastID)
		if err != nil && !errors.Is(err, proget.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			if full, err := c.addSome(p, lastVersion); full || err != nil {
				return c.more(p, err)
			}
		}
	}
	for {
		some, err := packages.List(ctx, c.Feed, lastID, 100)
		if err != nil {
			return nil, err
		}
		for _, p := range some {
			if full, err := c.addSome(p, ""); full || err != nil {
				return c.more(p, err)
			}
			lastID = p.Key
		}
		if len(some) < 100 {
			return c.generation("caught up")
		}
	}
}

// addSome adds the versions of a package after the given one, and reports whether the
// commit is full.
func (c *catalogBuilder) addSome(p *feed.Package, after string) (full bool, err error) {
	for _, v := range p.Versions {
		if len(c.items) == catalogStep {
			return true, nil
		}
		if !feed.Allowed(v) || after != "" && compareVersions(v.Key, after) <= 0 {
			continue
		}
		if err := c.addDetails(v); err != nil {
			return false, err
		}
	}
	return false, nil
}

// more ends a commit in the middle of a package.
func (c *catalogBuilder) more(p *feed.Package, err error) (*repoindex.Generation, error) {
	if err != nil {
		return nil, err
	}
	last := c.items[len(c.items)-1]
	state := p.Key + " "
	if nameKey(last.PackageID) == p.Key {
		state += versionKey(last.Version)
	}
	g, err := c.generation(state)
	if err == nil {
		g.More = true
	}
	return g, err
}

func (c *catalogBuilder) addDetails(v *proget.Version) error {
	m, err := decode(v)
	if err != nil {
		return err
	}
	file := v.Files[0]
	sum, err := hex.DecodeString(file.Digests[proget.SHA512])
	if err != nil {
		return fmt.Errorf("read the digest of %s %s: %w", v.Name, v.Version, err)
	}
	c.leaves = append(c.leaves, catalogDetails{
		catalogLeaf:              c.add(typeDetails, v.Name, fullVersion(v.Version), published(v)),
		Authors:                  m.Authors,
		Copyright:                m.Copyright,
		Created:                  v.Published.UTC().Truncate(time.Millisecond),
		DependencyGroups:         entryGroups(m, func(string) string { return "" }),
		Deprecation:              newDeprecation(v.Status),
		Description:              m.Description,
		IconFile:                 m.Icon,
		IconURL:                  feed.WebURL(m.IconURL),
		IsPrerelease:             v.Prerelease,
		Language:                 m.Language,
		LicenseExpression:        m.LicenseExpression,
		LicenseFile:              m.LicenseFile,
		LicenseURL:               m.licenseLink(),
		Listed:                   v.Status.Listed,
		MinClientVersion:         m.MinClientVersion,
		PackageHash:              base64.StdEncoding.EncodeToString(sum),
		PackageHashAlgorithm:     "SHA512",
		PackageSize:              file.Size,
		PackageTypes:             m.PackageTypes,
		ProjectURL:               feed.WebURL(m.ProjectURL),
		ReadmeFile:               m.ReadmeFile,
		ReleaseNotes:             m.ReleaseNotes,
		Repository:               m.Repository,
		RequireLicenseAcceptance: m.RequireLicenseAcceptance,
		Summary:                  m.Summary,
		Tags:                     m.Tags,
		Title:                    m.Title,
		VerbatimVersion:          m.Version,
	})
	return nil
}

// add creates a document's entry. Its URL is unique because the commit's time is.
func (c *catalogBuilder) add(kind, id, version string, published time.Time) catalogLeaf {
	l := catalogLeaf{
		ID:              documentName(c.commit.CommitTimeStamp.Time, nameKey(id)+"."+versionKey(version)),
		Type:            []string{kind, "catalog:Permalink"},
		CommitID:        c.commit.CommitID,
		CommitTimeStamp: c.commit.CommitTimeStamp,
		PackageID:       id,
		Version:         version,
		Published:       published,
	}
	c.items = append(c.items, catalogItem{l.ID, "nuget:" + kind, c.commit, id, version})
	return l
}

// documentName returns the name of a document of a version in a commit. A hash takes the
// place of what would be too long.
func documentName(commit time.Time, version string) string {
	format := "data/" + commit.Format("2006.01.02.15.04.05.0000000") + "/%s.json"
	if name := fmt.Sprintf(format, version); len(name) <= repoindex.MaxName {
		return name
	}
	return fmt.Sprintf(format, fmt.Sprintf("%x", sha256.Sum256([]byte(version))))
}

// generation writes the documents of the commit. Documents of versions stay for ever;
// the newest page and the index are replaced by the next commit and share a separate
// object.
func (c *catalogBuilder) generation(state string) (*repoindex.Generation, error) {
	if len(c.items) == 0 && c.Entries != nil {
		return nil, nil
	}
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	g := &repoindex.Generation{State: state}
	for i, item := range c.items {
		if err := addDocument(g, item.ID, "versions", c.leaves[i]); err != nil {
			return nil, err
		}
	}
	page.Items = append(page.Items, c.items...)
	if page.Count = len(page.Items); page.Count > 0 {
		c.refer(page)
		if err := addDocument(g, page.ID, "pages", page); err != nil {
			return nil, err
		}
	}
	c.root.commit, c.root.Count = c.commit, len(c.root.Items)
	if err := addDocument(g, catalogIndex, "pages", c.root); err != nil {
		return nil, err
	}
	if c.State != "" {
		g.Ended = []string{page.ID, catalogIndex}
	}
	return g, nil
}

// page returns the page for the commit, which is never split.
func (c *catalogBuilder) page() (*catalogPage, error) {
	n := len(c.root.Items)
	p := &catalogPage{ID: fmt.Sprintf("page%d.json", n), Type: "CatalogPage", Parent: catalogIndex, commit: c.commit}
	if n == 0 || c.root.Items[n-1].Count+len(c.items) > catalogPageSize {
		return p, nil
	}
	last := c.root.Items[n-1].ID
	if err := c.load(last, p); err != nil {
		return nil, err
	}
	p.ID, p.commit = last, c.commit
	return p, nil
}

func (c *catalogBuilder) refer(p *catalogPage) {
	ref := catalogPageRef{p.ID, p.Type, p.commit, p.Count}
	if n := len(c.root.Items); n > 0 && c.root.Items[n-1].ID == p.ID {
		c.root.Items[n-1] = ref
	} else {
		c.root.Items = append(c.root.Items, ref)
	}
}

func addDocument(g *repoindex.Generation, name, object string, document any) error {
	text, err := marshal(document)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	g.Files = append(g.Files, repoindex.File{Name: name, Object: object, Body: bytes.NewReader(text)})
	return nil
}
