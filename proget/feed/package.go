package feed

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"github.com/proget-go/ha/proget"
)

// A Package is a package as the read path caches it: its versions, oldest first in the
// feed type's order, and the documents rendered from it. It lives until the package
// changes; all requests share it. It has at least one version.
type Package struct {
	*proget.Package
	Documents
}

// Version returns the version with that key, or proget.ErrNotFound.
func (p *Package) Version(key string) (*proget.Version, error) {
	for _, v := range p.Versions {
		if v.Key == key {
			return v, nil
		}
	}
	return nil, proget.Errorf(proget.ErrNotFound, "%s has no version %s.", p.Name, key)
}

// Latest tries the conditions in order and returns the newest version that meets the
// first one that any version meets, or nil.
func (p *Package) Latest(conditions ...func(*proget.Version) bool) *proget.Version {
	for _, ok := range conditions {
		for _, v := range slices.Backward(p.Versions) {
			if ok(v) {
				return v
			}
		}
	}
	return nil
}

// Stable reports whether v is listed and not a prerelease.
func Stable(v *proget.Version) bool { return v.Status.Listed && !v.Prerelease }

// Listed reports whether v is listed: lists and searches show it.
func Listed(v *proget.Version) bool { return v.Status.Listed }

// Allowed reports whether v may be downloaded. A client that was told of a blocked
// version would choose it and then find no file.
func Allowed(v *proget.Version) bool { return !v.Status.Blocked }

// CheckAllowed returns proget.ErrNotFound if v is blocked.
func CheckAllowed(v *proget.Version) error {
	if Allowed(v) {
		return nil
	}
	return proget.Errorf(proget.ErrNotFound, "%s %s is blocked.", v.Name, v.Version)
}

// AllowedStable reports whether v is not blocked, is listed and is not a prerelease.
func AllowedStable(v *proget.Version) bool { return Allowed(v) && Stable(v) }

// AllowedListed reports whether v is neither blocked nor unlisted: what lists and
// "latest" offer.
func AllowedListed(v *proget.Version) bool { return Allowed(v) && Listed(v) }

// Any reports true for every version.
func Any(*proget.Version) bool { return true }

// Bytes returns roughly how much memory the package and its documents take.
func (p *Package) Bytes() int64 {
	const version, file = 512, 768 // without the data that the type keeps of them
	size := p.Documents.Bytes()
	for _, v := range p.Versions {
		size += int64(len(v.Manifest)) + version
		for _, f := range v.Files {
			size += int64(len(f.Data)) + file
		}
	}
	return size
}

// Documents is a bounded cache of rendered documents, which keeps those used most
// recently. The zero value is ready to use, by several goroutines at once.
type Documents struct {
	Grown func() // if not nil, Documents calls it after it has kept another document

	building singleflight.Group // renders a document once for all who wait for it

	mu   sync.Mutex
	docs *simplelru.LRU[string, *Document]
	size int64
}

// maxDocuments bounds the documents kept in one place. Their keys contain the
// host that a client asked for, so a stranger could invent any number.
const maxDocuments = 256

// Document returns the document kept under key. If there is none, it calls render and
// keeps the result. The key must name everything that the rendering depends on, except
// the owner of the documents; above all it must name the base URL.
func (c *Documents) Document(key, contentType string, render func() ([]byte, error)) (*Document, error) {
	return c.Kept(key, func() (*Document, error) {
		body, err := render()
		if err != nil {
			return nil, err
		}
		return NewDocument(contentType, body), nil
	})
}

// Kept is like Document, but build makes the *Document itself.
func (c *Documents) Kept(key string, build func() (*Document, error)) (*Document, error) {
	if d := c.kept(key); d != nil {
		return d, nil
	}
	built := false
	d, err, _ := c.building.Do(key, func() (any, error) {
		built = true
		return c.render(key, build)
	})
	if err != nil && !built { // the other request's failure may have been its alone
		return c.render(key, build)
	}
	doc, _ := d.(*Document)
	return doc, err
}

func (c *Documents) render(key string, build func() (*Document, error)) (*Document, error) {
	d, err := build()
	if err == nil {
		c.keep(key, d)
	}
	return d, err
}

func (c *Documents) kept(key string) (d *Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docs != nil {
		d, _ = c.docs.Get(key)
	}
	return d
}

func (c *Documents) keep(key string, d *Document) {
	if c.add(key, d) && c.Grown != nil {
		c.Grown()
	}
}

func (c *Documents) add(key string, d *Document) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.docs == nil {
		c.docs, _ = simplelru.NewLRU(maxDocuments, func(_ string, old *Document) { c.size -= old.bytes() }) // the size is valid
	}
	if c.docs.Contains(key) { // another goroutine was faster
		return false
	}
	c.docs.Add(key, d)
	c.size += d.bytes()
	return true
}

