package bleve

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/blevesearch/vellum/levenshtein"

	"github.com/proget-go/ha/indexing/search"
)

// The library's own queries score every document by every field in which a word occurs,
// which takes milliseconds for a common word. Here, a query works on the sets of documents
// that the library stores per term: it intersects sets to find the matching packages,
// divides those by the best place in which each word was found, and looks at single
// packages only where they may be on the page.

// Scores of matches. Those of places are multiples of a quarter, so that their sums are
// exact and can be compared.
const (
	inName       = 8.0
	inLabel      = 5.0
	begins       = 3.0 // a word of name, title or tags begins with the word
	asParts      = 1.5 // the word's parts are found, but not the word
	inText       = 1.0
	nearly       = 0.5 // one typo
	remotely     = 0.25
	wholeName    = 1000.0
	shortName    = 3.0   // divided by the name's words
	perDigit     = 0.4   // of the number of downloads
	afterTheRest = -50.0 // for matches found only by allowing for typos
)

const (
	maxWords = 10 // words of a query that count

	// If fewer packages have a word in name, title or tags, it may be mistyped: similar
	// words are searched for, too.
	fewPackages = 5

	typoFrom, typosFrom = 4, 8 // letters from which a word may have one or two typos

	maxPairs = 32 // pairs of a run without spaces that count

	looksUp = 1024 // words of a dictionary between checks whether the caller is still there
)

// A finder answers queries for text.
type finder struct {
	one, two *levenshtein.LevenshteinAutomatonBuilder // for one or two edits; swapping two neighbors is one

	standings standings
}

func newFinder() (f *finder, err error) {
	f = &finder{standings: standings{of: make(map[segment.Segment]*known)}}
	if f.one, err = levenshtein.NewLevenshteinAutomatonBuilder(1, true); err == nil {
		f.two, err = levenshtein.NewLevenshteinAutomatonBuilder(2, true)
	}
	return f, err
}

// automaton recognizes terms that differ from term by as many typos as a word of that
// length may have.
func (f *finder) automaton(term string, letters int) (*levenshtein.DFA, error) {
	if letters < typosFrom {
		return f.one.BuildDfa(term, 1)
	}
	return f.two.BuildDfa(term, 2)
}

// A part is the documents of a segment, which never changes except for deletions, and
// what a query has found in it.
type part struct {
	*scorch.SegmentSnapshot
	dictionaries map[string]segment.TermDictionary
	matching     *roaring.Bitmap // documents that match the query so far
	found        []finding       // for each word of the query
}

// A finding lists the places where a word was found among the documents that match the
// words before it, best place first.
type finding []place

type place struct {
	docs  *roaring.Bitmap
	worth float32
	of    uint64 // number of documents with the word in that place, whether they match the other words or not
}

func (f finding) all() *roaring.Bitmap {
	sets := make([]*roaring.Bitmap, len(f))
	for i := range f {
		sets[i] = f[i].docs
	}
	return roaring.FastOr(sets...)
}

// find answers a query for text, or for what the table does not contain.
func (f *finder) find(ctx context.Context, snapshot *scorch.IndexSnapshot, q search.Query) (search.Hits, error) {
	prefix := feedPrefix(q.FeedID)
	f.standings.keep(snapshot.Segments())
	parts, err := begin(snapshot, prefix, q)
	if err == nil {
		err = f.findText(ctx, parts, prefix, q.Text)
	}
	if err != nil {
		return search.Hits{}, err
	}
	return f.rank(ctx, parts, prefix, q)
}

// findText narrows the parts to documents that have all words of a text. A text without
// words, because it consists of symbols or its words are too long, can still be a whole
// name.
func (f *finder) findText(ctx context.Context, parts []*part, prefix, text string) error {
	runs := search.Runs(text)
	for _, run := range runs[:min(len(runs), maxWords)] {
		if err := f.findRun(ctx, parts, prefix, run); err != nil {
			return err
		}
	}
	whole := wholeText(text)
	if whole == "" || len(runs) > 0 {
		return nil
	}
	for _, p := range parts {
		docs, err := p.among(wholeField, prefix+whole)
		if err != nil {
			return err
		}
		p.matching = docs
	}
	return nil
}

// wholeText returns a text in the form in which whole names are indexed.
func wholeText(text string) string { return search.Fold(strings.TrimSpace(text)) }

