package npm

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

type handler struct{ services feed.Services }

var _ feed.Handler = (*handler)(nil)

// Operation implements feed.Handler.
func (h *handler) Operation(r *feed.Request) feed.Operation { return parse(r.Method, r.Path).action }

// ServeFeed implements feed.Handler.
func (h *handler) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	rt := parse(r.Method, r.Path)
	switch rt.action {
	case getPackage:
		return h.packument(w, r, rt)
	case getVersion:
		return h.version(w, r, rt)
	case getTarball:
		return h.tarball(w, r, rt)
	case putPackage:
		return h.publish(w, r, rt)
	case editPackage:
		return h.edit(w, r, rt)
	case deletePackage:
		return h.deletePackage(w, r, rt)
	case deleteTarball:
		return h.deleteTarball(w, r, rt)
	case getTags:
		return h.tags(w, r, rt)
	case putTag:
		return h.putTag(w, r, rt)
	case deleteTag:
		return h.deleteTag(w, r, rt)
	case search:
		return h.search(w, r)
	case login:
		return h.login(w, r, rt)
	case whoami, profile:
		return h.whoami(w, r, rt)
	case root, ping:
		return feed.ServeJSON(w, r, jsonType, map[string]string{"db_name": r.Feed.Name})
	case logout: // a client that forgets its token cannot use it; the token expires by itself
		return done(w)
	case auditBulk: // advisories by package; this server knows none
		return feed.ServeJSON(w, r, jsonType, struct{}{})
	case auditFull:
		return feed.ServeJSON(w, r, jsonType, noAdvisories)
	}
	known := func(method string) bool { return parse(method, r.Path).action != unknown }
	return feed.Unknown(w, r.Request, known, "the registry's address ends before the name of a package.")
}

// done reports a successful change.
func done(w http.ResponseWriter) error { return answer(w, http.StatusOK, map[string]any{"ok": true}) }

func answer(w http.ResponseWriter, status int, body map[string]any) error {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client went away
	return nil
}

// find returns a package, or the protocol's error.
func (h *handler) find(r *feed.Request, name string) (*feed.Package, error) {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, name)
	if errors.Is(err, proget.ErrNotFound) {
		return nil, proget.WrapError(proget.ErrNotFound, err, "There is no package %.214s in feed %s.", name, r.Feed.Name)
	}
	return p, err
}

// findAvailable is find for installing clients, for whom a package with only blocked
// versions does not exist.
func (h *handler) findAvailable(r *feed.Request, name string) (*feed.Package, error) {
	p, err := h.find(r, name)
	if err == nil && p.Latest(feed.Allowed) == nil {
		return nil, proget.Errorf(proget.ErrNotFound, "All versions of %s are blocked.", p.Name)
	}
	return p, err
}

// findVersion returns an available version by its number or by a tag.
func (h *handler) findVersion(r *feed.Request, rt route) (*proget.Version, error) {
	p, err := h.find(r, rt.name)
	if err != nil {
		return nil, err
	}
	key, ok := distTags(p)[rt.arg]
	if !ok {
		key = versionKey(rt.arg)
	}
	v, err := p.Version(key)
	if err != nil {
		return nil, err
	}
	return v, feed.CheckAllowed(v)
}

func (h *handler) packument(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.findAvailable(r, rt.name)
	if err != nil {
		return err
	}
	form, contentType, render := "full ", jsonType, full
	if strings.Contains(r.Header.Get("Accept"), abbreviatedType) {
		form, contentType, render = "abbreviated ", abbreviatedType, abbreviated
	}
	doc, err := p.Document(form+r.Base, contentType, func() ([]byte, error) { return render(r.Base, p) })
	if err != nil {
		return fmt.Errorf("render package %s: %w", rt.name, err)
	}
	w.Header().Set("Vary", "Accept")
	doc.Serve(w, r.Request)
	return nil
}

func (h *handler) version(w http.ResponseWriter, r *feed.Request, rt route) error {
	v, err := h.findVersion(r, rt)
	if err != nil {
		return err
	}
	fields, err := fullVersion(r.Base, v)
	if err != nil {
		return fmt.Errorf("render %s %s: %w", v.Name, v.Version, err)
	}
	return feed.ServeJSON(w, r, jsonType, fields)
}

// tarballVersion returns the version whose tarball a request names.
func (h *handler) tarballVersion(r *feed.Request, rt route) (*proget.Version, error) {
	p, err := h.find(r, rt.name)
	if err != nil {
		return nil, err
	}
	_, base := splitName(p.Name)
	key, ok := strings.CutPrefix(strings.TrimSuffix(rt.arg, ".tgz"), base+"-")
	if !ok || !strings.HasSuffix(rt.arg, ".tgz") {
		return nil, proget.Errorf(proget.ErrNotFound, "%s has no file %.250s.", p.Name, rt.arg)
	}
	return p.Version(key)
}

