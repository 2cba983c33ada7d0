package nuget

import "strings"

// A versionRange is the range that a dependency accepts. A nil bound is open.
type versionRange struct {
	min, max                   *version
	minInclusive, maxInclusive bool
}

// parseRange parses NuGet's interval notation. A .nuspec must not contain floating
// ranges such as "1.*", so parseRange refuses them.
func parseRange(s string) (versionRange, bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return versionRange{}, false
	}
	if s[0] != '[' && s[0] != '(' {
		lower, ok := parseVersion(s)
		return versionRange{min: &lower, minInclusive: true}, ok
	}
	last := s[len(s)-1]
	if len(s) < 2 || last != ']' && last != ')' {
		return versionRange{}, false
	}
	r := versionRange{minInclusive: s[0] == '[', maxInclusive: last == ']'}
	return r, r.parseBounds(s[1 : len(s)-1])
}

func (r *versionRange) parseBounds(s string) bool {
	lower, upper, isPair := strings.Cut(s, ",")
	if !isPair {
		upper = lower // "[1.0]" is exactly 1.0; "(1.0]" is empty
		if !r.minInclusive || !r.maxInclusive {
			return false
		}
	}
	var okLower, okUpper bool
	r.min, okLower = parseBound(lower)
	r.max, okUpper = parseBound(upper)
	if !okLower || !okUpper || r.min == nil && r.max == nil {
		return false
	}
	return r.min == nil || r.max == nil || r.ordered()
}

// parseBound returns nil for an open bound.
func parseBound(s string) (*version, bool) {
	if strings.TrimSpace(s) == "" {
		return nil, true
	}
	v, ok := parseVersion(s)
	return &v, ok
}

func (r *versionRange) ordered() bool {
	c := r.min.compare(*r.max)
	return c < 0 || c == 0 && r.minInclusive == r.maxInclusive
}

// contains reports whether a version key lies within the range.
func (r versionRange) contains(key string) bool {
	v, ok := parseVersion(key)
	if !ok {
		return false
	}
	if r.min != nil {
		if c := r.min.compare(v); c > 0 || c == 0 && !r.minInclusive {
			return false
		}
	}
	if r.max != nil {
		if c := r.max.compare(v); c < 0 || c == 0 && !r.maxInclusive {
			return false
		}
	}
	return true
}

// String returns the normalized notation, the only one that every client can parse in a
// registration: "[1.0.0, 2.0.0)".
func (r versionRange) String() string {
	var b strings.Builder
	if r.min != nil && r.minInclusive {
		b.WriteString("[")
	} else {
		b.WriteString("(")
	}
	if r.min != nil {
		b.WriteString(r.min.normal())
	}
	b.WriteString(", ")
	if r.max != nil {
		b.WriteString(r.max.normal())
	}
	if r.max != nil && r.maxInclusive {
		b.WriteString("]")
	} else {
		b.WriteString(")")
	}
	return b.String()
}

// semVer2 reports whether clients before 4.3 cannot read one of the bounds.
func (r versionRange) semVer2() bool {
	return r.min != nil && r.min.semVer2() || r.max != nil && r.max.semVer2()
}
