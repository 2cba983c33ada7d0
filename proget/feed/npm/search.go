package npm

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxSearch is the maximum size of a page of results.
const maxSearch = 250

// found is a package in a search response.
type found struct {
	Package  foundPackage `json:"package"`
	Score    score        `json:"score"`
	Searched float64      `json:"searchScore"`
}

type foundPackage struct {
	Name        string            `json:"name"`
	Scope       string            `json:"scope"`
	Version     string            `json:"version"`
	Description string            `json:"description"`
	Keywords    []string          `json:"keywords"`
	Date        time.Time         `json:"date"`
	Links       map[string]string `json:"links"`
	Author      *user             `json:"author,omitempty"`
	Publisher   user              `json:"publisher"`
	Maintainers []user            `json:"maintainers"`
}

type user struct {
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
}

type score struct {
	Final  float64            `json:"final"`
	Detail map[string]float64 `json:"detail"`
}

// query parses the text and its qualifiers. It supports only keywords; the other
// qualifiers affect only how npm's own registry sorts.
func query(text string) feed.Query {
	var q feed.Query
	var words []string
	for word := range strings.FieldsSeq(text) {
		name, value, ok := strings.Cut(word, ":")
		switch {
		case ok && name == "keywords":
			q.Tag, _, _ = strings.Cut(value, ",")
		case ok && (name == "author" || name == "maintainer" || name == "scope"):
			words = append(words, value)
		case ok && (name == "not" || name == "is" || name == "boost-exact" || strings.HasSuffix(name, "-weight")):
		default:
			words = append(words, word)
		}
	}
	q.Text = strings.Join(words, " ")
	return q
}

func (h *handler) search(w http.ResponseWriter, r *feed.Request) error {
	q := query(r.URL.Query().Get("text"))
	q.Prerelease, q.Take = true, 20
	for name, to := range map[string]*int{"size": &q.Take, "from": &q.Skip} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return proget.Errorf(proget.ErrInvalid, "%s is %.20q; give a number.", name, text)
		}
		*to = n
	}
	q.Take = min(q.Take, maxSearch)
	objects := []found{}
	hits := feed.Hits{}
	if q.Take > 0 {
		var err error
		if hits, err = h.services.Search.Search(r.Context(), r.Feed, q); err != nil {
			return err
		}
	}
	for i, key := range hits.Keys {
		p, err := h.services.Packages.Package(r.Context(), r.Feed, key)
		if errors.Is(err, proget.ErrNotFound) {
			continue // the package was just deleted
		}
		if err != nil {
			return err
		}
		if p.Latest(feed.Allowed) == nil {
			continue
		}
		rank := 1 / float64(q.Skip+i+1) // only the order of the results is known
		objects = append(objects, found{describe(p), score{rank, map[string]float64{"quality": rank, "popularity": rank, "maintenance": rank}}, rank})
	}
	return feed.ServeJSON(w, r, jsonType, map[string]any{"objects": objects, "total": hits.Total, "time": time.Now().UTC()})
}

func describe(p *feed.Package) foundPackage {
	v, err := p.Version(distTags(p)[latest])
	if err != nil {
		v = p.Versions[len(p.Versions)-1]
	}
	s := summary(v)
	scope, _ := splitName(v.Name)
	f := foundPackage{Name: v.Name, Scope: strings.TrimPrefix(scope, "@"), Version: v.Key, Description: s.Description, Keywords: s.Tags,
		Date: v.Published.UTC(), Links: map[string]string{}, Publisher: user{Username: v.PublishedBy}, Maintainers: []user{{Username: v.PublishedBy}}}
	if f.Scope == "" {
		f.Scope = "unscoped"
	}
	if f.Keywords == nil {
		f.Keywords = []string{}
	}
	if s.Authors != "" {
		f.Author = &user{Name: s.Authors}
	}
	var links struct{ Repository, Homepage, Bugs any }
	_ = json.Unmarshal(readData(v).Package, &links) // fields of an unusual type stay empty
	for name, link := range map[string]any{"repository": links.Repository, "homepage": links.Homepage, "bugs": links.Bugs} {
		if url := text(link); url != "" {
			f.Links[name] = url
		}
	}
	return f
}
