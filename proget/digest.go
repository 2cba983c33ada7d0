package proget

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
)

// Algorithm names a digest algorithm in lower case without a hyphen, as used
// in digests such as "sha256:…".
type Algorithm string

// The algorithms that package clients ask for.
const (
	MD5    Algorithm = "md5"
	SHA1   Algorithm = "sha1"
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// New returns a fresh hash of the algorithm, or an error if it is unknown.
func (a Algorithm) New() (hash.Hash, error) {
	switch a {
	case MD5:
		return md5.New(), nil
	case SHA1:
		return sha1.New(), nil
	case SHA256:
		return sha256.New(), nil
	case SHA512:
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("digest algorithm %q is not known", string(a))
}

// Digests holds the digests of one blob as lower-case hex, keyed by algorithm.
// SHA256 is always present; the others are those that the feed type asked for.
type Digests map[Algorithm]string
