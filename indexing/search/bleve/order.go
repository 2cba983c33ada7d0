package bleve

import (
	"strings"
	"unicode/utf8"
)

// Keys are ordered by their lower case, so that keys that begin alike regardless of case are
// adjacent, and then by themselves.

// before reports whether key a comes before b.
func before[K ~string | ~[]byte](a, b K) bool {
	c := compareFolded(a, b)
	return c < 0 || c == 0 && string(a) < string(b)
}

// compareFolded compares the lower case of two keys.
func compareFolded[K ~string | ~[]byte](a, b K) int {
	for i := range min(len(a), len(b)) {
		x, y := lowerASCII(a[i]), lowerASCII(b[i])
		if x >= utf8.RuneSelf || y >= utf8.RuneSelf {
			return strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b)))
		}
		if x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// beginsWith reports whether a key begins with a lower-case prefix, regardless of the
// key's case.
func beginsWith[K ~string | ~[]byte](key K, prefix string) bool {
	for i := range min(len(key), len(prefix)) {
		c := lowerASCII(key[i])
		if c >= utf8.RuneSelf || prefix[i] >= utf8.RuneSelf {
			return strings.HasPrefix(strings.ToLower(string(key)), prefix)
		}
		if c != prefix[i] {
			return false
		}
	}
	return len(key) >= len(prefix)
}
