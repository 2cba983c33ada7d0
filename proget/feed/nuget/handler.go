package nuget

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"golang.org/x/sync/semaphore"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const jsonType = "application/json"

// handler serves NuGet's protocol.
type handler struct {
	services   feed.Services
	hardDelete bool

	// large bounds the answers of many entries that are prepared at once, each of which
	// takes tens of megabytes. unsent bounds the bytes of those that are being sent,
	// which takes as long as their clients like.
	large  feed.Gate
	unsent *semaphore.Weighted

	// indexes caches the service index for each base URL.
	indexes feed.Documents
}

var _ feed.Handler = (*handler)(nil)

// Operation implements feed.Handler.
func (h *handler) Operation(r *feed.Request) feed.Operation {
	return parseRequest(r.Mount, r.Method, r.Path).action
}

// ServeFeed implements feed.Handler.
func (h *handler) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	rt := parseRequest(r.Mount, r.Method, r.Path)
	switch rt.action {
	case symbolFile:
		return h.symbols(w, r, rt.file)
	case serviceIndex:
		return h.serviceIndex(w, r)
	case contentVersions:
		return h.contentVersions(w, r, rt)
	case contentPackage:
		return h.contentPackage(w, r, rt)
	case contentNuspec:
		return h.contentNuspec(w, r, rt)
	case contentReadme:
		return h.contentReadme(w, r, rt)
	case contentIcon:
		return h.contentIcon(w, r, rt)
	case contentLicense:
		return h.contentLicense(w, r, rt)
	case registrationIndex:
		return h.registrationIndex(w, r, rt)
	case registrationPage:
		return h.registrationPage(w, r, rt)
	case registrationLeaf:
		return h.registrationLeaf(w, r, rt)
	case catalogFile:
		return h.catalog(w, r, rt.file)
	case searchPackages:
		return h.search(w, r)
	case autocomplete:
		return h.autocomplete(w, r)
	case v2Service:
		return serveV2Service(w, r)
	case v2Metadata:
		return serveV2Metadata(w, r)
	case v2Packages, v2Find, v2Search, v2Updates:
		return h.v2List(w, r, rt)
	case v2Entry:
		return h.v2One(w, r, rt)
	case pushPackage:
		return h.push(w, r)
	case unlistVersion:
		return h.unlist(w, r, rt)
	case relistVersion:
		return h.relist(w, r, rt)
	}
	known := func(method string) bool { return parseRequest(r.Mount, method, r.Path).action != unknown }
	return feed.Unknown(w, r.Request, known, "NuGet clients start at "+r.Base+"/v3/index.json.")
}

