package nuget

import (
	"bytes"
	"encoding/xml"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/nuget/internal/odata"
)

const (
	nsAtom     = "http://www.w3.org/2005/Atom"
	nsApp      = "http://www.w3.org/2007/app"
	nsData     = "http://schemas.microsoft.com/ado/2007/08/dataservices"
	nsMetadata = nsData + "/metadata"
	v2Type     = "NuGetGallery.OData.V2FeedPackage"

	atomFeed  = "application/atom+xml;type=feed;charset=utf-8"
	atomEntry = "application/atom+xml;type=entry;charset=utf-8"
	xmlType   = "application/xml;charset=utf-8"
)

// writer writes XML to memory, which cannot fail.
type writer struct{ bytes.Buffer }

// text writes s with XML escapes.
func (w *writer) text(s string) { _ = xml.EscapeText(&w.Buffer, []byte(s)) }

// element writes <name>s</name>; name may contain attributes.
func (w *writer) element(name, s string) {
	w.WriteString("<" + name + ">")
	w.text(s)
	tag, _, _ := strings.Cut(name, " ")
	w.WriteString("</" + tag + ">")
}

func (w *writer) begin() { w.WriteString(xml.Header) }

// attribute escapes a value for an attribute.
func attribute(s string) string {
	var w writer
	w.text(s)
	return w.String()
}

// v2Namespaces returns the attributes of each document's root: the namespaces, and the
// base of the relative links, without which some clients resolve them wrongly.
func v2Namespaces(base string) string {
	return ` xml:base="` + attribute(base) + `/" xmlns="` + nsAtom + `" xmlns:d="` + nsData + `" xmlns:m="` + nsMetadata + `"`
}

// wantsJSON reports whether the client asks for JSON, which few do.
func wantsJSON(r *feed.Request) bool {
	if format := r.URL.Query().Get("$format"); format != "" {
		return format == "json"
	}
	for accepted := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		switch kind, _, _ := mime.ParseMediaType(accepted); kind {
		case "application/json":
			return true
		case "application/atom+xml", "application/xml", "*/*":
			return false
		}
	}
	return false
}

// headV2 sets the header with the OData version.
func headV2(w http.ResponseWriter) {
	w.Header().Set("DataServiceVersion", "2.0;")
	w.Header().Add("Vary", "Accept")
}

// renderV2 renders a page of a collection in the format that the client asks for.
func renderV2(r *feed.Request, page *v2Page, q v2Query) (body []byte, contentType string, err error) {
	if wantsJSON(r) {
		body, err = renderV2JSON(r, page, q)
		return body, jsonType, err
	}
	base := r.Base
	set, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.Path, "api/"), "v2/"), "(")
	var x writer
	x.begin()
	x.WriteString("<feed" + v2Namespaces(base) + ">")
	if q.counted {
		x.element("m:count", strconv.Itoa(page.total))
	}
	x.element("id", base+"/"+set)
	x.element(`title type="text"`, set)
	x.element("updated", v2Time(v2Updated(page)))
	x.WriteString(`<link rel="self" title="` + attribute(set) + `" href="` + attribute(set) + `" />`)
	for _, e := range page.entries {
		x.entry(e, base, "")
	}
	if page.more {
		x.WriteString(`<link rel="next" href="` + attribute(v2Next(r, page, q)) + `" />`)
	}
	x.WriteString("</feed>")
	return x.Bytes(), atomFeed, nil
}

// v2Updated returns the newest time of the page's entries, so that an unchanged page is
// the same, byte for byte.
func v2Updated(page *v2Page) (newest time.Time) {
	for _, e := range page.entries {
		if t := e.created(); t.After(newest) {
			newest = t
		}
	}
	return newest
}

