package bleve

import (
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
	scores, _ := f.scores.Get().(*[]float32)
	if scores == nil {
		scores = new([]float32)
	}
	defer f.scores.Put(scores)
	if len(p.found) > 0 {
		if err := f.score(p, scores, prefix, q); err != nil {
			return 0, err
		}
	}
	return p.choose(top, window, *scores, prefix, strings.ToLower(q.NamePrefix))
}

// choose adds the documents of a part that are among the best so far to top, and counts
// all. It reads the keys only of documents that may be added, or of all if keys must
// begin with start.
func (p *part) choose(top *best, window int, scores []float32, prefix, start string) (total int, err error) {
	if start == "" {
		total = int(p.matching.GetCardinality())
		if window == 0 {
			return total, nil
		}
	}
	for docs := p.matching.Iterator(); docs.HasNext(); {
		doc := docs.Next()
		var score float32
		if len(p.found) > 0 {
			score = scores[doc]
		}
		full := len(*top) >= window
		if start == "" && full && score < (*top)[0].score {
			continue
		}
		id, err := p.DocID(uint64(doc))
		if err != nil {
			return 0, err
		}
		found := scored{score, id[min(len(prefix), len(id)):]}
		if start != "" {
			if !beginsWith(found.key, start) {
				continue
			}
			total++
		}
		switch {
		case !full:
			heap.Push(top, found)
		case window > 0 && found.before((*top)[0]):
			(*top)[0] = found
			heap.Fix(top, 0)
		}
	}
	return total, nil
}

// score sets the scores of the part's matching documents. Scores of other documents are
// undefined.
func (f *finder) score(p *part, scores *[]float32, prefix string, q search.Query) error {
	standing, err := f.standings.get(p)
	if err != nil {
		return err
	}
	if len(*scores) < len(standing) {
		*scores = make([]float32, len(standing))
	}
	p.matching.Iterate(func(doc uint32) bool {
		(*scores)[doc] = standing[doc]
		return true
	})
	for _, found := range p.found {
		p.add(*scores, found)
	}
	whole, err := p.among(wholeField, prefix+wholeText(q.Text))
	if err != nil {
		return err
	}
	addTo(*scores, whole, wholeName)
	return nil
}

// add adds the worth of the best place of a word to each document's score.
func (p *part) add(scores []float32, f finding) {
	left := p.matching
	for i, place := range f {
		hit := roaring.And(left, place.docs)
		if hit.IsEmpty() {
			continue
		}
		worth := place.worth
		if worth <= nearly {
			worth += afterTheRest
		}
		addTo(scores, hit, worth)
		if i < len(f)-1 {
			left = roaring.AndNot(left, hit)
		}
	}
}

func addTo(scores []float32, docs *roaring.Bitmap, worth float32) {
	docs.Iterate(func(doc uint32) bool {
		scores[doc] += worth
		return true
	})
}

// standings caches the part of each document's score that is the same in every query. A
// segment never changes.
type standings struct {
	mu sync.Mutex
	of map[segment.Segment][]float32
}

func (s *standings) get(p *part) ([]float32, error) {
	s.mu.Lock()
	known := s.of[p.Segment()]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	standing, err := p.standing()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[p.Segment()] = standing
	return standing, nil
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
	maps.DeleteFunc(s.of, func(each segment.Segment, _ []float32) bool { return !present[each] })
}

func (p *part) standing() ([]float32, error) {
	standing := make([]float32, p.Segment().Count())
	for field, worth := range map[string]func(n float32) float32{
		lengthField:  func(n float32) float32 { return shortName / n },
		popularField: func(n float32) float32 { return perDigit * n },
	} {
		for n := range 10 {
			docs, err := p.docs(field, strconv.Itoa(n))
			if err != nil {
				return nil, err
			}
			addTo(standing, docs, worth(float32(n)))
		}
	}
	return standing, nil
}