// serviceIndex serves the entry point of the protocol. Each client looks for the newest
// resource name that it knows.
func (h *handler) serviceIndex(w http.ResponseWriter, r *feed.Request) error {
	doc, err := h.indexes.Document(r.Base, jsonType, func() ([]byte, error) {
		return marshal(renderServiceIndex(links{r.Base}))
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

type indexDocument struct {
	Version   string          `json:"version"`
	Resources []indexResource `json:"resources"`
}

type indexResource struct {
	ID            string `json:"@id"`
	Type          string `json:"@type"`
	ClientVersion string `json:"clientVersion,omitempty"` // the oldest client that may use the resource
	Comment       string `json:"comment,omitempty"`
}

func renderServiceIndex(l links) indexDocument {
	doc := indexDocument{Version: "3.0.0"}
	add := func(id, comment string, types ...string) {
		for _, t := range types {
			doc.Resources = append(doc.Resources, indexResource{ID: id, Type: t, Comment: comment})
		}
	}
	add(l.base+"/v3/flatcontainer/", "Package files and their manifests.", "PackageBaseAddress/3.0.0")
	add(l.base+"/v3/"+string(semVer1Hive)+"/", "Package metadata, without SemVer 2.0.0 packages.",
		"RegistrationsBaseUrl", "RegistrationsBaseUrl/3.0.0-beta", "RegistrationsBaseUrl/3.0.0-rc", "RegistrationsBaseUrl/3.4.0")
	add(l.base+"/v3/"+string(semVer2Hive)+"/", "Package metadata.",
		"RegistrationsBaseUrl/3.6.0", "RegistrationsBaseUrl/Versioned")
	doc.Resources[len(doc.Resources)-1].ClientVersion = "4.3.0-alpha"
	add(l.base+"/v3/search", "Search by text.",
		"SearchQueryService", "SearchQueryService/3.0.0-beta", "SearchQueryService/3.0.0-rc", "SearchQueryService/3.5.0")
	add(l.base+"/v3/autocomplete", "Package ids by prefix; versions by id.",
		"SearchAutocompleteService", "SearchAutocompleteService/3.0.0-beta", "SearchAutocompleteService/3.0.0-rc", "SearchAutocompleteService/3.5.0")
	add(l.base+"/v3/"+catalogKind+"/"+catalogIndex, "All that happened in this feed, for mirrors to follow.", "Catalog/3.0.0")
	add(l.base+"/v2/", "Version 2 of the protocol, for old clients.", "LegacyGallery", "LegacyGallery/2.0.0")
	add(l.base+"/api/v2/package", "Push, unlist and relist.", "PackagePublish/2.0.0")
	add(l.base+"/api/v2/symbolpackage", "Push of symbol packages.", "SymbolPackagePublish/4.9.0")
	add(l.base+"/v3/flatcontainer/{lower_id}/{lower_version}/readme", "The readme of a package.", "ReadmeUriTemplate/6.13.0")
	return doc
}

// links returns the absolute URLs in documents.
type links struct{ base string }

func (l links) registration(h hive, id string) string {
	return l.base + "/v3/" + string(h) + "/" + url.PathEscape(nameKey(id))
}

func (l links) index(h hive, id string) string { return l.registration(h, id) + "/index.json" }

func (l links) leaf(h hive, id, key string) string {
	return l.registration(h, id) + "/" + key + ".json"
}

func (l links) page(h hive, id, lower, upper string) string {
	return l.registration(h, id) + "/page/" + lower + "/" + upper + ".json"
}

func (l links) content(id, key string) string {
	return l.version(id, key) + "/" + url.PathEscape(nameKey(id)) + "." + key + ".nupkg"
}

func (l links) version(id, key string) string {
	return l.base + "/v3/flatcontainer/" + url.PathEscape(nameKey(id)) + "/" + key
}

// icon returns the URL of a version's icon, preferably the one in the package; "" if
// there is none.
func (l links) icon(m *metadata, id, key string) string {
	if m.Icon != "" {
		return l.version(id, key) + "/icon"
	}
	return feed.WebURL(m.IconURL)
}

// license returns the URL of the page that clients open for a version's license; "" if
// there is none.
func (l links) license(m *metadata, id, key string) string {
	if m.LicenseExpression == "" && m.LicenseFile != "" {
		return l.version(id, key) + "/license"
	}
	return m.licenseLink()
}

// marshal encodes JSON without the escapes that are needed only inside HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// serveDocument serves a document, and keeps it with the package unless key is "".
func serveDocument(w http.ResponseWriter, r *feed.Request, p *feed.Package, key string, render func() ([]byte, error)) error {
	if key == "" {
		body, err := render()
		if err != nil {
			return err
		}
		feed.NewDocument(jsonType, body).Serve(w, r.Request)
		return nil
	}
	doc, err := p.Document(key, jsonType, render)
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

// find returns the version that a route names, unless it is blocked.
func (h *handler) find(ctx context.Context, f *proget.Feed, rt route) (*feed.Package, *proget.Version, error) {
	p, err := h.services.Packages.Package(ctx, f, rt.id)
	if err != nil {
		return nil, nil, err
	}
	v, err := p.Version(rt.version)
	if err != nil {
		return nil, nil, err
	}
	if err := feed.CheckAllowed(v); err != nil {
		return nil, nil, err
	}
	return p, v, nil
}