// v2Next returns the URL of the next page. A listing of the feed continues after a key,
// which does not shift while the client reads; other queries continue by number. $top
// applies to all pages, so v2Next subtracts what this page has returned.
func v2Next(r *feed.Request, page *v2Page, q v2Query) string {
	query := r.URL.Query()
	if query.Get("$top") != "" {
		query.Set("$top", strconv.Itoa(q.top-len(page.entries)))
	}
	last := page.entries[len(page.entries)-1]
	if strings.Contains(r.Path, "Packages()") || strings.HasSuffix(r.Path, "Packages") {
		if len(q.orders) == 0 {
			query.Set("$skiptoken", "'"+last.pkg.Key+"','"+last.version.Key+"'")
			query.Del("$skip")
			return r.Base + "/" + r.Path + "?" + query.Encode()
		}
	}
	query.Set("$skip", strconv.Itoa(q.skip+len(page.entries)))
	return r.Base + "/" + r.Path + "?" + query.Encode()
}

func serveV2Entry(w http.ResponseWriter, r *feed.Request, e *v2Entity) error {
	headV2(w)
	if wantsJSON(r) {
		return serveJSON(w, r, map[string]any{"d": v2Object(e, r.Base)})
	}
	var x writer
	x.begin()
	x.entry(e, r.Base, v2Namespaces(r.Base))
	feed.NewDocument(atomEntry, x.Bytes()).Serve(w, r.Request)
	return nil
}

// v2Key identifies an entry in a collection.
func v2Key(e *v2Entity) string {
	quote := func(s string) string { return strings.ReplaceAll(s, "'", "''") }
	return "Packages(Id='" + quote(e.version.Name) + "',Version='" + quote(e.normal()) + "')"
}

func v2Source(e *v2Entity, base string) string {
	return base + "/package/" + url.PathEscape(e.version.Name) + "/" + url.PathEscape(e.normal())
}

func (w *writer) entry(e *v2Entity, base, attributes string) {
	w.WriteString("<entry" + attributes + ">")
	w.element("id", base+"/"+v2Key(e))
	w.WriteString(`<category term="` + v2Type + `" scheme="` + nsData + `/scheme" />`)
	for _, rel := range []string{"edit", "self"} {
		w.WriteString(`<link rel="` + rel + `" title="V2FeedPackage" href="` + attribute(v2Key(e)) + `" />`)
	}
	w.element(`title type="text"`, e.version.Name)
	w.element(`summary type="text"`, e.meta.Summary)
	w.element("updated", v2Time(e.created()))
	w.WriteString("<author>")
	w.element("name", e.meta.Authors)
	w.WriteString("</author>")
	w.WriteString(`<content type="application/zip" src="` + attribute(v2Source(e, base)) + `" />`)
	w.WriteString("<m:properties>")
	for _, p := range v2Properties {
		w.property(p, p.value(e, links{base}))
	}
	w.WriteString("</m:properties></entry>")
}

func (w *writer) property(p v2Property, v odata.Value) {
	name := "d:" + p.name
	if p.edm != "Edm.String" {
		name += ` m:type="` + p.edm + `"`
	}
	if v == nil {
		w.WriteString("<" + name + ` m:null="true" />`)
		return
	}
	w.element(name, v2Literal(v))
}

// v2Literal formats a value for Atom.
func v2Literal(v odata.Value) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatInt(int64(v), 10)
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000")
	case odata.Ordered:
		return v.String()
	}
	return v.(string)
}

func v2Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func renderV2JSON(r *feed.Request, page *v2Page, q v2Query) ([]byte, error) {
	d := map[string]any{}
	results := make([]any, len(page.entries))
	for i, e := range page.entries {
		results[i] = v2Object(e, r.Base)
	}
	d["results"] = results
	if q.counted {
		d["__count"] = strconv.Itoa(page.total)
	}
	if page.more {
		d["__next"] = v2Next(r, page, q)
	}
	return marshal(map[string]any{"d": d})
}

