package npm

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/proget-go/ha/proget"
)

// sha384 is what no client asks for, but may tell.
const sha384 proget.Algorithm = "sha384"

// claims are what a document says of a version's tarball.
type claims struct {
	Dist struct {
		Shasum    string `json:"shasum"`
		Integrity string `json:"integrity"` // one or more hashes, as W3C's Subresource Integrity writes them
	} `json:"dist"`
}

// check refuses a tarball that is not what the document says. Of several hashes by one
// algorithm, one must be its own; algorithms that are not known here are passed over.
func (c *claims) check(tarball proget.Digests) error {
	if said := c.Dist.Shasum; said != "" && !strings.EqualFold(said, tarball[proget.SHA1]) {
		return proget.Errorf(proget.ErrInvalid, "The tarball has the shasum %s, but the document says %.60q: it was changed on its way here. Publish it again.", tarball[proget.SHA1], said)
	}
	met := make(map[string]bool) // by the hash that is wanted
	for said := range strings.FieldsSeq(c.Dist.Integrity) {
		algorithm, _, _ := strings.Cut(said, "-")
		said, _, _ = strings.Cut(said, "?") // options, of which there are none yet
		if sum, err := hex.DecodeString(tarball[proget.Algorithm(algorithm)]); err == nil && len(sum) > 0 {
			want := algorithm + "-" + base64.StdEncoding.EncodeToString(sum)
			met[want] = met[want] || said == want
		}
	}
	for want, ok := range met {
		if !ok {
			return proget.Errorf(proget.ErrInvalid, "The tarball has the integrity %s, but the document says %.200q: it was changed on its way here. Publish it again.", want, c.Dist.Integrity)
		}
	}
	return nil
}
