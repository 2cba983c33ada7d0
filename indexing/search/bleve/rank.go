package bleve

import (
	"cmp"
	"container/heap"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"github.com/proget-go/ha/indexing/search"
)

// A scored is a document that was found, with its score.
type scored struct {
	score float32
	key   []byte
}

// before orders by score, then by key, so that pages neither overlap nor leave gaps.
func (s scored) before(o scored) bool {
	if s.score != o.score {
		return s.score > o.score
	}
	return before(s.key, o.key)
}

// best is a heap of the best documents, the worst of them on top.
type best []scored

func (b best) Len() int           { return len(b) }
func (b best) Less(i, j int) bool { return b[j].before(b[i]) }
func (b best) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *best) Push(x any)        { *b = append(*b, x.(scored)) }
func (b *best) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

// rank counts what the parts have found and returns the requested page.
func (f *finder) rank(ctx context.Context, parts []*part, prefix string, q search.Query) (hits search.Hits, err error) {
	window := pageEnd(parts, q)
	var top best
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return hits, err
		}
		n, err := f.rankPart(p, &top, window, prefix, q)
		if err != nil {
			return hits, err
		}
		hits.Total += n
	}
	slices.SortFunc(top, func(a, b scored) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	for i := q.Skip; i < len(top); i++ {
		hits.Keys = append(hits.Keys, string(top[i].key))
	}
	return hits, nil
}

// pageEnd returns how many documents must be put in order: none if the page begins
// after the last document or, for a text search, after the window.
func pageEnd(parts []*part, q search.Query) int {
	most := 0
	for _, p := range parts {
		most += int(p.matching.GetCardinality())
	}
	if strings.TrimSpace(q.Text) != "" {
		most = min(most, search.MaxWindow)
	}
	if q.Skip >= most {
		return 0
	}
	return min(q.Skip+q.Take, most)
}

func (f *finder) rankPart(p *part, top *best, window int, prefix string, q search.Query) (total int, err error) {
	if window == 0 && q.NamePrefix == "" {
		return int(p.matching.GetCardinality()), nil
	}
	tiers, s := []tier{{docs: p.matching}}, new(standing)
	if len(p.found) > 0 {
		whole, err := p.among(wholeField, prefix+wholeText(q.Text))
		if err != nil {
			return 0, err
		}
		tiers = p.tiers(whole)
		if s, err = f.standings.get(p); err != nil {
			return 0, err
		}
	}
	c := chooser{p, s, top, window, prefix}
	if q.NamePrefix != "" {
		return c.withPrefix(tiers, strings.ToLower(q.NamePrefix))
	}
	for _, t := range tiers {
		if err := c.choose(t); err != nil {
			return 0, err
		}
	}
	return int(p.matching.GetCardinality()), nil
}

// A tier is documents of a part that are equally good: their words were found in equally
// good places, or their standing is the same.
type tier struct {
	docs  *roaring.Bitmap
	worth float32
}

// better puts the best tier first.
func better(a, b tier) int { return cmp.Compare(b.worth, a.worth) }

// tiers divides the matching documents into tiers, the best first. Of the places in which a
// document has a word, the best one counts.
func (p *part) tiers(whole *roaring.Bitmap) []tier {
	tiers := []tier{{p.matching, 0}}
	if !whole.IsEmpty() {
		tiers = []tier{{whole, wholeName}, {roaring.AndNot(p.matching, whole), 0}}
	}
	for _, f := range p.found {
		tiers = f.divide(tiers)
	}
	slices.SortFunc(tiers, better)
	return tiers
}

// divide divides tiers by the places of one more word, which all their documents have.
func (f finding) divide(tiers []tier) (divided []tier) {
	add := func(docs *roaring.Bitmap, worth float32) {
		i := slices.IndexFunc(divided, func(t tier) bool { return t.worth == worth })
		if i < 0 {
			divided = append(divided, tier{docs, worth})
		} else {
			divided[i].docs = roaring.Or(divided[i].docs, docs)
		}
	}
	for _, t := range tiers {
		left, last := t.docs, len(f)-1
		for _, place := range f[:last] {
			if left.Intersects(place.docs) {
				add(roaring.And(left, place.docs), t.worth+place.value())
				left = roaring.AndNot(left, place.docs)
			}
		}
		if !left.IsEmpty() {
			add(left, t.worth+f[last].value())
		}
	}
	return divided
}

// value returns what a word in this place adds to a document's score.
func (p place) value() float32 {
	if p.worth <= nearly {
		return p.worth + afterTheRest
	}
	return p.worth
}

// A chooser adds the documents of a part that are among the best so far to top.
type chooser struct {
	*part
	standing *standing
	top      *best
	window   int // how many are wanted
	prefix   string
}

