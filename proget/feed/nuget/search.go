package nuget

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of a search.
const (
	defaultTake = 20
	maxTake     = 100
	maxHits     = 1000   // hits that the index returns at once
	maxScanned  = 10_000 // packages examined for one response
)

type (
	searchDocument struct {
		TotalHits int            `json:"totalHits"`
		Data      []searchResult `json:"data"`
	}
	searchResult struct {
		ID             string          `json:"id"`
		Version        string          `json:"version"`
		Authors        []string        `json:"authors"`
		Deprecation    *deprecation    `json:"deprecation,omitempty"`
		Description    string          `json:"description"`
		IconURL        string          `json:"iconUrl,omitempty"`
		LicenseURL     string          `json:"licenseUrl,omitempty"`
		PackageTypes   []searchType    `json:"packageTypes"`
		ProjectURL     string          `json:"projectUrl,omitempty"`
		Registration   string          `json:"registration"`
		Summary        string          `json:"summary"`
		Tags           []string        `json:"tags"`
		Title          string          `json:"title"`
		TotalDownloads int64           `json:"totalDownloads"`
		Verified       bool            `json:"verified"`
		Versions       []searchVersion `json:"versions"`
	}
	searchType struct {
		Name string `json:"name"`
	}
	searchVersion struct {
		ID        string `json:"@id"`
		Version   string `json:"version"`
		Downloads int64  `json:"downloads"`
	}
	namesDocument struct {
		TotalHits int      `json:"totalHits"`
		Data      []string `json:"data"`
	}
	versionsDocument struct {
		Data []string `json:"data"`
	}
)

// A searchRequest is a parsed search.
type searchRequest struct {
	text        string
	tags        []string // that the text asks for
	packageType string
	skip, take  int
	prerelease  bool
	semVer2     bool
}

// A match is a package with the versions that the search may show, oldest first.
type match struct {
	*feed.Package
	versions []*proget.Version
	latest   *metadata
}

// parseSearch parses the parameters that both search resources share.
func parseSearch(q url.Values) (searchRequest, error) {
	s := searchRequest{text: strings.TrimSpace(q.Get("q")), packageType: q.Get("packageType")}
	var err error
	if s.skip, err = count(q, "skip", 0); err != nil {
		return s, err
	}
	if s.take, err = count(q, "take", defaultTake); err != nil {
		return s, err
	}
	s.take = min(s.take, maxTake)
	if text := q.Get("prerelease"); text != "" {
		if s.prerelease, err = strconv.ParseBool(text); err != nil {
			return s, proget.WrapError(proget.ErrInvalid, err, "The parameter prerelease must be true or false.")
		}
	}
	if text := q.Get("semVerLevel"); text != "" {
		level, ok := parseVersion(text)
		if !ok {
			return s, proget.Errorf(proget.ErrInvalid, "The parameter semVerLevel must be a version such as 2.0.0.")
		}
		s.semVer2 = level.numbers[0] >= 2
	}
	return s, nil
}

func count(q url.Values, name string, absent int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, proget.WrapError(proget.ErrInvalid, err, "The parameter %s must be a whole number, not negative.", name)
	}
	return int(n), nil
}

func (h *handler) search(w http.ResponseWriter, r *feed.Request) error {
	s, err := parseSearch(r.URL.Query())
	if err != nil {
		return err
	}
	s.text, s.tags = splitTerm(s.text)
	matches, total, err := h.matches(r, s, s.query())
	if err != nil {
		return err
	}
	doc := searchDocument{TotalHits: total, Data: make([]searchResult, 0, len(matches))}
	for _, m := range matches {
		doc.Data = append(doc.Data, m.result(links{r.Base}, s.hive()))
	}
	return serveJSON(w, r, doc)
}

func serveJSON(w http.ResponseWriter, r *feed.Request, v any) error {
	return serveDocument(w, r, nil, "", func() ([]byte, error) { return marshal(v) })
}

// splitTerm separates the tags in a search text, such as "tag:PSModule", from its
// words.
func splitTerm(term string) (text string, tags []string) {
	var words []string
	for word := range strings.FieldsSeq(term) {
		key, tag, _ := strings.Cut(word, ":")
		if tag != "" && (strings.EqualFold(key, "tag") || strings.EqualFold(key, "tags")) {
			tags = append(tags, tag)
		} else {
			words = append(words, word)
		}
	}
	return strings.Join(words, " "), tags
}

