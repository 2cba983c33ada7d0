package asset

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// conditions are the preconditions of a request that changes something, by RFC 9110
// section 13.1, and the file that they were first checked against. The check is repeated
// in the transaction that makes the change. A nil *conditions always holds.
type conditions struct {
	header http.Header
	seen   *proget.Version // nil if there was none
}

// conditions returns the preconditions of a request for the file at a path, not yet
// checked, or nil if the request has none.
func (h *handler) conditions(r *feed.Request, p path) (*conditions, error) {
	if readConditions(r.Header, nil) == nil {
		return nil, nil
	}
	v, err := h.version(r.Context(), r.Feed, p.key())
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	return readConditions(r.Header, v), nil
}

// readConditions returns the preconditions in a header, or nil if it has none. A change
// ignores If-Modified-Since.
func readConditions(header http.Header, seen *proget.Version) *conditions {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Unmodified-Since"} {
		if len(header.Values(name)) > 0 {
			return &conditions{header, seen}
		}
	}
	return nil
}

// checkSeen checks the conditions before the client has sent the file.
func (c *conditions) checkSeen() error {
	if c == nil {
		return nil
	}
	return c.check(c.seen)
}

// check returns feed.ErrPrecondition if the conditions do not hold for the file that is
// now at the path, or nil for none. A version's file never changes, so the file is the
// one seen before if its version is; what else a file that has taken its place since is
// like, check does not know, and lets pass only what holds for any file.
func (c *conditions) check(now *proget.Version) error {
	switch {
	case c == nil:
		return nil
	case now == nil:
		return c.hold(false, time.Time{})
	case c.seen != nil && c.seen.ID == now.ID:
		return c.hold(true, c.seen.Published, `"`+c.seen.Files[0].Digests[proget.SHA256]+`"`)
	case c.exact():
		return errChanged()
	}
	return nil
}

// exact reports whether the conditions hold for some files only, not for whatever is
// there.
func (c *conditions) exact() bool {
	return c != nil && (c.header.Get("If-Match") != "*" || len(c.header.Values("If-None-Match")) > 0)
}

// hold evaluates the conditions in the order of RFC 9110 section 13.2.2, for something
// that exists or not, with its time and its ETags.
func (c *conditions) hold(exists bool, modified time.Time, tags ...string) error {
	names := func(header, weak string) bool {
		list := strings.Split(strings.Join(c.header.Values(header), ","), ",") // the server's own tags have no commas
		return exists && slices.ContainsFunc(list, func(tag string) bool {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), weak)
			return tag == "*" || slices.Contains(tags, tag)
		})
	}
	if len(c.header.Values("If-Match")) > 0 {
		if !names("If-Match", "") { // no weak tag matches
			return errChanged()
		}
	} else if since, err := http.ParseTime(c.header.Get("If-Unmodified-Since")); err == nil && modified.Truncate(time.Second).After(since) {
		return errChanged() // an invalid time would be ignored
	}
	if names("If-None-Match", "W/") {
		return proget.Errorf(feed.ErrPrecondition, "Nothing was changed: If-None-Match names what is there.")
	}
	return nil
}

func errChanged() error {
	return proget.Errorf(feed.ErrPrecondition, "Nothing was changed: what If-Match or another condition of the request asks for is not there, or no longer. Read it again first.")
}
