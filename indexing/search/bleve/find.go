package bleve

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"github.com/blevesearch/vellum/levenshtein"

	"github.com/proget-go/ha/indexing/search"
)

// The library's own queries score every document by every field that a word
// occurs in, which takes milliseconds for a common word. Here a query is worked
// on the sets of documents that the library keeps per term: which packages match
// is a matter of intersecting sets, and only those are scored, by the best place
// in which each word was found.

// What a match is worth.
const (
	inName       = 8.0
	inLabel      = 5.0
	begins       = 3.0 // a word of name, title or tags begins so
	asParts      = 1.5 // the word's parts are found, if not the word
	inText       = 1.0
	nearly       = 0.5 // but for one letter
	remotely     = 0.25
	wholeName    = 1000.0
	shortName    = 3.0   // divided by the name's words
	perDigit     = 0.4   // of the number of downloads
	afterTheRest = -50.0 // of what is found only by allowing for typos
)

const (
	maxWords = 10 // of a query that count

	// A word that so few packages have in name, title or tags may be mistyped:
	// similar ones are looked for, too.
	fewPackages = 5

	typoFrom, typosFrom = 4, 8 // letters of words in which one or two typos are allowed for
	maxSimilar          = 50   // words that are taken for what was meant
	maxBeginning        = 1000 // words that may follow from a long beginning, in each segment
)

// A finder answers queries for text.
type finder struct {
	one, two *levenshtein.LevenshteinAutomatonBuilder // for one or two edits, the swap of two neighbours being one

	standings standings
	scores    sync.Pool // of *[]float32
}

func newFinder() (f *finder, err error) {
	f = &finder{standings: standings{of: make(map[segment.Segment][]float32)}}
	if f.one, err = levenshtein.NewLevenshteinAutomatonBuilder(1, true); err == nil {
		f.two, err = levenshtein.NewLevenshteinAutomatonBuilder(2, true)
	}
	return f, err
}

// automaton recognizes a term with as many typos as a word of that length is
// allowed.
func (f *finder) automaton(term string, letters int) (*levenshtein.DFA, error) {
	if letters < typosFrom {
		return f.one.BuildDfa(term, 1)
	}
	return f.two.BuildDfa(term, 2)
}

// A part is the documents of a segment, which never changes but for those that
// were deleted, and what has been found in it.
type part struct {
	*scorch.SegmentSnapshot
	dictionaries map[string]segment.TermDictionary
	matching     *roaring.Bitmap // all that was asked so far
	found        []finding       // for each word of the query
}

// A finding is where a word is found among the documents that match the words
// before it, the best place first.
type finding []place

type place struct {
	docs  *roaring.Bitmap
	worth float32
	of    uint64 // documents at that place, whether they match the other words or not
}

func (f finding) all() *roaring.Bitmap {
	sets := make([]*roaring.Bitmap, len(f))
	for i := range f {
		sets[i] = f[i].docs
	}
	return roaring.FastOr(sets...)
}

// find answers a query for text, or for what the table does not know.
func (f *finder) find(ctx context.Context, snapshot *scorch.IndexSnapshot, q search.Query) (search.Hits, error) {
	prefix := feedPrefix(q.FeedID)
	runs := search.Runs(q.Text)
	runs = runs[:min(len(runs), maxWords)]
	f.standings.keep(snapshot.Segments())
	parts, err := begin(snapshot, prefix, q)
	if err != nil {
		return search.Hits{}, err
	}
	for _, run := range runs {
		if err := ctx.Err(); err != nil {
			return search.Hits{}, err
		}
		if err := f.findRun(parts, prefix, run); err != nil {
			return search.Hits{}, err
		}
	}
	if strings.TrimSpace(q.Text) != "" && len(runs) == 0 {
		return search.Hits{}, nil // punctuation alone
	}
	return f.rank(ctx, parts, prefix, q)
}

// begin returns the parts that have documents which are asked for, whatever
// the text.
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

// begin intersects what needs no scoring.
func (p *part) begin(prefix string, q search.Query) (err error) {
	p.matching, err = p.docs(shelfField, prefix+strconv.Itoa(shelf(q.Prerelease, q.Old)))
	for field, value := range map[string]string{typeField: q.Type, tagField: q.Tag} {
		if value != "" && err == nil {
			p.matching, err = p.among(field, prefix+strings.ToLower(value))
		}
	}
	if err == nil && p.Deleted() != nil {
		p.matching = roaring.AndNot(p.matching, p.Deleted())
	}
	return err
}

