package nuget

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// A version is a NuGet version: a semantic version with an optional fourth number. All
// numbers but the first are optional.
type version struct {
	numbers  [4]int   // major, minor, patch, revision
	labels   []string // parts of the prerelease label; none for a stable version
	metadata string   // build metadata, which is not part of the identity
}

// parseVersion parses a version as NuGetVersion.TryParse does, except that it allows
// white space only around the version, not within.
func parseVersion(s string) (version, bool) {
	var v version
	s, metadata, hasMetadata := strings.Cut(strings.TrimSpace(s), "+")
	numbers, labels, hasLabels := strings.Cut(s, "-")
	if !v.parseNumbers(numbers) {
		return version{}, false
	}
	if hasLabels {
		v.labels = strings.Split(labels, ".")
	}
	for _, label := range v.labels {
		if !validLabel(label) || numberWithZeros(label) {
			return version{}, false
		}
	}
	if hasMetadata && !validMetadata(metadata) {
		return version{}, false
	}
	v.metadata = metadata
	return v, true
}

func (v *version) parseNumbers(s string) bool {
	for i := range v.numbers {
		part, rest, more := strings.Cut(s, ".")
		n, ok := parseNumber(part)
		if !ok {
			return false
		}
		v.numbers[i] = n
		if !more {
			return true
		}
		s = rest
	}
	return false // a fifth part
}

// parseNumber accepts leading zeros, but no sign and nothing above .NET's Int32.
func parseNumber(s string) (int, bool) {
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
		if n > math.MaxInt32 {
			return 0, false
		}
	}
	return n, s != ""
}

func validMetadata(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !validLabel(part) {
			return false
		}
	}
	return true
}

func validLabel(s string) bool {
	for _, c := range []byte(s) {
		if !isWord(c) && c != '-' || c == '_' {
			return false
		}
	}
	return s != ""
}

// isWord reports whether the regular expression \w matches c in ASCII.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
}

// numberWithZeros reports whether a label is a number with leading zeros, which
// semantic versioning forbids.
func numberWithZeros(label string) bool {
	return len(label) > 1 && label[0] == '0' && strings.Trim(label, "0123456789") == ""
}

// normal returns the normalized form without build metadata, in the author's case:
// "1.0.0-Beta".
func (v version) normal() string {
	b := make([]byte, 0, 32)
	for i, n := range v.numbers {
		if i == 3 && n == 0 {
			break
		}
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	if v.prerelease() {
		b = append(append(b, '-'), strings.Join(v.labels, ".")...)
	}
	return string(b)
}

// full returns the normalized form with build metadata, as clients show it.
func (v version) full() string {
	if v.metadata == "" {
		return v.normal()
	}
	return v.normal() + "+" + v.metadata
}

// key returns the form that decides identity and that clients use in URLs.
func (v version) key() string { return strings.ToLower(v.normal()) }

func (v version) prerelease() bool { return len(v.labels) > 0 }

// semVer2 reports whether clients before 4.3 cannot read the version.
func (v version) semVer2() bool { return len(v.labels) > 1 || v.metadata != "" }

// compare orders versions as NuGet's VersionComparer does by default, which
// ignores build metadata.
func (v version) compare(w version) int {
	for i, n := range v.numbers {
		if c := cmp.Compare(n, w.numbers[i]); c != 0 {
			return c
		}
	}
	if v.prerelease() != w.prerelease() {
		return cmp.Compare(len(w.labels), len(v.labels)) // the stable version is newer
	}
	for i := range min(len(v.labels), len(w.labels)) {
		if c := compareLabels(v.labels[i], w.labels[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.labels), len(w.labels))
}

// compareLabels orders numbers before words. As in .NET's Int32.TryParse, "-5" is a
// number and "3000000000" is not: otherwise the server would call a different version
// the newest than its clients do.
func compareLabels(a, b string) int {
	m, errA := strconv.ParseInt(a, 10, 32)
	n, errB := strconv.ParseInt(b, 10, 32)
	switch {
	case errA == nil && errB == nil:
		return cmp.Compare(m, n)
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}

// versionKey is feed.Type's VersionKey.
func versionKey(s string) string {
	if v, ok := parseVersion(s); ok {
		return v.key()
	}
	return strings.ToLower(s)
}

// compareVersions is feed.Type's CompareVersions. Text that is not a version is older
// than any version. Keys that NuGet considers equal ("1.0.0--0" and "1.0.0-0") are
// ordered by their text, so that the order is total.
func compareVersions(a, b string) int {
	v, okA := parseVersion(a)
	w, okB := parseVersion(b)
	switch {
	case okA && okB:
		return cmp.Or(v.compare(w), strings.Compare(a, b))
	case okA:
		return 1
	case okB:
		return -1
	}
	return strings.Compare(a, b)
}

// fullVersion returns what clients show for a published version.
func fullVersion(text string) string {
	if v, ok := parseVersion(text); ok {
		return v.full()
	}
	return text
}