// few is a number of documents that are scored faster one by one than by standing.
const few = 1000

// choose adds those of a tier: if there are many, those of the best standing first, until
// the rest cannot be among the best.
func (c chooser) choose(t tier) error {
	if len(c.standing.classes) == 0 || t.docs.GetCardinality() <= few {
		return c.each(t.docs, func(doc uint32) float32 { return t.worth + c.standing.at(doc) })
	}
	for _, class := range c.standing.classes {
		score := t.worth + class.worth
		if len(*c.top) >= c.window && score < (*c.top)[0].score {
			return nil
		}
		if err := c.each(roaring.And(t.docs, class.docs), func(uint32) float32 { return score }); err != nil {
			return err
		}
	}
	return nil
}

// each offers documents with their scores.
func (c chooser) each(docs *roaring.Bitmap, score func(doc uint32) float32) error {
	for all := docs.Iterator(); all.HasNext(); {
		doc := all.Next()
		if err := c.offer(doc, score(doc)); err != nil {
			return err
		}
	}
	return nil
}

// offer adds a document if it is among the best. It reads the key only if it may be.
func (c chooser) offer(doc uint32, score float32) error {
	if len(*c.top) >= c.window && score < (*c.top)[0].score {
		return nil
	}
	id, err := c.DocID(uint64(doc))
	if err != nil {
		return err
	}
	c.add(scored{score, id[min(len(c.prefix), len(id)):]})
	return nil
}

func (c chooser) add(found scored) {
	switch {
	case len(*c.top) < c.window:
		heap.Push(c.top, found)
	case c.window > 0 && found.before((*c.top)[0]):
		(*c.top)[0] = found
		heap.Fix(c.top, 0)
	}
}

// withPrefix adds those whose keys begin with start, and counts these.
func (c chooser) withPrefix(tiers []tier, start string) (total int, err error) {
	for _, t := range tiers {
		for docs := t.docs.Iterator(); docs.HasNext(); {
			doc := docs.Next()
			id, err := c.DocID(uint64(doc))
			if err != nil {
				return 0, err
			}
			if key := id[min(len(c.prefix), len(id)):]; beginsWith(key, start) {
				total++
				c.add(scored{t.worth + c.standing.at(doc), key})
			}
		}
	}
	return total, nil
}

// A standing is what the documents of a segment score by themselves, whatever the query.
type standing struct {
	of      []float32
	classes []tier // the documents by their standing, which has few values, the best first
}

// at returns a document's standing; for the zero standing, 0.
func (s *standing) at(doc uint32) float32 {
	if len(s.of) == 0 {
		return 0
	}
	return s.of[doc]
}

// standings caches the standing of each segment, which never changes.
type standings struct {
	mu sync.Mutex
	of map[segment.Segment]*known
}

// A known is a segment's standing once the first query has asked for it.
type known struct {
	mu sync.Mutex
	s  *standing
}

func (s *standings) get(p *part) (*standing, error) {
	s.mu.Lock()
	k := s.of[p.Segment()]
	if k == nil {
		k = new(known)
		s.of[p.Segment()] = k
	}
	s.mu.Unlock()
	k.mu.Lock() // one query finds it out for all
	defer k.mu.Unlock()
	var err error
	if k.s == nil {
		k.s, err = p.standing()
	}
	return k.s, err
}

// keep forgets segments that no longer exist.
func (s *standings) keep(segments []*scorch.SegmentSnapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.of) <= 2*len(segments) {
		return
	}
	present := make(map[segment.Segment]bool, len(segments))
	for _, each := range segments {
		present[each.Segment()] = true
	}
	maps.DeleteFunc(s.of, func(each segment.Segment, _ *known) bool { return !present[each] })
}

func (p *part) standing() (*standing, error) {
	s := &standing{of: make([]float32, p.Segment().Count())}
	for field, worth := range map[string]func(n float32) float32{
		lengthField:  func(n float32) float32 { return shortName / n },
		popularField: func(n float32) float32 { return perDigit * n },
	} {
		for n := range 10 {
			docs, err := p.docs(field, strconv.Itoa(n))
			if err != nil {
				return nil, err
			}
			docs.Iterate(func(doc uint32) bool {
				s.of[doc] += worth(float32(n))
				return true
			})
		}
	}
	classes := make(map[float32]*roaring.Bitmap)
	for doc, worth := range s.of {
		if classes[worth] == nil {
			classes[worth] = roaring.New()
		}
		classes[worth].Add(uint32(doc))
	}
	for worth, docs := range classes {
		s.classes = append(s.classes, tier{docs, worth})
	}
	slices.SortFunc(s.classes, better)
	return s, nil
}