// among returns those of the documents that match so far which have a term.
func (p *part) among(field, term string) (*roaring.Bitmap, error) {
	docs, err := p.docs(field, term)
	if err != nil {
		return nil, err
	}
	return roaring.And(p.matching, docs), nil
}

// findRun narrows the parts to documents that have a word of the query.
func (f *finder) findRun(parts []*part, prefix string, run search.Run) error {
	var carried uint64
	for _, p := range parts {
		found, err := p.findRun(prefix, run)
		if err != nil {
			return err
		}
		p.found = append(p.found, found)
		for _, place := range found {
			if place.worth == begins { // or is the whole of a word
				carried += place.of
			}
		}
	}
	if carried < fewPackages {
		if err := f.addSimilar(parts, prefix, run.Word); err != nil {
			return err
		}
	}
	for _, p := range parts {
		p.matching = p.found[len(p.found)-1].all()
	}
	return nil
}

func (p *part) findRun(prefix string, run search.Run) (finding, error) {
	f, err := p.findWord(prefix, run.Word)
	if err != nil || len(run.Parts) == 0 {
		return f, err
	}
	var together *roaring.Bitmap
	for _, word := range run.Parts {
		each, err := p.findWord(prefix, word)
		if err != nil {
			return nil, err
		}
		if docs := each.all(); together == nil {
			together = docs
		} else {
			together.And(docs)
		}
	}
	last := len(f) - 1 // in the text
	return append(f[:last:last], place{docs: together, worth: asParts}, f[last]), nil
}

// findWord looks where a word is found, whole or as a beginning.
func (p *part) findWord(prefix, word string) (f finding, err error) {
	add := func(worth float32, find func(field, term string) (*roaring.Bitmap, error), field string) {
		if err != nil {
			return
		}
		var docs *roaring.Bitmap
		if docs, err = find(field, prefix+word); err == nil {
			f = append(f, place{roaring.And(p.matching, docs), worth, docs.GetCardinality()})
		}
	}
	add(inName, p.docs, nameField)
	add(inName, p.docs, wholeField)
	add(inLabel, p.docs, labelField)
	if utf8.RuneCountInString(word) <= maxStart {
		add(begins, p.docs, startField)
	} else {
		add(begins, p.beginning, labelField)
	}
	add(inText, p.docs, textField)
	return f, err
}

// docs returns the documents that have a term, deleted ones included. They are
// not to be changed: they may be the segment's own.
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

func documents(list segment.PostingsList) *roaring.Bitmap {
	if whole, ok := list.Iterator(false, false, false, nil).(segment.OptimizablePostingsIterator); ok {
		if doc, ok := whole.DocNum1Hit(); ok {
			return roaring.BitmapOf(uint32(doc))
		}
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

// beginning returns the documents that have a term which begins so.
func (p *part) beginning(field, start string) (*roaring.Bitmap, error) {
	dictionary, err := p.dictionary(field)
	if err != nil {
		return nil, err
	}
	found := roaring.New()
	terms := dictionary.AutomatonIterator(nil, []byte(start), after(start))
	for range maxBeginning {
		term, err := terms.Next()
		if err != nil {
			return nil, err
		}
		if term == nil {
			break
		}
		docs, err := p.docs(field, term.Term)
		if err != nil {
			return nil, err
		}
		found.Or(docs)
	}
	return found, nil
}

// after returns the first text after all that begin with start, which ends with
// a letter or a digit, never with the last byte there is.
func after(start string) []byte {
	end := []byte(start)
	end[len(end)-1]++
	return end
}

// addSimilar adds the documents that have a word like the one that is looked
// for in name, title or tags. Its first letter counts as right.
func (f *finder) addSimilar(parts []*part, prefix, word string) error {
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
		if err := p.similar(found, labelField, prefix+word[:first], automaton); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) similar(f *finding, field, start string, automaton *levenshtein.DFA) error {
	dictionary, err := p.dictionary(field)
	if err != nil {
		return err
	}
	near, far := roaring.New(), roaring.New()
	terms := dictionary.AutomatonIterator(automaton, []byte(start), after(start))
	for range maxSimilar {
		term, err := terms.Next()
		if err != nil {
			return err
		}
		if term == nil {
			break
		}
		docs, err := p.among(field, term.Term)
		if err != nil {
			return err
		}
		if _, edits := automaton.MatchAndDistance(term.Term); edits <= 1 {
			near.Or(docs)
		} else {
			far.Or(docs)
		}
	}
	*f = append(*f, place{docs: near, worth: nearly}, place{docs: far, worth: remotely})
	return nil
}
