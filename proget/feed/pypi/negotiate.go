package pypi

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A serialization is a format of the simple API's documents, as named in the PyPA's
// "Simple repository API".
type serialization struct {
	mediaTypes  []string // media types by which clients ask for it
	contentType string
	json        bool
}

// serializations returns the supported ones, the richest first.
func serializations() []serialization {
	return []serialization{
		{[]string{"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"}, "application/vnd.pypi.simple.v1+json", true},
		{[]string{"application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html"}, "application/vnd.pypi.simple.v1+html", false},
		{[]string{"text/html"}, "text/html; charset=utf-8", false},
	}
}

// negotiate chooses the serialization of a response: by the parameter format, otherwise
// by the Accept header. It returns false if the client accepts none.
func negotiate(r *http.Request) (serialization, bool) {
	all := serializations()
	if format := r.URL.Query().Get("format"); format != "" {
		for _, s := range all {
			if slices.Contains(s.mediaTypes, format) {
				return s, true
			}
		}
	}
	header := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(header) == "" {
		header = "*/*"
	}
	accepted := parseAccept(header)
	best, bestRank := serialization{}, rank{}
	for i, s := range all {
		for _, mediaType := range s.mediaTypes {
			if candidate := accepted.rank(mediaType, i, len(all)); candidate.compare(bestRank) > 0 {
				best, bestRank = s, candidate
			}
		}
	}
	return best, bestRank.quality > 0
}

// An acceptance is an Accept header: media ranges with their weights (RFC 9110
// section 12.5.1).
type acceptance map[string]float64

func parseAccept(header string) acceptance {
	a := make(acceptance)
	for part := range strings.SplitSeq(header, ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 64)
		if err == nil && q >= 0 && q <= 1 {
			a[mediaType] = q
		}
	}
	return a
}

// A rank orders what a client accepts.
type rank struct {
	quality float64
	named   bool // explicitly, not only by a wildcard
	order   int  // preference among what the client accepts equally
}

func (r rank) compare(o rank) int {
	if c := cmp.Compare(r.quality, o.quality); c != 0 {
		return c
	}
	if r.named != o.named {
		if r.named {
			return 1
		}
		return -1
	}
	return cmp.Compare(r.order, o.order)
}

// rank ranks the i-th of n serializations. If the client names several, the richest
// wins; if it accepts anything, the one for people wins.
func (a acceptance) rank(mediaType string, i, n int) rank {
	if q, ok := a[mediaType]; ok {
		return rank{q, true, n - i}
	}
	kind, _, _ := strings.Cut(mediaType, "/")
	q, ok := a[kind+"/*"]
	if !ok {
		q = a["*/*"]
	}
	return rank{q, false, i + 1}
}
