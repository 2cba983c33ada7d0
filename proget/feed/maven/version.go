package maven

import (
	"cmp"
	"slices"
	"strings"
)

// compareVersions orders two versions as Maven does, by the "Version Order
// Specification" of its POM reference, as implemented by class ComparableVersion of
// Maven 4. Versions that Maven considers equal, such as 1 and 1.0, are nevertheless
// different versions in separate folders; compareVersions orders them by their text.
func compareVersions(a, b string) int {
	if c := compareItem(parseVersion(a), parseVersion(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// isPrerelease reports whether a version has a qualifier that sorts before the release:
// alpha, beta, milestone, rc or SNAPSHOT.
func isPrerelease(version string) bool { return parseVersion(version).prerelease() }

// A kind is the kind of an item. Items of different kinds are ordered by kind: 1.any <
// 1-1 < 1.1.
type kind int

const (
	word        kind = iota // a qualifier: "rc"
	combination             // a qualifier with a number: "rc1" and "rc-1"
	list                    // the items after a hyphen, or after a change between letters and digits
	number
)

// An item is a part of a version. A whole version is a list.
type item struct {
	kind   kind
	text   string  // the qualifier of a word or a combination
	digits string  // of a number or a combination, without leading zeros; "" is 0
	items  []*item // of a list
}

// qualifiers are the qualifiers with a defined order. Others follow them, ordered by
// text.
var qualifiers = []string{"alpha", "beta", "milestone", "rc", "snapshot", "", "sp"}

// released is the position of a release among the qualifiers.
var released = slices.Index(qualifiers, "")

// rank returns the position of a qualifier.
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

// compareItem orders two items. nil stands for an item that a shorter version lacks.
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

// compareNothing orders an item against a missing one: 1-rc < 1 = 1.0 = 1-ga < 1-sp <
// 1.1.
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

// isNull reports whether the item has no effect at the end of a list.
func (it *item) isNull() bool {
	switch it.kind {
	case number:
		return it.digits == ""
	case list:
		return len(it.items) == 0
	}
	return it.kind == word && it.text == ""
}

// normalize removes items without effect: 1.0-rc is 1-rc.
func (it *item) normalize() {
	for i := len(it.items) - 1; i >= 0; i-- {
		if it.items[i].isNull() && it.ends(i) {
			it.items = slices.Delete(it.items, i, i+1)
		}
	}
}

// ends reports whether at most a qualifier follows the item with index i.
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

// versionParser is the state of parsing a version.
type versionParser struct {
	text    string
	lists   []*item // the whole version, then each nested list
	start   int     // of the present item
	digits  bool    // the present item is a number, or ends in one
	combine bool    // the present item is a combination
}

// parseVersion parses any text.
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
		if !p.digits { // .X is the same as -X
			p.nest()
		}
		p.add(len(p.text))
	}
	for _, l := range slices.Backward(p.lists) {
		l.normalize()
	}
	return p.lists[0]
}

// hyphen ends an item, unless the item is a qualifier and a number follows: X-1 is X1.
func (p *versionParser) hyphen(i int) {
	if i > p.start && !p.digits && i+1 < len(p.text) && isDigit(p.text[i+1]) {
		p.combine = true
		return
	}
	p.add(i)
	p.start, p.combine = i+1, false
	p.nest()
}

// innermost returns the list to which items are added.
func (p *versionParser) innermost() *item { return p.lists[len(p.lists)-1] }

// open begins a list within the innermost one.
func (p *versionParser) open() {
	l := &item{kind: list}
	p.innermost().items = append(p.innermost().items, l)
	p.lists = append(p.lists, l)
}

// nest calls open, unless the innermost list is still empty.
func (p *versionParser) nest() {
	if len(p.innermost().items) > 0 {
		p.open()
	}
}

// add adds the item that ends before end. Between two separators, it adds a 0.
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

// qualifier expands the short forms of qualifiers.
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
