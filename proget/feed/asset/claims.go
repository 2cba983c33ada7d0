package asset

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// checkCoding refuses a body that is encoded: it would be stored and served as it came,
// without saying so.
func checkCoding(w http.ResponseWriter, r *feed.Request) error {
	for _, coding := range r.Header.Values("Content-Encoding") {
		if !strings.EqualFold(coding, "identity") && coding != "" {
			w.Header().Set("Accept-Encoding", "identity") // RFC 9110 section 15.5.16
			return proget.Errorf(feed.ErrMediaType, "The server stores files as they come and does not decode them: send this one without the Content-Encoding %.40q.", coding)
		}
	}
	return nil
}

// checkRange refuses a body that says it is a part of the file, as RFC 9110 section 14.5
// requires: it would take the place of the whole.
func checkRange(r *feed.Request) error {
	if len(r.Header.Values("Content-Range")) > 0 {
		return proget.Errorf(proget.ErrInvalid, "An upload replaces the whole file, so it cannot have a Content-Range: send all of it, or its parts with multipart=upload.")
	}
	return nil
}

// A claim is what a client says of the digest of the file that it sends.
type claim struct {
	header    string
	algorithm proget.Algorithm
	digest    string // in hexadecimal, or "" if the client's text is none
}

// readClaims returns the digests in a header (RFC 1864, RFC 9530), except those of
// algorithms that the server does not compute.
func readClaims(header http.Header) (all []claim) {
	if text := header.Get("Content-MD5"); text != "" {
		all = append(all, claim{"Content-MD5", proget.MD5, fromBase64(text)})
	}
	known := map[string]proget.Algorithm{"sha-256": proget.SHA256, "sha-512": proget.SHA512}
	for _, name := range []string{"Content-Digest", "Repr-Digest"} { // of a whole file, they are the same
		for member := range strings.SplitSeq(strings.Join(header.Values(name), ","), ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(member), "=")
			if algorithm, ok := known[key]; ok {
				value, _, _ = strings.Cut(value, ";") // parameters mean nothing yet
				all = append(all, claim{name, algorithm, fromBase64(strings.Trim(value, ": "))})
			}
		}
	}
	return all
}

func fromBase64(text string) string {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(b)
}

// check compares a claim with the digests of what has arrived.
func (c claim) check(have proget.Digests) error {
	if have[c.algorithm] == c.digest {
		return nil
	}
	return proget.WrapError(proget.ErrInvalid, feed.ErrDigest, "The %s of what has arrived is %s in hexadecimal, which is not what %s says: send the file again.", c.algorithm, have[c.algorithm], c.header)
}