// begin returns the parts that have documents which the query asks for, apart from its
// text.
func begin(snapshot *scorch.IndexSnapshot, prefix string, q search.Query) (parts []*part, err error) {
	for _, s := range snapshot.Segments() {
		p := &part{SegmentSnapshot: s, dictionaries: make(map[string]segment.TermDictionary)}
		if err := p.begin(prefix, q); err != nil {
			return nil, err
		}
		if !p.matching.IsEmpty() {
			parts = append(parts, p)
		}
	}
	return parts, nil
}

// begin intersects the sets that need no scoring.
func (p *part) begin(prefix string, q search.Query) (err error) {
	p.matching, err = p.docs(shelfField, prefix+strconv.Itoa(shelf(q.Prerelease, q.Old)))
	for field, value := range map[string]string{typeField: q.Type, tagField: q.Tag} {
		if value != "" && err == nil {
			p.matching, err = p.among(field, prefix+search.Fold(value))
		}
	}
	if err == nil && p.Deleted() != nil {
		p.matching = roaring.AndNot(p.matching, p.Deleted())
	}
	return err
}

// among returns those of the documents that match so far that have a term.
func (p *part) among(field, term string) (*roaring.Bitmap, error) {
	docs, err := p.docs(field, term)
	if err != nil {
		return nil, err
	}
	return roaring.And(p.matching, docs), nil
}

// findRun narrows the parts to documents that have a word of the query.
func (f *finder) findRun(ctx context.Context, parts []*part, prefix string, run search.Run) error {
	var carried uint64
	for _, p := range parts {
		found, err := p.findRun(ctx, prefix, run)
		if err != nil {
			return err
		}
		p.found = append(p.found, found)
		for _, place := range found {
			if place.worth == begins { // including whole words
				carried += place.of
			}
		}
	}
	if carried < fewPackages && run.Pairs == nil {
		if err := f.addSimilar(ctx, parts, prefix, run.Word); err != nil {
			return err
		}
	}
	for _, p := range parts {
		p.matching = p.found[len(p.found)-1].all()
	}
	return nil
}

func (p *part) findRun(ctx context.Context, prefix string, run search.Run) (finding, error) {
	if run.Pairs != nil {
		return p.findPairs(ctx, prefix, run)
	}
	f, err := p.findWord(ctx, prefix, run.Word)
	if err != nil || len(run.Parts) == 0 {
		return f, err
	}
	var together *roaring.Bitmap
	for _, word := range run.Parts {
		each, err := p.findWord(ctx, prefix, word)
		if err != nil {
			return nil, err
		}
		if docs := each.all(); together == nil {
			together = docs
		} else {
			together.And(docs)
		}
	}
	last := len(f) - 1 // the place inText
	return append(f[:last:last], place{docs: together, worth: asParts}, f[last]), nil
}

// findWord searches for a word, as a whole word or the beginning of one.
func (p *part) findWord(ctx context.Context, prefix, word string) (f finding, err error) {
	add := func(worth float32, find func(field, term string) (*roaring.Bitmap, error), field string) {
		if err != nil {
			return
		}
		var docs *roaring.Bitmap
		if docs, err = find(field, prefix+word); err == nil {
			f = append(f, place{roaring.And(p.matching, docs), worth, p.present(docs)})
		}
	}
	beginning := func(field, start string) (*roaring.Bitmap, error) { return p.beginning(ctx, field, start) }
	add(inName, p.docs, nameField)
	add(inName, p.docs, wholeField)
	add(inLabel, p.docs, labelField)
	if utf8.RuneCountInString(word) <= maxStart {
		add(begins, p.docs, startField)
	} else {
		add(begins, beginning, labelField)
	}
	add(inText, p.docs, textField)
	return f, err
}

// findPairs searches for a run without spaces: it is found where all of its pairs are.
// A single letter is found where it begins a pair.
func (p *part) findPairs(ctx context.Context, prefix string, run search.Run) (f finding, err error) {
	all := func(field string) (docs *roaring.Bitmap, err error) {
		docs = p.matching
		for _, pair := range run.Pairs[:min(len(run.Pairs), maxPairs)] {
			with, err := p.docs(field, prefix+pair)
			if err != nil {
				return nil, err
			}
			docs = roaring.And(docs, with)
		}
		return docs, nil
	}
	text := all
	if single := run.Pairs[0] == run.Word; single {
		text = func(field string) (*roaring.Bitmap, error) {
			docs, err := p.beginning(ctx, field, prefix+run.Word)
			if err != nil {
				return nil, err
			}
			return roaring.And(p.matching, docs), nil
		}
	}
	for _, at := range []struct {
		field string
		worth float32
		find  func(field string) (*roaring.Bitmap, error)
	}{{nameField, inName, all}, {labelField, inLabel, all}, {startField, begins, all}, {textField, inText, text}} {
		docs, err := at.find(at.field)
		if err != nil {
			return nil, err
		}
		f = append(f, place{docs: docs, worth: at.worth})
	}
	return f, nil
}

