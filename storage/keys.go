package storage

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/proget-go/ha/proget"
)

// The prefixes of the store's keys. They are for [Store.List]; no one else composes or
// parses a key.
const (
	BlobPrefix  = "blobs/"
	ProbePrefix = "probes/"

	// OwnerPrefix is the prefix of probes that [Store.NewProbe] writes for the node
	// "cluster", which no real node is called: with it an installation claims a
	// storage.
	OwnerPrefix = ProbePrefix + "node-cluster/"
)

// # The layout of keys
//
//	blobs/3f/a2/3fa2…          what Put stored: 128 random bits in hex, of which a
//	                           hundred objects in a row share the first 16
//	probes/node-web-1/91c0…    a probe of the node web-1
//
// Keys consist of lower-case letters, digits and hyphens, so that every file system and
// object store keeps them unchanged and distinct. Two levels of 256 folders hold some
// millions of files at about a hundred each. Since the identifier is random, keys are
// unique without any coordination, and an object store spreads them evenly.
//
// The alternative was a key of the digest and a unique suffix, so that blob rows could
// be rebuilt from a listing. But the digest is known only after the last byte. A share
// could rename the file; an object store must name an upload before its first byte, and
// would have to copy each object once more, which S3 cannot do in one call above 5 GB.
// So there would have been two layouts, or a spool file. Renaming across folders also
// breaks the handles that some NFS servers give out. The digest is in the blob's row,
// and a check has to read the bytes anyway.

// perFolder is how many consecutive objects of one store go into the same folder:
// making a folder durable costs as much as making a file durable, and there are 65,536
// folders.
const perFolder = 100

// keys makes the keys of one store.
type keys struct {
	mu     sync.Mutex
	folder string // the first four digits
	left   int    // how many more go there
}

// newBlob returns the key of an object that does not exist yet.
func (k *keys) newBlob() string {
	id := newID()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left == 0 {
		k.folder, k.left = id[:4], perFolder
	}
	k.left--
	id = k.folder + id[4:]
	return BlobPrefix + id[:2] + "/" + id[2:4] + "/" + id
}

// newProbeKey returns the key of a new probe. The node's name is for a person who looks
// into the folder; the identifier makes the key unique.
func newProbeKey(node string) string {
	return ProbePrefix + "node-" + plain(node) + "/" + newID()
}

// newID returns 128 random bits in hex.
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// plain replaces in s what a key must not contain, and cuts it to at most 64 bytes.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if isKeyRune(r) {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return s[:min(len(s), 64)]
}

func isKeyRune(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-'
}

// checkKey refuses a key that this store cannot have made, even if the database has it,
// so that no row can lead outside the two prefixes.
func checkKey(key string) error {
	rest, ok := strings.CutPrefix(key, BlobPrefix)
	if !ok {
		rest, ok = strings.CutPrefix(key, ProbePrefix)
	}
	for name := range strings.SplitSeq(rest, "/") {
		ok = ok && name != "" && strings.IndexFunc(name, func(r rune) bool { return !isKeyRune(r) }) < 0
	}
	if !ok {
		return proget.Errorf(proget.ErrInvalid, "%q is not a storage key", key)
	}
	return nil
}