func (h *handler) tarball(w http.ResponseWriter, r *feed.Request, rt route) error {
	v, err := h.tarballVersion(r, rt)
	if err != nil {
		return err
	}
	return h.services.Files.Serve(w, r, v, v.Files[0], "application/octet-stream")
}

// publish publishes a new version. Without a tarball, it applies the changes of "npm
// deprecate".
func (h *handler) publish(w http.ResponseWriter, r *feed.Request, rt route) error {
	d, err := openDocument(r.Body)
	if err != nil {
		return err
	}
	if d.tarball == "" {
		return h.deprecate(w, r, rt, d)
	}
	_, err = h.services.Publisher.Publish(r.Context(), feed.Upload{Feed: r.Feed, Body: d, Size: max(r.ContentLength, 0), Name: d.tarball, By: r.Principal,
		Check: func(m *feed.Manifest) error {
			tags, err := d.check(rt.name, m)
			m.Tags = tags
			return err
		}})
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, map[string]any{"ok": true, "id": rt.name})
}

// check compares the request with the tarball, and returns the tags that shall point at
// the version.
func (d *document) check(name string, m *feed.Manifest) (tags []string, err error) {
	var body struct {
		Name     string                     `json:"name"`
		Versions map[string]json.RawMessage `json:"versions"`
		Tags     map[string]string          `json:"dist-tags"`
	}
	if err := d.decode(&body); err != nil {
		return nil, err
	}
	if name != m.Name || body.Name != m.Name {
		return nil, proget.Errorf(proget.ErrInvalid, "The tarball contains %s, but the request is for %.214s and its document for %.214s.", m.Name, name, body.Name)
	}
	said := false
	for version, text := range body.Versions {
		if versionKey(version) != m.Version {
			continue
		}
		if err := d.compare(text, m.Data.(data).digests); err != nil {
			return nil, err
		}
		said = true
	}
	if !said {
		return nil, proget.Errorf(proget.ErrInvalid, "The tarball contains version %s, which the document does not mention.", m.Version)
	}
	for tag, version := range body.Tags {
		if versionKey(version) != m.Version {
			continue // another version's, in a client's second try
		}
		if err := checkTag(tag); err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// compare checks the document's claims about a version's tarball.
func (d *document) compare(version json.RawMessage, tarball proget.Digests) error {
	var c claims
	if err := json.Unmarshal(version, &c); err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The document is not of the form that npm publishes with.")
	}
	if d.sha384 != nil {
		tarball = maps.Clone(tarball)
		tarball[sha384] = hex.EncodeToString(d.sha384.Sum(nil))
	}
	return c.check(tarball)
}

// decode decodes the fields into body.
func (d *document) decode(body any) error {
	text, err := json.Marshal(d.fields)
	if err == nil {
		err = json.Unmarshal(text, body)
	}
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The document is not of the form that npm publishes with.")
	}
	return nil
}

// edited is what clients can change in a package without a new version.
type edited struct {
	Revision string `json:"_rev"`
	Versions map[string]*struct {
		Deprecated any `json:"deprecated"` // the reason; also a boolean, or null
	} `json:"versions"`
}

// reasons returns the reasons for deprecating the versions that a document mentions, by
// the versions' normal forms.
func (e *edited) reasons(p *feed.Package) (map[string]string, error) {
	reasons := make(map[string]string, len(e.Versions))
	for version, said := range e.Versions {
		v, err := p.Version(versionKey(version))
		if err != nil {
			return nil, err
		}
		if said == nil {
			return nil, proget.Errorf(proget.ErrInvalid, "What the document says of %s is null.", v.Version)
		}
		switch d := said.Deprecated.(type) {
		case nil:
			reasons[v.Key] = ""
		case bool:
			reasons[v.Key] = map[bool]string{true: "deprecated"}[d]
		case string:
			reasons[v.Key] = d
		default:
			return nil, proget.Errorf(proget.ErrInvalid, "The reason for deprecating %s is not a text.", v.Version)
		}
	}
	return reasons, nil
}

// checkRevision returns proget.ErrConflict if a package is not as a client has read it.
func checkRevision(p *feed.Package, read string) error {
	if read == revision(p) {
		return nil
	}
	return proget.Errorf(proget.ErrConflict, "%s has changed meanwhile: do that again.", p.Name)
}

// deprecate sets the versions' deprecation reasons from the package's document.
func (h *handler) deprecate(w http.ResponseWriter, r *feed.Request, rt route, d *document) error {
	var body edited
	if err := d.decode(&body); err != nil {
		return err
	}
	if body.Versions == nil {
		return proget.Errorf(proget.ErrInvalid, "The document has neither a tarball nor versions. This server does not support owners and stars: permissions say who may publish.")
	}
	p, err := h.find(r, rt.name)
	if err != nil {
		return err
	}
	if body.Revision != "" {
		if err := checkRevision(p, body.Revision); err != nil {
			return err
		}
	}
	reasons, err := body.reasons(p)
	if err != nil {
		return err
	}
	for _, v := range p.Versions {
		reason, ok := reasons[v.Key]
		if !ok || reason == v.Status.Deprecated {
			continue
		}
		ref := feed.Ref{Feed: r.Feed, NameKey: p.Key, VersionKey: v.Key}
		if err := h.services.Publisher.SetStatus(r.Context(), ref, r.Principal, func(s *proget.Status) { s.Deprecated = reason }); err != nil {
			return err
		}
	}
	return done(w)
}

