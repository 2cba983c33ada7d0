package npm

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/proget-go/ha/proget"
)

// sha384 is an algorithm that no client asks for, but that some may claim.
const sha384 proget.Algorithm = "sha384"

// claims are the document's claims about a version's tarball.
type claims struct {
	Dist struct {
		Shasum    string `json:"shasum"`
		Integrity string `json:"integrity"` // one or more hashes, as W3C's Subresource Integrity formats them
	} `json:"dist"`
}

// check refuses a tarball that contradicts the claims. Of several hashes by one
// algorithm, one must match; unknown algorithms are ignored.
func (c *claims) check(tarball proget.Digests) error {
	if said := c.Dist.Shasum; said != "" && !strings.EqualFold(said, tarball[proget.SHA1]) {
		return proget.Errorf(proget.ErrInvalid, "The tarball has the shasum %s, but the document says %.60q: it was changed on its way here. Publish it again.", tarball[proget.SHA1], said)
	}
	met := make(map[string]bool) // by the claimed hash
	for said := range strings.FieldsSeq(c.Dist.Integrity) {
		algorithm, _, _ := strings.Cut(said, "-")
		said, _, _ = strings.Cut(said, "?") // remove options, of which none exist yet
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
