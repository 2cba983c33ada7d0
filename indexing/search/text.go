package search

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/analysis/token/camelcase"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/regexp"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"
)

// fields is a Document as bleve sees it.
type fields struct {
	Feed        string   `json:"feed"`
	Exact       string   `json:"exact"` // the whole name
	Word        string   `json:"word"`  // the name's parts between punctuation
	Name        string   `json:"name"`  // and their camelCase parts
	Title       string   `json:"title"`
	Tags        []string `json:"tags"`
	Authors     string   `json:"authors"`
	Description string   `json:"description"`
	Scope       string   `json:"scope"` // "stable" or "prerelease"
}

func newFields(feed int64, d *Document) fields {
	scope := "prerelease"
	if d.Stable {
		scope = "stable"
	}
	return fields{
		Feed: strconv.FormatInt(feed, 10), Exact: strings.ToLower(d.Name), Word: d.Name, Name: d.Name,
		Title: d.Title, Tags: d.Tags, Authors: d.Authors, Description: truncate(d.Description, 4096), Scope: scope,
	}
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// Package names are split the way people read them: Newtonsoft.Json,
// @scope/pkg-name, camelCase.
const (
	words = "words" // letters and digits between punctuation
	parts = "parts" // the same, and camelCase taken apart
)

func newMapping() mapping.IndexMapping {
	m := bleve.NewIndexMapping()
	must := func(err error) {
		if err != nil {
			panic(err) // the definitions are constants
		}
	}
	must(m.AddCustomTokenizer(words, map[string]any{"type": regexp.Name, "regexp": `[\p{L}\p{N}]+`}))
	must(m.AddCustomAnalyzer(words, map[string]any{
		"type": custom.Name, "tokenizer": words, "token_filters": []string{lowercase.Name}}))
	must(m.AddCustomAnalyzer(parts, map[string]any{
		"type": custom.Name, "tokenizer": words, "token_filters": []string{camelcase.Name, lowercase.Name}}))
	m.DefaultMapping.Dynamic = false
	for field, analyzer := range map[string]string{
		"feed": keyword.Name, "exact": keyword.Name, "scope": keyword.Name,
		"word": words, "name": parts, "title": parts, "tags": words, "authors": words, "description": words,
	} {
		f := bleve.NewTextFieldMapping()
		f.Analyzer, f.Store, f.IncludeInAll, f.IncludeTermVectors, f.DocValues = analyzer, false, false, false, false
		m.DefaultMapping.AddFieldMappingsAt(field, f)
	}
	return m
}

// weights say how much a match in a field counts.
var weights = map[string]float64{"word": 8, "name": 6, "title": 4, "tags": 3, "authors": 2, "description": 1}

// maxWords bounds the words of a query that count.
const maxWords = 10

// find answers a free-text query: every word must occur somewhere, the last
// part of a name may still be incomplete, and the exact name comes first.
func (x *Index) find(ctx context.Context, q Query) (Hits, error) {
	if q.Skip+q.Take > maxWindow {
		return Hits{}, nil
	}
	terms := strings.FieldsFunc(strings.ToLower(q.Text), func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	if len(terms) > maxWords {
		terms = terms[:maxWords]
	}
	all := []query.Query{term("feed", strconv.FormatInt(q.FeedID, 10), 0)}
	if !q.Prerelease {
		all = append(all, term("scope", "stable", 0))
	}
	for _, w := range terms {
		all = append(all, word(w))
	}
	must := bleve.NewConjunctionQuery(all...)
	both := bleve.NewBooleanQuery()
	both.AddMust(must)
	both.AddShould(term("exact", strings.ToLower(strings.TrimSpace(q.Text)), 1000))
	req := bleve.NewSearchRequestOptions(both, q.Take, q.Skip, false)
	req.SortBy([]string{"-_score", "_id"})
	res, err := x.text.SearchInContext(ctx, req)
	if err != nil {
		return Hits{}, fmt.Errorf("search: %w", err)
	}
	hits := Hits{Total: int(res.Total)}
	for _, h := range res.Hits {
		n, err := parseID(h.ID)
		if err != nil {
			return Hits{}, err
		}
		hits.Keys = append(hits.Keys, n.key)
	}
	return hits, nil
}

func term(field, text string, boost float64) query.Query {
	t := bleve.NewTermQuery(text)
	t.SetField(field)
	t.SetBoost(boost)
	return t
}

// word matches one word of a query in any field, whole or as the beginning of
// a part of the name.
func word(w string) query.Query {
	var any []query.Query
	for field, weight := range weights {
		m := bleve.NewMatchQuery(w)
		m.SetField(field)
		m.SetOperator(query.MatchQueryOperatorAnd)
		m.SetBoost(weight)
		any = append(any, m)
	}
	for field, weight := range map[string]float64{"exact": 10, "word": 3} {
		p := bleve.NewPrefixQuery(w)
		p.SetField(field)
		p.SetBoost(weight)
		any = append(any, p)
	}
	return bleve.NewDisjunctionQuery(any...)
}