// v2Object returns an entry in OData's verbose JSON, in which 64-bit numbers are text.
func v2Object(e *v2Entity, base string) map[string]any {
	uri := base + "/" + v2Key(e)
	o := map[string]any{"__metadata": map[string]any{"id": uri, "uri": uri, "type": v2Type,
		"edit_media": uri + "/$value", "media_src": v2Source(e, base), "content_type": "application/zip"}}
	for _, p := range v2Properties {
		switch v := p.value(e, links{base}).(type) {
		case float64:
			o[p.name] = strconv.FormatInt(int64(v), 10)
		case time.Time:
			o[p.name] = "/Date(" + strconv.FormatInt(v.UnixMilli(), 10) + ")/"
		case odata.Ordered:
			o[p.name] = v.String()
		default:
			o[p.name] = v
		}
	}
	return o
}

// serveV2Service serves the document that lists the collections.
func serveV2Service(w http.ResponseWriter, r *feed.Request) error {
	headV2(w)
	if wantsJSON(r) {
		return serveJSON(w, r, map[string]any{"d": map[string]any{"EntitySets": []string{"Packages"}}})
	}
	var x writer
	x.begin()
	x.WriteString(`<service xml:base="` + attribute(r.Base) + `/" xmlns="` + nsApp + `" xmlns:atom="` + nsAtom + `"><workspace>`)
	x.element("atom:title", "Default")
	x.WriteString(`<collection href="Packages">`)
	x.element("atom:title", "Packages")
	x.WriteString("</collection></workspace></service>")
	feed.NewDocument(xmlType, x.Bytes()).Serve(w, r.Request)
	return nil
}

// serveV2Metadata serves the service's model, from which old clients build their
// queries.
func serveV2Metadata(w http.ResponseWriter, r *feed.Request) error {
	headV2(w)
	var x writer
	x.begin()
	x.WriteString(`<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">` +
		`<edmx:DataServices m:DataServiceVersion="2.0" m:MaxDataServiceVersion="2.0" xmlns:m="` + nsMetadata + `">` +
		`<Schema Namespace="NuGetGallery.OData" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">` +
		`<EntityType Name="V2FeedPackage" m:HasStream="true"><Key><PropertyRef Name="Id" /><PropertyRef Name="Version" /></Key>`)
	for _, p := range v2Properties {
		nullable := ""
		if p.name == "Id" || p.name == "Version" || p.edm == "Edm.Boolean" || p.edm == "Edm.Int64" {
			nullable = ` Nullable="false"`
		}
		x.WriteString(`<Property Name="` + p.name + `" Type="` + p.edm + `"` + nullable + ` />`)
	}
	x.WriteString(`</EntityType></Schema>` +
		`<Schema Namespace="NuGetGallery" xmlns="http://schemas.microsoft.com/ado/2006/04/edm">` +
		`<EntityContainer Name="V2FeedContext" m:IsDefaultEntityContainer="true">` +
		`<EntitySet Name="Packages" EntityType="` + v2Type + `" />`)
	for _, f := range []struct{ name, parameters string }{
		{"Search", "searchTerm:String targetFramework:String includePrerelease:Boolean"},
		{"FindPackagesById", "id:String"},
		{"GetUpdates", "packageIds:String versions:String includePrerelease:Boolean includeAllVersions:Boolean targetFrameworks:String versionConstraints:String"},
	} {
		x.WriteString(`<FunctionImport Name="` + f.name + `" ReturnType="Collection(` + v2Type + `)" EntitySet="Packages" m:HttpMethod="GET">`)
		for parameter := range strings.FieldsSeq(f.parameters) {
			name, kind, _ := strings.Cut(parameter, ":")
			x.WriteString(`<Parameter Name="` + name + `" Type="Edm.` + kind + `" />`)
		}
		x.WriteString(`</FunctionImport>`)
	}
	x.WriteString(`</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`)
	feed.NewDocument(xmlType, x.Bytes()).Serve(w, r.Request)
	return nil
}