// edit handles the first step of "npm unpublish": the package's document without a
// version. Only the second step, the deletion of the tarball, has an effect.
func (h *handler) edit(w http.ResponseWriter, r *feed.Request, rt route) error {
	d, err := openDocument(r.Body)
	if err != nil {
		return err
	}
	return h.deprecate(w, r, rt, d)
}

func (h *handler) deleteTarball(w http.ResponseWriter, r *feed.Request, rt route) error {
	v, err := h.tarballVersion(r, rt)
	if err != nil {
		return err
	}
	if err := h.services.Publisher.Delete(r.Context(), feed.Ref{Feed: r.Feed, NameKey: rt.name, VersionKey: v.Key}, r.Principal); err != nil {
		return err
	}
	return done(w)
}

// deletePackage deletes the versions that the client can see, which are all but those
// that are blocked: npm also requests it to delete the last version that it knows.
func (h *handler) deletePackage(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.findAvailable(r, rt.name)
	if err != nil {
		return err
	}
	if err := checkRevision(p, rt.arg); err != nil {
		return err
	}
	for _, v := range p.Versions {
		if !feed.Allowed(v) {
			continue
		}
		err := h.services.Publisher.Delete(r.Context(), feed.Ref{Feed: r.Feed, NameKey: p.Key, VersionKey: v.Key}, r.Principal)
		if err != nil && !errors.Is(err, proget.ErrNotFound) {
			return err
		}
	}
	return done(w)
}

// maxTag is the longest tag, in bytes.
const maxTag = 200

// simpleRange matches a range of versions as defined by node-semver's range.bnf
// (simple), and what its own expressions accept beyond that: "~>", and any number of
// "v" and "=" before the version.
var simpleRange = regexp.MustCompile(`^([<>]?=?|~>?|\^)[v=]*` + xr + `(\.` + xr + `(\.` + xr + `(-` + prepart + `(\.` + prepart + `)*)?(\+` + buildid + `(\.` + buildid + `)*)?)?)?$`)

// Parts of a version, named as in range.bnf.
const (
	xr      = `(x|X|\*|0|[1-9][0-9]*)`
	prepart = `(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`
	buildid = `[0-9A-Za-z-]+`
)

// isRange reports whether npm would take text without spaces for a version or a range
// of versions. npm's rule for tags uses semver.validRange.
func isRange(text string) bool {
	for simple := range strings.SplitSeq(text, "||") {
		if simple != "" && !simpleRange.MatchString(simple) {
			return false
		}
	}
	return true
}

// checkTag refuses a tag that could be taken for a version, as npm does, or that cannot
// be part of a URL.
func checkTag(tag string) error {
	bad := tag == "" || len(tag) > maxTag || strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' || r == '\\' })
	if bad || isRange(tag) {
		return proget.Errorf(proget.ErrInvalid, "The tag %.60q is not valid: use letters, digits and '-', and nothing that is a version or a range of versions.", tag)
	}
	return nil
}

func (h *handler) tags(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.findAvailable(r, rt.name)
	if err != nil {
		return err
	}
	return feed.ServeJSON(w, r, jsonType, distTags(p))
}

// putTag sets a tag; the body is the version as a JSON string.
func (h *handler) putTag(w http.ResponseWriter, r *feed.Request, rt route) error {
	var version string
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	if err != nil || json.Unmarshal(body, &version) != nil {
		return proget.WrapError(proget.ErrInvalid, err, `The body is not a version as JSON, as in "1.2.3".`)
	}
	if err := checkTag(rt.arg); err != nil {
		return err
	}
	ref := feed.Ref{Feed: r.Feed, NameKey: rt.name, VersionKey: versionKey(version)}
	if err := h.services.Publisher.Tag(r.Context(), ref, rt.arg, r.Principal); err != nil {
		return err
	}
	return answer(w, http.StatusCreated, map[string]any{"ok": true})
}

func (h *handler) deleteTag(w http.ResponseWriter, r *feed.Request, rt route) error {
	if rt.arg == latest {
		return proget.Errorf(proget.ErrInvalid, "The tag latest is always there: point it at another version instead.")
	}
	if err := h.services.Publisher.Untag(r.Context(), feed.Ref{Feed: r.Feed, NameKey: rt.name}, rt.arg, r.Principal); err != nil {
		return err
	}
	return done(w)
}