// Shrink drops the least recently used documents until the rest take at most the given
// number of bytes, or one document is left.
func (c *Documents) Shrink(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.docs != nil && c.size > bytes && c.docs.Len() > 1 {
		c.docs.RemoveOldest()
	}
}

// Bytes returns how many bytes of memory the kept documents take.
func (c *Documents) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

// A Document is a rendered response with a strong ETag, ready to be sent plain
// or compressed.
type Document struct {
	body    []byte
	gzipped []byte // nil if compression does not save anything
	tag     string // the ETag without its quotes

	// Header values. Responses share them, and may replace but not modify them.
	contentType, etag, gzippedETag, length, gzippedLength []string
}

// Header values that all documents share.
var (
	revalidate = []string{"no-cache"} // clients may cache, but must revalidate
	byEncoding = []string{"Accept-Encoding"}
	gzipCoding = []string{"gzip"}
)

// writers reuses compressors, because their tables are large.
var writers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// minGzip is the size in bytes from which a body is compressed.
const minGzip = 512

// documentSize is roughly what a document takes in bytes besides its bodies.
const documentSize = 500

func (d *Document) bytes() int64 { return int64(cap(d.body)+len(d.gzipped)) + documentSize }

// NewDocument prepares a response body. The caller must not change the body afterwards.
func NewDocument(contentType string, body []byte) *Document {
	if len(body)+len(body)/4 < cap(body) { // the document may be kept for long
		body = bytes.Clone(body)
	}
	sum := sha256.Sum256(body)
	return newDocument(contentType, body, compress(body), base64.RawURLEncoding.EncodeToString(sum[:16]))
}

func newDocument(contentType string, body, gzipped []byte, tag string) *Document {
	d := &Document{body: body, gzipped: gzipped, tag: tag}
	d.contentType, d.etag, d.length = []string{contentType}, []string{`"` + tag + `"`}, []string{strconv.Itoa(len(body))}
	if gzipped != nil {
		d.gzippedETag, d.gzippedLength = []string{`"` + tag + `-gzip"`}, []string{strconv.Itoa(len(gzipped))}
	}
	return d
}

// Verbatim prepares a response body that is never compressed. The tag is the inside of
// its ETag, as the protocol defines it.
func Verbatim(contentType string, body []byte, tag string) *Document {
	return newDocument(contentType, body, nil, tag)
}

func compress(body []byte) []byte {
	if len(body) < minGzip {
		return nil
	}
	var b bytes.Buffer
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	z.Reset(&b)
	_, _ = z.Write(body) // a bytes.Buffer does not fail
	_ = z.Close()
	if b.Len() >= len(body) {
		return nil
	}
	return bytes.Clone(b.Bytes())
}

// Serve answers a GET or HEAD request with the document. The compressed form has an
// ETag of its own, as RFC 9110 section 8.8.3.3 asks; either ETag satisfies If-Match and
// If-None-Match. Ranges refer to the uncompressed form.
func (d *Document) Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if h["Vary"] == nil {
		h["Vary"] = byEncoding
	} else {
		h.Add("Vary", "Accept-Encoding")
	}
	Revalidate(h)
	h["Etag"] = d.etag
	if r.Header.Get("Range") != "" {
		h["Content-Type"] = d.contentType
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body))
		return
	}
	body, length := d.body, d.length
	zipped := d.gzipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding"))
	if zipped {
		body, length, h["Etag"] = d.gzipped, d.gzippedLength, d.gzippedETag
	}
	if match := r.Header.Get("If-Match"); match != "" && !d.matches(match) {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	if noneMatch := r.Header.Get("If-None-Match"); noneMatch != "" && d.matches(noneMatch) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if zipped {
		h["Content-Encoding"] = gzipCoding
	}
	h["Content-Type"], h["Content-Length"] = d.contentType, length
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error means that the client went away
	}
}

// Revalidate has caches ask the server before they answer from what they keep, unless
// the response has a Cache-Control of its own. A cache that many share thereby asks with
// the credentials of whoever asks it, of which it would not know that they matter: RFC
// 9111 section 3.5 speaks of the Authorization header only.
func Revalidate(h http.Header) {
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = revalidate
	}
}

// Body returns the document as it was rendered. The caller must not change it.
func (d *Document) Body() []byte { return d.body }

// ETags returns the ETags of the document's forms.
func (d *Document) ETags() []string { return append(slices.Clone(d.etag), d.gzippedETag...) }

func (d *Document) matches(list string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		tag = strings.TrimSuffix(strings.Trim(tag, `"`), "-gzip")
		if tag == d.tag || tag == "*" {
			return true
		}
	}
	return false
}

// acceptsGzip applies RFC 9110 section 12.5.3 to gzip alone: the header must name gzip
// or "*" without a weight of zero.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		coding = strings.TrimSpace(coding)
		if !strings.EqualFold(coding, "gzip") && coding != "*" {
			continue
		}
		_, weight, found := strings.Cut(strings.ReplaceAll(params, " ", ""), "q=")
		if !found {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}