// tagged reports whether a package has all of the tags. As in the index, its tags are
// those of its newest stable version, or of its newest if none is stable.
func tagged(p *feed.Package, tags []string) bool {
	if len(tags) == 0 {
		return true
	}
	v := p.Latest(feed.Stable, feed.Listed)
	if v == nil {
		return false
	}
	has := summary(v).Tags
	return !slices.ContainsFunc(tags, func(tag string) bool {
		return !slices.ContainsFunc(has, func(each string) bool { return strings.EqualFold(each, tag) })
	})
}

// query translates the text into a query for the index. Of nuget.org's fields,
// splitTerm has already removed "tag", query handles "id", and matches handles
// "packageid".
func (s searchRequest) query() feed.Query {
	q := s.filter()
	q.Text = s.text
	if len(s.tags) > 0 {
		q.Tag = s.tags[0]
	}
	if id, ok := s.field("id"); ok {
		q.Text, q.NamePrefix = "", id
	}
	return q
}

// filter returns the conditions, other than the name, of both search resources.
func (s searchRequest) filter() feed.Query {
	return feed.Query{Type: s.packageType, Prerelease: s.prerelease, Old: !s.semVer2}
}

// field returns the value if the search is for a single field, such as "id:Acme".
func (s searchRequest) field(name string) (string, bool) {
	key, value, ok := strings.Cut(s.text, ":")
	value = strings.Trim(value, ` "`)
	return value, ok && value != "" && strings.EqualFold(key, name)
}

func (s searchRequest) hive() hive {
	if s.semVer2 {
		return semVer2Hive
	}
	return semVer1Hive
}

// matches returns a page of packages and the total number.
func (h *handler) matches(r *feed.Request, s searchRequest, q feed.Query) ([]match, int, error) {
	ctx := r.Context()
	if id, ok := s.field("packageid"); ok {
		found, err := h.load(ctx, r.Feed, s, []string{nameKey(id)})
		found = slices.DeleteFunc(found, func(m match) bool {
			return s.packageType != "" && !m.latest.hasType(s.packageType) || !tagged(m.Package, s.tags)
		})
		return slicePage(found, s), len(found), err
	}
	if len(s.tags) > 1 {
		return h.matchesTagged(ctx, r.Feed, s, q)
	}
	q.Skip, q.Take = s.skip, max(s.take, 1)
	hits, err := h.services.Search.Search(ctx, r.Feed, q)
	if err != nil {
		return nil, 0, err
	}
	found, err := h.load(ctx, r.Feed, s, hits.Keys[:min(s.take, len(hits.Keys))])
	return found, hits.Total, err
}

// matchesTagged is matches for several tags, of which the index supports only one per
// query. The total is needed, so it reads every package with the first tag to check for
// the others, whatever the page. Naming the rarest tag first is fastest.
func (h *handler) matchesTagged(ctx context.Context, f *proget.Feed, s searchRequest, q feed.Query) ([]match, int, error) {
	var found []match
	q.Take = maxHits
	for key, err := range h.hits(ctx, f, q, true) {
		if err != nil {
			return nil, 0, err
		}
		some, err := h.load(ctx, f, s, []string{key})
		if err != nil {
			return nil, 0, err
		}
		found = append(found, slices.DeleteFunc(some, func(m match) bool { return !tagged(m.Package, s.tags) })...)
	}
	return slicePage(found, s), len(found), nil
}

// hits returns the keys of the packages that a query finds, best first. It first asks
// the index for q.Take of them and then, if the caller wants more, for as many as the
// index returns at once. It returns proget.ErrInvalid after maxScanned of them or, if
// the caller needs all, before the first.
func (h *handler) hits(ctx context.Context, f *proget.Feed, q feed.Query, all bool) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		last := q.Skip + maxScanned
		for more := true; more; q.Take = maxHits {
			hits, err := h.services.Search.Search(ctx, f, q)
			if err == nil && all && hits.Total > last {
				err = errTooManyHits()
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range hits.Keys {
				if !yield(key, nil) {
					return
				}
			}
			q.Skip += len(hits.Keys)
			more = len(hits.Keys) > 0 && q.Skip < min(hits.Total, last)
			if !more && q.Skip < hits.Total {
				yield("", errTooManyHits())
			}
		}
	}
}