// present returns how many of the documents of a segment are not deleted.
func (p *part) present(docs *roaring.Bitmap) uint64 {
	n := docs.GetCardinality()
	if p.Deleted() != nil {
		n -= docs.AndCardinality(p.Deleted())
	}
	return n
}

// docs returns the documents that have a term, including deleted ones. The caller must
// not modify the set, which may be the segment's own.
func (p *part) docs(field, term string) (*roaring.Bitmap, error) {
	dictionary, err := p.dictionary(field)
	if err != nil {
		return nil, err
	}
	list, err := dictionary.PostingsList([]byte(term), nil, nil)
	if err != nil {
		return nil, err
	}
	return documents(list), nil
}

// only returns the document of a list that contains only one, which the library knows
// without reading it.
func only(list segment.PostingsList) (doc uint32, ok bool) {
	whole, ok := list.Iterator(false, false, false, nil).(segment.OptimizablePostingsIterator)
	if !ok {
		return 0, false
	}
	n, ok := whole.DocNum1Hit()
	return uint32(n), ok
}

func documents(list segment.PostingsList) *roaring.Bitmap {
	if doc, ok := only(list); ok {
		return roaring.BitmapOf(doc)
	}
	if whole, ok := list.Iterator(false, false, false, nil).(segment.OptimizablePostingsIterator); ok {
		if docs := whole.ActualBitmap(); docs != nil {
			return docs
		}
	}
	return roaring.New()
}

func (p *part) dictionary(field string) (segment.TermDictionary, error) {
	if d := p.dictionaries[field]; d != nil {
		return d, nil
	}
	d, err := p.Segment().Dictionary(field)
	if err == nil {
		p.dictionaries[field] = d
	}
	return d, err
}

// beginning returns the documents that have a term that begins with start.
func (p *part) beginning(ctx context.Context, field, start string) (*roaring.Bitmap, error) {
	found := roaring.New()
	var rare []uint32 // documents of terms that only one has: there are many, and adding them one by one is expensive
	err := p.terms(ctx, field, start, nil, func(term string) error {
		list, err := p.dictionaries[field].PostingsList([]byte(term), nil, nil)
		if err != nil {
			return err
		}
		if doc, ok := only(list); ok {
			rare = append(rare, doc)
		} else {
			found.Or(documents(list))
		}
		return nil
	})
	found.AddMany(rare)
	return found, err
}

// terms calls do with the terms that begin with start and, if there is an automaton,
// that it accepts.
func (p *part) terms(ctx context.Context, field, start string, automaton segment.Automaton, do func(term string) error) error {
	dictionary, err := p.dictionary(field)
	if err != nil {
		return err
	}
	terms := dictionary.AutomatonIterator(automaton, []byte(start), after(start))
	for n := 0; ; n++ {
		if n%looksUp == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		term, err := terms.Next()
		if term == nil || err != nil {
			return err
		}
		if err := do(term.Term); err != nil {
			return err
		}
	}
}

// after returns the first text after all that begin with start. start ends with a
// letter, digit or mark, never with the greatest byte.
func after(start string) []byte {
	end := []byte(start)
	end[len(end)-1]++
	return end
}

// addSimilar adds the documents that have a word similar to the given one in name,
// title or tags. It assumes that the first letter is right.
func (f *finder) addSimilar(ctx context.Context, parts []*part, prefix, word string) error {
	letters := utf8.RuneCountInString(word)
	if letters < typoFrom {
		return nil
	}
	automaton, err := f.automaton(prefix+word, letters)
	if err != nil {
		return err
	}
	_, first := utf8.DecodeRuneInString(word)
	for _, p := range parts {
		found := &p.found[len(p.found)-1]
		if err := p.similar(ctx, found, labelField, prefix+word[:first], automaton); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) similar(ctx context.Context, f *finding, field, start string, automaton *levenshtein.DFA) error {
	near, far := roaring.New(), roaring.New()
	err := p.terms(ctx, field, start, automaton, func(term string) error {
		docs, err := p.among(field, term)
		if err != nil {
			return err
		}
		if _, edits := automaton.MatchAndDistance(term); edits <= 1 {
			near.Or(docs)
		} else {
			far.Or(docs)
		}
		return nil
	})
	*f = append(*f, place{docs: near, worth: nearly}, place{docs: far, worth: remotely})
	return err
}
