package nuget

import (
	"net/http"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// pageSize is how many versions a registration's index contains itself. More are split
// into pages of that size, so that a client that needs one version of hundreds does not
// load them all.
const pageSize = 64

type (
	registrationDocument struct {
		ID    string     `json:"@id"`
		Type  []string   `json:"@type"`
		Count int        `json:"count"`
		Items []pageItem `json:"items"`
	}
	pageItem struct {
		ID     string     `json:"@id"`
		Type   string     `json:"@type"`
		Count  int        `json:"count"`
		Items  []leafItem `json:"items,omitempty"`
		Parent string     `json:"parent,omitempty"`
		Lower  string     `json:"lower"`
		Upper  string     `json:"upper"`
	}
	leafItem struct {
		ID             string       `json:"@id"`
		Type           string       `json:"@type"`
		CatalogEntry   catalogEntry `json:"catalogEntry"`
		PackageContent string       `json:"packageContent"`
		Registration   string       `json:"registration"`
	}
	leafDocument struct {
		ID             string    `json:"@id"`
		Type           []string  `json:"@type"`
		Listed         bool      `json:"listed"`
		PackageContent string    `json:"packageContent"`
		Published      time.Time `json:"published"`
		Registration   string    `json:"registration"`
	}
)

// A registration renders one package for one hive and base URL.
type registration struct {
	links
	hive     hive
	id       string // the name key
	versions []*proget.Version
}

func (h *handler) registrationIndex(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, rt.id)
	if err != nil {
		return err
	}
	key := "registration index " + string(rt.hive) + " " + r.Base
	return serveDocument(w, r, p, key, func() ([]byte, error) {
		reg, err := newRegistration(p, r.Base, rt.hive)
		if err != nil {
			return nil, err
		}
		return reg.renderIndex()
	})
}

// registrationPage serves any bounds, not only those in the present index, because a
// client may still hold an older index. It keeps only pages of the present index, since
// there is no limit to the others.
func (h *handler) registrationPage(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, rt.id)
	if err != nil {
		return err
	}
	reg, err := newRegistration(p, r.Base, rt.hive)
	if err != nil {
		return err
	}
	versions, key := reg.find(rt.lower, rt.upper)
	if len(versions) == 0 || len(versions) > 2*pageSize {
		return proget.Errorf(proget.ErrNotFound, "The registration of %s has no page from %s to %s.", p.Name, rt.lower, rt.upper)
	}
	return serveDocument(w, r, p, key, func() ([]byte, error) { return reg.renderPage(versions) })
}

func (h *handler) registrationLeaf(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, v, err := h.find(r.Context(), r.Feed, rt)
	if err != nil {
		return err
	}
	if rt.hive == semVer1Hive && needsSemVer2(v) {
		return proget.Errorf(proget.ErrNotFound, "%s %s is for clients that understand SemVer 2.0.0.", v.Name, v.Key)
	}
	reg := &registration{links: links{r.Base}, hive: rt.hive, id: rt.id}
	key := "registration leaf " + string(rt.hive) + " " + v.Key + " " + r.Base
	return serveDocument(w, r, p, key, func() ([]byte, error) { return marshal(reg.leaf(v)) })
}

func newRegistration(p *feed.Package, base string, h hive) (*registration, error) {
	reg := &registration{links: links{base}, hive: h, id: p.Key}
	for _, v := range p.Versions {
		if feed.Allowed(v) && (h == semVer2Hive || !needsSemVer2(v)) {
			reg.versions = append(reg.versions, v)
		}
	}
	if len(reg.versions) == 0 {
		return nil, proget.Errorf(proget.ErrNotFound, "%s has no version for this client.", p.Name)
	}
	return reg, nil
}

// pages returns the versions split into pages, oldest first.
func (reg *registration) pages() [][]*proget.Version {
	var pages [][]*proget.Version
	rest := reg.versions
	for len(rest) > pageSize {
		pages = append(pages, rest[:pageSize])
		rest = rest[pageSize:]
	}
	return append(pages, rest)
}

// find returns the versions between two bounds. If they are a page of the index, it
// also returns the document's key.
func (reg *registration) find(lower, upper string) ([]*proget.Version, string) {
	for _, page := range reg.pages() {
		if page[0].Key == lower && page[len(page)-1].Key == upper {
			return page, "registration page " + string(reg.hive) + " " + lower + " " + upper + " " + reg.base
		}
	}
	return reg.between(lower, upper), ""
}

func (reg *registration) between(lower, upper string) []*proget.Version {
	var found []*proget.Version
	for _, v := range reg.versions {
		if compareVersions(lower, v.Key) <= 0 && compareVersions(v.Key, upper) <= 0 {
			found = append(found, v)
		}
	}
	return found
}

func (reg *registration) renderIndex() ([]byte, error) {
	doc := registrationDocument{
		ID:   reg.links.index(reg.hive, reg.id),
		Type: []string{"catalog:CatalogRoot", "PackageRegistration", "catalog:Permalink"},
	}
	pages := reg.pages()
	for _, versions := range pages {
		page, err := reg.page(versions, len(pages) == 1)
		if err != nil {
			return nil, err
		}
		doc.Items = append(doc.Items, page)
	}
	doc.Count = len(doc.Items)
	return marshal(doc)
}

func (reg *registration) renderPage(versions []*proget.Version) ([]byte, error) {
	page, err := reg.page(versions, true)
	if err != nil {
		return nil, err
	}
	return marshal(page)
}

// page renders a page; leaves says whether to include its leaves.
func (reg *registration) page(versions []*proget.Version, leaves bool) (pageItem, error) {
	lower, upper := versions[0].Key, versions[len(versions)-1].Key
	page := pageItem{
		ID:    reg.links.page(reg.hive, reg.id, lower, upper),
		Type:  "catalog:CatalogPage",
		Count: len(versions),
		Lower: lower,
		Upper: upper,
	}
	if !leaves {
		return page, nil
	}
	page.Parent = reg.links.index(reg.hive, reg.id)
	for _, v := range versions {
		entry, err := reg.entry(v)
		if err != nil {
			return pageItem{}, err
		}
		page.Items = append(page.Items, leafItem{
			ID:             reg.links.leaf(reg.hive, reg.id, v.Key),
			Type:           "Package",
			CatalogEntry:   entry,
			PackageContent: reg.content(reg.id, v.Key),
			Registration:   reg.links.index(reg.hive, reg.id),
		})
	}
	return page, nil
}

func (reg *registration) leaf(v *proget.Version) leafDocument {
	return leafDocument{
		ID:             reg.links.leaf(reg.hive, reg.id, v.Key),
		Type:           []string{"Package", "catalog:Permalink"},
		Listed:         v.Status.Listed,
		PackageContent: reg.content(reg.id, v.Key),
		Published:      published(v),
		Registration:   reg.links.index(reg.hive, reg.id),
	}
}
