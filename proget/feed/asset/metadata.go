package asset

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of users' metadata of an item.
const (
	maxUpdate = 1 << 20 // bytes of a request that changes metadata
	maxValues = 100
	maxKey    = 100  // bytes
	maxValue  = 4096 // bytes
)

// A metadataValue is the value of one key of the metadata. In JSON it is a string or,
// if it is sent with the file, an object.
type metadataValue struct {
	Value   string
	Include bool // send it in the header of responses with the file
}

type metadataObject struct {
	Value   *string `json:"value"`
	Include bool    `json:"includeInResponseHeader"`
}

// MarshalJSON implements [json.Marshaler].
func (m metadataValue) MarshalJSON() ([]byte, error) {
	if m.Include {
		return json.Marshal(metadataObject{&m.Value, true})
	}
	return json.Marshal(m.Value)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *metadataValue) UnmarshalJSON(text []byte) error {
	*m = metadataValue{}
	if err := json.Unmarshal(text, &m.Value); err == nil {
		return nil
	}
	var o metadataObject
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	if o.Value != nil {
		m.Value = *o.Value
	}
	m.Include = o.Include
	return nil
}

// check returns an error for a value that cannot be stored, or that would set a header
// reserved for the server.
func (m metadataValue) check(key string) error {
	switch {
	case key == "" || len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, unprintable):
		return proget.Errorf(proget.ErrInvalid, "The metadata key %.60q is not valid: use 1 to %d bytes without control characters.", key, maxKey)
	case len(m.Value) > maxValue || !utf8.ValidString(m.Value) || strings.Contains(m.Value, "\x00"):
		return proget.Errorf(proget.ErrInvalid, "The metadata value of %q is longer than %d bytes, or is not text.", key, maxValue)
	case m.Include && !ownHeader(key):
		return proget.Errorf(proget.ErrInvalid, "%q cannot be sent as a response header: it is not a valid header name, or it has a meaning of its own.", key)
	case m.Include && !plain(m.Value):
		return proget.Errorf(proget.ErrInvalid, "The value of %q cannot be sent in a response header: use printable ASCII.", key)
	}
	return nil
}

// plain reports whether text can be a header's value: printable ASCII.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// taken are headers, and prefixes of headers, that control clients, browsers or
// proxies. Publishers of files must not speak for the server.
var taken = []string{
	"accept-", "access-control-", "age", "allow", "alt-svc", "authorization", "cache-control", "clear-site-data", "connection", "content-", "cookie", "cross-origin-", "date",
	"etag", "expect", "expires", "host", "keep-alive", "last-modified", "link", "location", "nel", "origin", "permissions-policy", "pragma", "proxy-", "public-key-pins", "referrer-policy",
	"refresh", "report", "retry-after", "sec-", "server", "service-worker", "set-cookie", "sourcemap", "status", "strict-transport-security", "surrogate-", "te", "timing-allow-origin", "trailer",
	"transfer-encoding", "upgrade", "vary", "via", "warning", "www-authenticate", "x-accel-", "x-content-", "x-dns-", "x-download-", "x-forwarded-", "x-frame-", "x-lighttpd-", "x-permitted-",
	"x-proget-", "x-sendfile", "x-ua-", "x-xss-",
}

// ownHeader reports whether a name is a valid header name by RFC 9110 section 5.1 and
// not in taken.
func ownHeader(name string) bool {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
	name = strings.ToLower(name)
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(token, r) }) {
		return false
	}
	for _, t := range taken {
		if name == t || strings.HasSuffix(t, "-") && strings.HasPrefix(name, t) {
			return false
		}
	}
	return true
}

// The types of cacheHeader.
const (
	noCache = "nocache"
	ttl     = "ttl"
	custom  = "custom"
	inherit = "inherit"
)

// A cacheHeader is a caching rule for clients.
type cacheHeader struct {
	Type  string `json:"type"`
	Value any    `json:"value,omitempty"` // seconds for ttl, or the header for custom
}

// maxTTL is ten years, in seconds.
const maxTTL = 10 * 365 * 24 * 60 * 60

