package pypi

import (
	"cmp"
	"slices"
	"strings"
)

// A version is a parsed version of PEP 440. Numbers are strings of digits without
// leading zeros, so that none is too large.
type version struct {
	epoch   string
	release []string
	pre     string // "a", "b" or "rc"; "" for none
	preN    string
	post    string // the number; "" for none
	dev     string // the number; "" for none
	local   []string
}

// parseVersion parses a version as in PEP 440's appendix B, in any of the spellings
// that its section "Normalization" lists.
func parseVersion(text string) (v version, ok bool) {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		return v, false // ToLower turns some other letters into ASCII
	}
	s := scanner(strings.TrimPrefix(strings.ToLower(strings.Trim(text, " \t\n\r\f\v")), "v"))
	if v.epoch, ok = s.number(); !ok {
		return v, false
	}
	if !s.skip("!") {
		v.release, v.epoch = []string{v.epoch}, "0"
	} else if n, ok := s.number(); ok {
		v.release = []string{n}
	} else {
		return v, false
	}
	for n, ok := s.numberAfter("."); ok; n, ok = s.numberAfter(".") {
		v.release = append(v.release, n)
	}
	v.suffixes(&s)
	if s.skip("+") {
		if v.local, ok = s.labels(); !ok {
			return v, false
		}
	}
	return v, s == ""
}

// preSpellings are in the order in which they must be tried.
var preSpellings = [][2]string{{"alpha", "a"}, {"beta", "b"}, {"preview", "rc"}, {"pre", "rc"}, {"rc", "rc"}, {"a", "a"}, {"b", "b"}, {"c", "rc"}}

func (v *version) suffixes(s *scanner) {
	for _, spelling := range preSpellings {
		if n, ok := s.suffix(spelling[0]); ok {
			v.pre, v.preN = spelling[1], n
			break
		}
	}
	if n, ok := s.numberAfter("-"); ok {
		v.post = n
	} else {
		for _, spelling := range []string{"post", "rev", "r"} {
			if n, ok := s.suffix(spelling); ok {
				v.post = n
				break
			}
		}
	}
	if n, ok := s.suffix("dev"); ok {
		v.dev = n
	}
}

// A scanner is the text left to parse.
type scanner string

func (s *scanner) skip(prefix string) bool {
	rest, ok := strings.CutPrefix(string(*s), prefix)
	*s = scanner(rest)
	return ok
}

// number reads digits, and removes leading zeros.
func (s *scanner) number() (string, bool) {
	n := 0
	for n < len(*s) && isDigit((*s)[n]) {
		n++
	}
	digits := string((*s)[:n])
	*s = (*s)[n:]
	return trimZeros(digits), n > 0
}

// numberAfter reads a number after a prefix. If the prefix is missing, it reads
// nothing.
func (s *scanner) numberAfter(prefix string) (string, bool) {
	rest := *s
	if !rest.skip(prefix) {
		return "", false
	}
	n, ok := rest.number()
	if ok {
		*s = rest
	}
	return n, ok
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func trimZeros(digits string) string {
	if trimmed := strings.TrimLeft(digits, "0"); trimmed != "" || digits == "" {
		return trimmed
	}
	return "0"
}

// suffix reads a word and its number, which defaults to 0, with an optional separator
// before each. If the word is missing, it reads nothing.
func (s *scanner) suffix(word string) (string, bool) {
	rest := *s
	rest.separator()
	if !rest.skip(word) {
		return "", false
	}
	rest.separator()
	n, ok := rest.number()
	if !ok {
		n = "0"
	}
	*s = rest
	return n, true
}

func (s *scanner) separator() {
	if *s != "" && strings.IndexByte("-_.", (*s)[0]) >= 0 {
		*s = (*s)[1:]
	}
}

// labels reads the rest as a local version.
func (s *scanner) labels() ([]string, bool) {
	labels := strings.FieldsFunc(string(*s), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	length := len(labels) - 1 // number of separators
	for i, label := range labels {
		length += len(label)
		numeric := true
		for _, c := range []byte(label) {
			if !isDigit(c) && (c < 'a' || c > 'z') {
				return nil, false
			}
			numeric = numeric && isDigit(c)
		}
		if numeric {
			labels[i] = trimZeros(label)
		}
	}
	if len(labels) == 0 || length != len(*s) {
		return nil, false
	}
	*s = ""
	return labels, true
}

// String returns the normal form, including the zeros at the end of the release.
func (v version) String() string {
	var b strings.Builder
	if v.epoch != "0" {
		b.WriteString(v.epoch + "!")
	}
	b.WriteString(strings.Join(v.release, ".") + v.pre + v.preN)
	if v.post != "" {
		b.WriteString(".post" + v.post)
	}
	if v.dev != "" {
		b.WriteString(".dev" + v.dev)
	}
	if v.local != nil {
		b.WriteString("+" + strings.Join(v.local, "."))
	}
	return b.String()
}

// key returns the normal form that decides identity: 1.0 and 1.0.0 are one version, and
// clients use the files of either for the other.
func (v version) key() string {
	for len(v.release) > 1 && v.release[len(v.release)-1] == "0" {
		v.release = v.release[:len(v.release)-1]
	}
	return v.String()
}

// prerelease reports whether clients omit the version unless asked for prereleases.
func (v version) prerelease() bool { return v.pre != "" || v.dev != "" }

// compare orders versions as in PEP 440's section "Summary of permitted suffixes and
// relative ordering".
func (v version) compare(o version) int {
	return cmp.Or(
		compareNumbers(v.epoch, o.epoch),
		compareReleases(v.release, o.release),
		cmp.Compare(v.phase(), o.phase()), cmp.Compare(v.pre, o.pre), compareNumbers(v.preN, o.preN),
		compareNumbers(v.post, o.post), // no post-release sorts first
		compareDevs(v.dev, o.dev),
		slices.CompareFunc(v.local, o.local, compareLabels))
}

// phase ranks the part after the release number: development releases of the release
// itself come first, then its prereleases, then everything else.
func (v version) phase() int {
	switch {
	case v.pre != "":
		return 1
	case v.post == "" && v.dev != "":
		return 0
	}
	return 2
}

// compareNumbers compares digits without leading zeros; "" is less than any number.
func compareNumbers(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

func compareReleases(a, b []string) int {
	at := func(release []string, i int) string {
		if i < len(release) {
			return release[i]
		}
		return "0"
	}
	for i := range max(len(a), len(b)) {
		if c := compareNumbers(at(a, i), at(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// compareDevs orders versions that are not development releases last.
func compareDevs(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(b), len(a))
	}
	return compareNumbers(a, b)
}

// compareLabels orders words before numbers.
func compareLabels(a, b string) int {
	aNumber, bNumber := strings.Trim(a, "0123456789") == "", strings.Trim(b, "0123456789") == ""
	switch {
	case aNumber && bNumber:
		return compareNumbers(a, b)
	case aNumber:
		return 1
	case bNumber:
		return -1
	}
	return strings.Compare(a, b)
}

// versionKey returns the form of a version that decides identity. Text that is not a
// version matches nothing.
func versionKey(text string) string {
	if v, ok := parseVersion(text); ok {
		return v.key()
	}
	return strings.ToLower(strings.TrimSpace(text))
}

// compareVersions orders keys. Text that is not a version comes first.
func compareVersions(a, b string) int {
	va, okA := parseVersion(a)
	vb, okB := parseVersion(b)
	switch {
	case okA && okB:
		return va.compare(vb)
	case okA:
		return 1
	case okB:
		return -1
	}
	return strings.Compare(a, b)
}
