package maven

import (
	"cmp"
	"slices"
	"strings"
)

// compareVersions orders two versions as Maven does, by the "Version Order
// Specification" of its POM reference, in the form that class ComparableVersion
// of Maven 4 gives it. Versions that Maven takes for equal, such as 1 and 1.0,
// are different ones nevertheless, each in a folder of its own; they are ordered
// by their text.
func compareVersions(a, b string) int {
	if c := compareItem(parseVersion(a), parseVersion(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// isPrerelease reports whether a version has a qualifier that comes before the
// release: alpha, beta, milestone, rc or SNAPSHOT.
func isPrerelease(version string) bool { return parseVersion(version).prerelease() }

// A kind is what an item is. Items of different kinds are ordered by it:
// 1.any < 1-1 < 1.1.
type kind int

const (
	word        kind = iota // a qualifier: "rc"
	combination             // a qualifier with a number: "rc1" and "rc-1"
	list                    // what follows a hyphen, or a change between letters and digits
	number
)

// An item is a part of a version, and a whole one is a list.
type item struct {
	kind   kind
	text   string  // of a word or a combination: the qualifier
	digits string  // of a number or a combination, without leading zeros; "" is 0
	items  []*item // of a list
}

// qualifiers are those with a place of their own, in order. Others follow them
// by their text.
var qualifiers = []string{"alpha", "beta", "milestone", "rc", "snapshot", "", "sp"}

// released is the place of a release among the qualifiers.
var released = slices.Index(qualifiers, "")

// rank returns the place of a qualifier.
func rank(qualifier string) int {
	switch qualifier {
	case "ga", "final", "release":
		return released
	}
	if i := slices.Index(qualifiers, qualifier); i >= 0 {
		return i
	}
	return len(qualifiers)
}

// compareWord orders qualifiers.
func compareWord(a, b string) int {
	ra, rb := rank(a), rank(b)
	if ra == rb && ra == len(qualifiers) {
		return strings.Compare(a, b)
	}
	return cmp.Compare(ra, rb)
}

// compareDigits orders numbers of any length.
func compareDigits(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// compareItem orders two items, of which one may be nil: what a shorter version
// does not have.
func compareItem(a, b *item) int {
	switch {
	case a == nil && b == nil:
		return 0
	case b == nil:
		return a.compareNothing()
	case a == nil:
		return -b.compareNothing()
	case a.kind == number && b.kind == number:
		return compareDigits(a.digits, b.digits)
	case a.kind == list && b.kind == list:
		return compareLists(a.items, b.items)
	case a.kind <= combination && b.kind <= combination: // X < X1
		return cmp.Or(compareWord(a.text, b.text), cmp.Compare(a.kind, b.kind), compareDigits(a.digits, b.digits))
	}
	return cmp.Compare(a.kind, b.kind)
}

func compareLists(a, b []*item) int {
	at := func(items []*item, i int) *item {
		if i < len(items) {
			return items[i]
		}
		return nil
	}
	for i := range max(len(a), len(b)) {
		if c := compareItem(at(a, i), at(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// compareNothing orders an item and none: 1-rc < 1 = 1.0 = 1-ga < 1-sp < 1.1.
func (it *item) compareNothing() int {
	switch it.kind {
	case number:
		return len(it.digits)
	case list:
		return compareLists(it.items, nil)
	}
	return compareWord(it.text, "")
}

func (it *item) prerelease() bool {
	if it.kind == list {
		return slices.ContainsFunc(it.items, (*item).prerelease)
	}
	return it.kind != number && rank(it.text) < released
}

// isNull reports whether the item is worth nothing at the end of a list.
func (it *item) isNull() bool {
	switch it.kind {
	case number:
		return it.digits == ""
	case list:
		return len(it.items) == 0
	}
	return it.kind == word && it.text == ""
}

// normalize takes out what is worth nothing: 1.0-rc is 1-rc.
func (it *item) normalize() {
	for i := len(it.items) - 1; i >= 0; i-- {
		if it.items[i].isNull() && it.ends(i) {
			it.items = slices.Delete(it.items, i, i+1)
		}
	}
}

// ends reports whether nothing but a qualifier follows the item with index i.
func (it *item) ends(i int) bool {
	if i == len(it.items)-1 {
		return true
	}
	next := it.items[i+1]
	if next.kind == list && len(next.items) > 0 {
		return next.items[0].kind <= combination
	}
	return next.kind == word
}

// versionParser is on its way through a version.
type versionParser struct {
	text    string
	lists   []*item // the whole version, then the innermost list of each step
	start   int     // of the item under way
	digits  bool    // it is a number, or ends in one
	combine bool    // it is a combination
}

// parseVersion reads any text.
func parseVersion(version string) *item {
	p := &versionParser{text: strings.ToLower(version), lists: []*item{{kind: list}}}
	for i := 0; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '.':
			p.add(i)
			p.start, p.combine = i+1, false
		case c == '-':
			p.hyphen(i)
		case isDigit(c):
			if !p.digits && i > p.start {
				p.combine = true
				p.nest()
			}
			p.digits = true
		default:
			if p.digits && i > p.start {
				p.add(i)
				p.start, p.combine = i, false
				p.open()
			}
			p.digits = false
		}
	}
	if p.start < len(p.text) {
		if !p.digits { // .X is -X
			p.nest()
		}
		p.add(len(p.text))
	}
	for _, l := range slices.Backward(p.lists) {
		l.normalize()
	}
	return p.lists[0]
}

// hyphen ends an item, unless it is a qualifier that a number follows: X-1 is X1.
func (p *versionParser) hyphen(i int) {
	if i > p.start && !p.digits && i+1 < len(p.text) && isDigit(p.text[i+1]) {
		p.combine = true
		return
	}
	p.add(i)
	p.start, p.combine = i+1, false
	p.nest()
}

// innermost is the list that items are added to.
func (p *versionParser) innermost() *item { return p.lists[len(p.lists)-1] }

// open begins a list within the innermost one.
func (p *versionParser) open() {
	l := &item{kind: list}
	p.innermost().items = append(p.innermost().items, l)
	p.lists = append(p.lists, l)
}

// nest is open, unless the innermost list has yet to begin.
func (p *versionParser) nest() {
	if len(p.innermost().items) > 0 {
		p.open()
	}
}

// add adds the item that ends before end. Between two separators there is a 0.
func (p *versionParser) add(end int) {
	text, it := p.text[p.start:end], &item{kind: number}
	switch {
	case p.combine:
		it.kind = combination
		text = strings.ReplaceAll(text, "-", "")
		i := strings.IndexFunc(text, func(r rune) bool { return r < 0x80 && isDigit(byte(r)) })
		it.text, it.digits = qualifier(text[:i], true), strings.TrimLeft(text[i:], "0")
	case p.digits || text == "":
		it.digits = strings.TrimLeft(text, "0")
	default:
		it.kind, it.text = word, qualifier(text, false)
	}
	p.innermost().items = append(p.innermost().items, it)
}

// qualifier spells out the short forms of qualifiers.
func qualifier(text string, numbered bool) string {
	switch {
	case text == "cr":
		return "rc"
	case numbered && text == "a":
		return "alpha"
	case numbered && text == "b":
		return "beta"
	case numbered && text == "m":
		return "milestone"
	}
	return text
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