// UnmarshalJSON reads a rule in either of the forms that ProGet's clients write:
// {"type":"TTL","value":"60"} or {"ttl":60}.
func (c *cacheHeader) UnmarshalJSON(text []byte) error {
	var in struct {
		Type    string
		Value   json.RawMessage
		Inherit bool
		NoCache bool
		TTL     json.RawMessage
		Custom  json.RawMessage
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	typ, value := strings.ToLower(in.Type), in.Value
	switch {
	case typ != "":
	case in.Inherit:
		typ = inherit
	case in.NoCache:
		typ = noCache
	case in.TTL != nil:
		typ, value = ttl, in.TTL
	case in.Custom != nil:
		typ, value = custom, in.Custom
	}
	return c.read(typ, strings.Trim(string(value), `"`), value)
}

func (c *cacheHeader) read(typ, plainValue string, value json.RawMessage) error {
	*c = cacheHeader{Type: typ}
	switch typ {
	case inherit, noCache:
		return nil
	case ttl:
		n, err := strconv.ParseInt(plainValue, 10, 64)
		if err != nil || n < 0 || n > maxTTL {
			return proget.Errorf(proget.ErrInvalid, "The value of cacheHeader is %.40q; for ttl, give seconds from 0 to %d.", value, maxTTL)
		}
		c.Value = n
		return nil
	case custom:
		var header string
		if json.Unmarshal(value, &header) != nil || header == "" || len(header) > 500 || !plain(header) {
			return proget.Errorf(proget.ErrInvalid, "The value of cacheHeader is not a Cache-Control header: give 1 to 500 characters of printable ASCII.")
		}
		c.Value = header
		return nil
	}
	return proget.Errorf(proget.ErrInvalid, "The type of cacheHeader is %.40q; use nocache, ttl, custom or inherit.", typ)
}

// header returns the Cache-Control header of a rule; "" if the rule is inherited.
func (c *cacheHeader) header() string {
	if c == nil {
		return ""
	}
	switch c.Type {
	case noCache:
		return "no-store"
	case ttl:
		if n, ok := c.Value.(int64); ok {
			return "max-age=" + strconv.FormatInt(n, 10)
		}
	case custom:
		if text, ok := c.Value.(string); ok {
			return text
		}
	}
	return ""
}

// update is a change of an item's metadata: ProGet's AssetItemMetadataUpdate. Absent
// fields change nothing.
type update struct {
	Type         *string                  `json:"type"`
	Mode         string                   `json:"userMetadataUpdateMode"`
	UserMetadata map[string]metadataValue `json:"userMetadata"`
	CacheHeader  *cacheHeader             `json:"cacheHeader"`
}

func readUpdate(body io.Reader) (*update, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxUpdate+1))
	if err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "The request ended before it was complete: send it again.")
	}
	if len(text) > maxUpdate {
		return nil, proget.Errorf(proget.ErrInvalid, "The metadata is larger than %d MiB.", maxUpdate>>20)
	}
	u := new(update)
	if err := json.Unmarshal(text, u); err != nil {
		if proget.Message(err) != "" {
			return nil, err
		}
		return nil, proget.WrapError(proget.ErrInvalid, err, "The metadata is not a JSON object of the expected form: send {\"type\":…,\"userMetadata\":{…},\"cacheHeader\":{…}}.")
	}
	switch u.Mode = strings.ToLower(u.Mode); u.Mode {
	case "", "update", "replace":
	default:
		return nil, proget.Errorf(proget.ErrInvalid, "userMetadataUpdateMode is %.40q; use update or replace.", u.Mode)
	}
	seen := make(map[string]bool)
	for key, m := range u.UserMetadata {
		if err := m.check(key); err != nil {
			return nil, err
		}
		if folded := strings.ToLower(key); seen[folded] {
			return nil, proget.Errorf(proget.ErrInvalid, "The metadata has the key %q twice, upper and lower case being the same.", key)
		} else {
			seen[folded] = true
		}
	}
	if u.Type != nil {
		if *u.Type, err = readType(*u.Type); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// apply returns d with the update applied. Like headers, keys are compared without
// regard to case.
func (u *update) apply(d data) (data, error) {
	if u.Type != nil {
		d.Type = *u.Type
	}
	if u.CacheHeader != nil {
		d.CacheHeader = u.CacheHeader
	}
	if u.UserMetadata == nil {
		return d, nil
	}
	all := make(map[string]metadataValue)
	for _, values := range []map[string]metadataValue{d.UserMetadata, u.UserMetadata} {
		if u.Mode == "replace" {
			values = u.UserMetadata
		}
		for key, m := range values {
			for known := range all {
				if strings.EqualFold(known, key) {
					delete(all, known)
				}
			}
			all[key] = m
		}
	}
	if len(all) > maxValues {
		return d, proget.Errorf(proget.ErrInvalid, "An item has %d metadata keys at most.", maxValues)
	}
	d.UserMetadata = all
	return d, nil
}

func (h *handler) getMetadata(w http.ResponseWriter, r *feed.Request, p path) error {
	e, err := h.find(r.Context(), r.Feed, p)
	if err != nil {
		return err
	}
	return feed.ServeJSON(w, r, feed.JSONType, e.describe(r.Base))
}

// unchanged returns a check for the transaction that changes an item's metadata, or an
// error if the conditions do not hold for the metadata that the client has read.
func (c *conditions) unchanged(base string, e entry) (func(json.RawMessage, data) error, error) {
	if c == nil {
		return func(json.RawMessage, data) error { return nil }, nil
	}
	body, err := json.Marshal(e.describe(base))
	if err != nil {
		return nil, err
	}
	check := func(text json.RawMessage, d data) error {
		same := e.version != nil && bytes.Equal(text, e.version.Manifest) ||
			e.version == nil && d.UserMetadata == nil && d.CacheHeader == nil // the folder's own package has just been created
		if c.exact() && !same {
			return errChanged()
		}
		return nil
	}
	return check, c.hold(true, time.Time{}, feed.NewDocument(feed.JSONType, body).ETags()...)
}

func (h *handler) setMetadata(w http.ResponseWriter, r *feed.Request, p path) error {
	u, err := readUpdate(r.Body)
	if err != nil {
		return err
	}
	e := entry{path: "", dir: true} // the directory exists without its own package
	c := readConditions(r.Header, nil)
	if p != "" || c != nil {
		if e, err = h.find(r.Context(), r.Feed, p); err != nil {
			return err
		}
	}
	unchanged, err := c.unchanged(r.Base, e)
	if err != nil {
		return err
	}
	name := string(p)
	if e.dir {
		if u.Type != nil {
			return proget.Errorf(proget.ErrInvalid, "%s is a folder, which has no media type.", p)
		}
		name = p.folder()
		if err := h.makeFolder(r, p); err != nil { // creates the package that stores the metadata
			return err
		}
	}
	ref := feed.Ref{Feed: r.Feed, NameKey: strings.ToLower(name), VersionKey: fixedVersion}
	if c.exact() && e.version != nil {
		ref.ID = e.version.ID
	}
	err = h.services.Publisher.Edit(r.Context(), ref, r.Principal, func(text json.RawMessage) (any, error) {
		d, err := decode(text)
		if err != nil {
			return nil, err
		}
		if err := unchanged(text, d); err != nil {
			return nil, err
		}
		return u.apply(d)
	})
	if c != nil && isNotFound(err) { // replaced or deleted meanwhile
		return errChanged()
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
