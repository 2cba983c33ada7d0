package bleve

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/document"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/proget-go/ha/indexing/search"
)

// The fields of a document. The terms of all but the last two begin with the feed, so
// that a query reads nothing of other feeds.
const (
	nameField    = "name"    // words of the name
	wholeField   = "whole"   // all of the name
	labelField   = "label"   // words of name, title and tags
	textField    = "text"    // words of description, authors and owner
	startField   = "start"   // first letters of the words of names and labels
	typeField    = "type"    // the types
	tagField     = "tag"     // the tags
	shelfField   = "shelf"   // numbers of the shelves that it is on
	lengthField  = "length"  // number of words of its name
	popularField = "popular" // number of digits of its downloads
)

const (
	maxDescription = 4096 // bytes of a description that are indexed
	maxStart       = 8    // letters; longer beginnings are looked up among the words
	maxLength      = 8    // words of a name; longer names count as having so many
	maxPopular     = 9
)

// A shelf contains the packages that one kind of client may see. There are four.
const shelves = 4

func shelf(prerelease, old bool) int {
	n := 0
	if prerelease {
		n |= 1
	}
	if old {
		n |= 2
	}
	return n
}

const allShelf = 1 // everything: prereleases included, for new clients

func shelvesOf(d *search.Document) (on []string) {
	for n := range shelves {
		if d.Visible(n&1 != 0, n&2 != 0) {
			on = append(on, strconv.Itoa(n))
		}
	}
	return on
}

// feedPrefix returns the beginning of a document's id and of all of its terms.
func feedPrefix(feed int64) string { return strconv.FormatInt(feed, 10) + "/" }

func parseID(id string) (feed int64, key string, ok bool) {
	number, key, ok := strings.Cut(id, "/")
	feed, err := strconv.ParseInt(number, 10, 64)
	return feed, key, ok && err == nil
}

// newDocument converts a document to the library's form.
func newDocument(feed int64, d *search.Document) *document.Document {
	prefix := feedPrefix(feed)
	doc := document.NewDocument(prefix + d.Key)
	add := func(name string, words ...string) { doc.AddField(newField(name, prefix, words)) }

	runs := search.Runs(d.Name)
	names := search.Words(d.Name)
	labels := append(search.Words(d.Title), search.Words(strings.Join(d.Tags, " "))...)
	add(nameField, names...)
	add(wholeField, search.Fold(d.Name), search.Fold(d.Key), squeeze(runs))
	add(labelField, slices.Concat(names, labels)...)
	add(textField, slices.Concat(search.Words(truncate(d.Description, maxDescription)), search.Words(d.Authors), search.Words(d.Owner))...)
	add(startField, starts(slices.Concat(names, labels))...)
	add(typeField, folded(d.Types)...)
	add(tagField, folded(d.Tags)...)
	add(shelfField, shelvesOf(d)...)
	doc.AddField(newField(lengthField, "", []string{strconv.Itoa(min(max(len(runs), 1), maxLength))}))
	doc.AddField(newField(popularField, "", []string{strconv.Itoa(popularity(d.Downloads))}))
	return doc
}

// squeeze joins the words of a name, so that newtonsoftjson finds Newtonsoft.Json.
func squeeze(runs []search.Run) string {
	var b strings.Builder
	for _, run := range runs {
		b.WriteString(run.Word)
	}
	return b.String()
}

// starts returns the beginnings of words that are too short to be looked up among all
// words that begin with them.
func starts(words []string) (starts []string) {
	for _, w := range words {
		letters := 0
		for i := range w {
			if letters > 0 {
				starts = append(starts, w[:i])
			}
			if letters++; letters > maxStart {
				break
			}
		}
		if letters <= maxStart {
			starts = append(starts, w)
		}
	}
	return starts
}

func popularity(downloads int64) int {
	if downloads <= 0 {
		return 0
	}
	return min(len(strconv.FormatInt(downloads, 10)), maxPopular)
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

func folded(texts []string) []string {
	folded := make([]string, len(texts))
	for i, text := range texts {
		folded[i] = search.Fold(text)
	}
	return folded
}

// A field contains the terms of a document under one name. Their frequencies and places
// do not matter here, and are not stored.
type field struct {
	name  string
	terms index.TokenFrequencies
}

func newField(name, prefix string, words []string) *field {
	f := &field{name, make(index.TokenFrequencies, len(words))}
	for _, w := range words {
		if w != "" && utf8.ValidString(w) {
			term := prefix + w
			f.terms[term] = &index.TokenFreq{Term: []byte(term)}
		}
	}
	for _, t := range f.terms {
		t.SetFrequency(1)
	}
	return f
}

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return nil }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Analyze()                                         {}
func (f *field) Options() index.FieldIndexingOptions              { return index.IndexField | index.SkipFreqNorm }
func (f *field) AnalyzedLength() int                              { return len(f.terms) }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }
func (f *field) Size() int                                        { return 0 }
