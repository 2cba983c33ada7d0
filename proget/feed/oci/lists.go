package oci

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// readLimit returns how many entries the client asks for, at most most. Without a
// number in the request, it returns most.
func readLimit(r *feed.Request, most int) (int, error) {
	text := r.URL.Query().Get("n")
	if text == "" {
		return most, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, proget.WrapError(proget.ErrInvalid, code("PAGINATION_NUMBER_INVALID"), "n=%.40q is not a number of entries.", text)
	}
	return min(n, most), nil
}

// page returns the first entries of a sorted list after the last one that the client
// has. If there are more, it sets the Link header for the next page.
func page(w http.ResponseWriter, r *feed.Request, sorted []string, limit int) []string {
	rest := after(r, sorted)
	if len(rest) <= limit {
		return rest
	}
	if limit > 0 {
		link(w, r, rest[limit-1], limit)
	}
	return rest[:limit]
}

// after returns the entries of a sorted list after the last one that the client has.
func after(r *feed.Request, sorted []string) []string {
	from, found := slices.BinarySearch(sorted, r.URL.Query().Get("last"))
	if found {
		from++
	}
	return sorted[from:]
}

// link sets the Link header for the next page, as RFC 8288 defines it.
func link(w http.ResponseWriter, r *feed.Request, last string, limit int) {
	q := r.URL.Query()
	q.Set("last", last)
	q.Set("n", strconv.Itoa(limit))
	next := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	w.Header().Set("Link", "<"+next.RequestURI()+`>; rel="next"`)
}

// maxTagList bounds the tags in one response: as many as all clients read without
// following a link.
const maxTagList = 10_000

func (h *handler) listTags(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.find(r, rt.repo)
	if err != nil {
		return err
	}
	limit, err := readLimit(r, maxTagList)
	if err != nil {
		return err
	}
	tags := page(w, r, allowedTags(p), limit)
	return feed.ServeJSON(w, r, "application/json", map[string]any{"name": repository(r.Feed, rt.repo), "tags": append([]string{}, tags...)})
}

// allowedTags returns the tags of a repository that clients can pull, sorted.
func allowedTags(p *feed.Package) (tags []string) {
	blocked := make(map[string]bool)
	for _, v := range p.Versions {
		blocked[v.Key] = !feed.Allowed(v)
	}
	for tag, key := range p.Tags {
		if !blocked[key] {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return tags
}

// What bounds the referrers in one response. One may have annotations of megabytes.
const (
	maxReferrers     = 500
	maxReferrerBytes = 1 << 20 // of annotations
)

// listReferrers responds with the manifests whose subject is the given one, as the
// specification's "Listing Referrers" defines it.
func (h *handler) listReferrers(w http.ResponseWriter, r *feed.Request, rt route) error {
	subject, err := readDigest(rt.arg)
	if err != nil {
		return err
	}
	p, err := h.services.Packages.Package(r.Context(), r.Feed, rt.repo)
	if isNotFound(err) { // a manifest that does not exist has no referrers; that is not an error
		p = &feed.Package{Package: new(proget.Package)}
	} else if err != nil {
		return err
	}
	artifactType := r.URL.Query().Get("artifactType")
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	found, err := referrers(p, subject, artifactType)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(found))
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, key := range page(w, r, keys, fitting(after(r, keys), found)) {
		index.Manifests = append(index.Manifests, found[key])
	}
	return feed.ServeJSON(w, r, v1.MediaTypeImageIndex, index)
}

// fitting returns how many of some referrers fit into one response: at least one.
func fitting(keys []string, found map[string]v1.Descriptor) int {
	size := 0
	for i, key := range keys[:min(len(keys), maxReferrers)] {
		for name, value := range found[key].Annotations {
			size += len(name) + len(value)
		}
		if size > maxReferrerBytes && i > 0 {
			return i
		}
	}
	return maxReferrers
}

// referrers returns the descriptors of the allowed manifests with a subject and, unless
// "", a type, by their keys.
func referrers(p *feed.Package, subject digest.Digest, artifactType string) (map[string]v1.Descriptor, error) {
	subjects, err := subjectsOf(p)
	if err != nil {
		return nil, err
	}
	found := make(map[string]v1.Descriptor)
	for _, v := range p.Versions {
		if subjects[v.Key] != subject {
			continue
		}
		if d := readData(v); artifactType == "" || d.ArtifactType == artifactType {
			found[v.Key] = v1.Descriptor{
				MediaType: d.MediaType, Digest: digest.Digest(v.Key), Size: v.Files[0].Size, ArtifactType: d.ArtifactType, Annotations: d.Annotations}
		}
	}
	return found, nil
}

// subjectsOf returns the subjects of a repository's allowed manifests that have one, by
// the keys of the manifests. They are kept with the package, so that not every request
// decodes all manifests.
func subjectsOf(p *feed.Package) (subjects map[string]digest.Digest, err error) {
	doc, err := p.Kept("subjects", func() (*feed.Document, error) {
		all := make(map[string]digest.Digest)
		for _, v := range p.Versions {
			if d := readData(v); d.Subject != "" && feed.Allowed(v) {
				all[v.Key] = d.Subject
			}
		}
		body, err := json.Marshal(all)
		return feed.Verbatim("application/json", body, ""), err
	})
	if err != nil {
		return nil, err
	}
	return subjects, json.Unmarshal(doc.Body(), &subjects)
}