// errTooManyHits is the error for a search whose answer would lack packages.
func errTooManyHits() error {
	return proget.Errorf(proget.ErrInvalid, "This search would look at more than %d packages one by one: search for more words, name the rarest tag first, or leave $orderby and the count out.", maxScanned)
}

func slicePage(found []match, s searchRequest) []match {
	found = found[min(s.skip, len(found)):]
	return found[:min(s.take, len(found))]
}

// load reads the packages that the index named. It omits those that are gone or have no
// visible version.
func (h *handler) load(ctx context.Context, f *proget.Feed, s searchRequest, keys []string) ([]match, error) {
	found := make([]match, 0, len(keys))
	for _, key := range keys {
		p, err := h.services.Packages.Package(ctx, f, key)
		if errors.Is(err, proget.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m := match{Package: p, versions: s.visible(p)}
		if len(m.versions) == 0 {
			continue
		}
		if m.latest, err = decode(m.versions[len(m.versions)-1]); err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, nil
}

// visible returns the versions that the search may show, oldest first.
func (s searchRequest) visible(p *feed.Package) []*proget.Version {
	var versions []*proget.Version
	for _, v := range p.Versions {
		if feed.AllowedListed(v) && (s.prerelease || !v.Prerelease) && (s.semVer2 || !needsSemVer2(v)) {
			versions = append(versions, v)
		}
	}
	return versions
}

func (m match) result(l links, h hive) searchResult {
	newest := m.versions[len(m.versions)-1]
	r := searchResult{
		ID:           newest.Name,
		Version:      fullVersion(newest.Version),
		Authors:      splitAuthors(m.latest.Authors),
		Deprecation:  newDeprecation(newest.Status),
		Description:  m.latest.Description,
		IconURL:      l.icon(m.latest, m.Key, newest.Key),
		LicenseURL:   l.license(m.latest, m.Key, newest.Key),
		ProjectURL:   feed.WebURL(m.latest.ProjectURL),
		Registration: l.index(h, m.Key),
		Summary:      m.latest.Summary,
		Tags:         notNil(m.latest.Tags),
		Title:        m.latest.Title,
	}
	for _, t := range m.latest.types() {
		r.PackageTypes = append(r.PackageTypes, searchType{t.Name})
	}
	for _, v := range m.versions {
		r.TotalDownloads += v.Downloads
		r.Versions = append(r.Versions, searchVersion{
			ID:        l.leaf(h, m.Key, v.Key),
			Version:   fullVersion(v.Version),
			Downloads: v.Downloads,
		})
	}
	return r
}

func splitAuthors(s string) []string {
	authors := []string{}
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name != "" {
			authors = append(authors, name)
		}
	}
	return authors
}

// autocomplete completes an ID, or lists the versions of one.
func (h *handler) autocomplete(w http.ResponseWriter, r *feed.Request) error {
	params := r.URL.Query()
	s, err := parseSearch(params)
	if err != nil {
		return err
	}
	if params.Has("id") {
		return h.completeVersion(w, r, s, params.Get("id"))
	}
	text := s.text
	s.text = "" // the text has no fields here
	q := s.filter()
	q.NamePrefix = text
	matches, total, err := h.matches(r, s, q)
	if err != nil {
		return err
	}
	doc := namesDocument{TotalHits: total, Data: []string{}}
	for _, m := range matches {
		doc.Data = append(doc.Data, m.versions[len(m.versions)-1].Name)
	}
	return serveJSON(w, r, doc)
}

func (h *handler) completeVersion(w http.ResponseWriter, r *feed.Request, s searchRequest, id string) error {
	doc := versionsDocument{Data: []string{}}
	p, err := h.services.Packages.Package(r.Context(), r.Feed, nameKey(id))
	switch {
	case errors.Is(err, proget.ErrNotFound):
		return serveJSON(w, r, doc)
	case err != nil:
		return err
	}
	for _, v := range s.visible(p) {
		doc.Data = append(doc.Data, fullVersion(v.Version))
	}
	return serveJSON(w, r, doc)
}
