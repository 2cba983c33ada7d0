package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

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
	if rt.action != unknown {
		if err := checkName(rt.repo); err != nil {
			return err
		}
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	switch rt.action {
	case getManifest:
		return h.getManifest(w, r, rt)
	case putManifest:
		return h.putManifest(w, r, rt)
	case deleteManifest:
		return h.deleteManifest(w, r, rt)
	case getBlob:
		return h.getBlob(w, r, rt)
	case deleteBlob:
		return h.deleteBlob(w, r, rt)
	case startUpload:
		return h.startUpload(w, r, rt)
	case uploadStatus:
		return h.uploadStatus(w, r, rt)
	case uploadChunk:
		return h.uploadChunk(w, r, rt)
	case finishUpload:
		return h.finishUpload(w, r, rt)
	case cancelUpload:
		return h.cancelUpload(w, r, rt)
	case listTags:
		return h.listTags(w, r, rt)
	case listReferrers:
		return h.listReferrers(w, r, rt)
	}
	known := func(method string) bool { return parse(method, r.Path).action != unknown }
	return feed.Unknown(w, r.Request, known, "images are at /v2/{feed}/{repository}/.")
}

// repository returns the name by which clients know a repository. Clients refuse
// capitals, which a feed's name may contain; feed names differ in more than case.
func repository(f *proget.Feed, repo string) string { return strings.ToLower(f.Name) + "/" + repo }

// find returns a repository's package, or the protocol's error.
func (h *handler) find(r *feed.Request, repo string) (*feed.Package, error) {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, repo)
	if errors.Is(err, proget.ErrNotFound) {
		return nil, proget.WrapError(proget.ErrNotFound, nameUnknown, "There is no repository %s.", repository(r.Feed, repo))
	}
	return p, err
}

// findManifest returns a manifest by its digest or by a tag.
func (h *handler) findManifest(r *feed.Request, rt route) (*feed.Package, *proget.Version, error) {
	p, err := h.find(r, rt.repo)
	if err != nil {
		return nil, nil, err
	}
	key := rt.arg
	if tagged, ok := p.Tags[rt.arg]; ok {
		key = tagged
	}
	v, err := p.Version(key)
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.WrapError(proget.ErrNotFound, manifestUnknown, "%s has no manifest %.150s.", repository(r.Feed, rt.repo), rt.arg)
	}
	return p, v, err
}

func (h *handler) getManifest(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, v, err := h.findManifest(r, rt)
	if err != nil {
		return err
	}
	if v.Status.Blocked {
		return proget.WrapError(proget.ErrDenied, denied, "The manifest %s is blocked.", v.Version)
	}
	w.Header().Set("Docker-Content-Digest", v.Key)
	fetched := r.Method == http.MethodGet && r.Header.Get("If-None-Match") == ""
	if !fetched { // a client that has the image only asks whether it has changed
		h.services.Files.Use(v)
	}
	if v.Files[0].Size > maxKept {
		return h.services.Files.Serve(w, r, v, v.Files[0], readData(v).MediaType)
	}
	doc, err := p.Kept(v.Key, func() (*feed.Document, error) {
		d := readData(v)
		return feed.Verbatim(d.MediaType, []byte(d.Body), v.Key), nil
	})
	if err != nil {
		return err
	}
	if fetched {
		h.services.Files.Count(v)
	}
	doc.Serve(w, r.Request)
	return nil
}

// maxTags bounds the tags that one request may give to a manifest.
const maxTags = 32

// readTags returns the tags for a manifest: the one in the path or, if the path names a
// digest, those in the query. It also returns that digest.
func readTags(r *feed.Request, rt route) (tags []string, d digest.Digest, err error) {
	if strings.Contains(rt.arg, ":") {
		d, err = readDigest(rt.arg)
		tags = r.URL.Query()["tag"]
	} else {
		tags = []string{rt.arg}
	}
	if err == nil && len(tags) > maxTags {
		err = invalid("a request may name at most %d tags", maxTags)
	}
	for _, tag := range tags {
		if err == nil && !validTag.MatchString(tag) {
			err = invalid("the tag %.130q is not valid: use up to 128 letters, digits, '.', '_' and '-', and neither '.' nor '-' first", tag)
		}
	}
	return tags, d, err
}

func (h *handler) putManifest(w http.ResponseWriter, r *feed.Request, rt route) error {
	tags, want, err := readTags(r, rt)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxManifest+1))
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, manifestInvalid, "The manifest ended before it was complete: send it again.")
	}
	if len(body) > maxManifest {
		return tooLarge()
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	m, err := decode(body, contentType)
	if err != nil {
		return err
	}
	key := digest.FromBytes(body)
	if want != "" {
		if key = want.Algorithm().FromBytes(body); key != want {
			return proget.WrapError(proget.ErrInvalid, digestInvalid, "The digest of the manifest is %s, not %s.", key, want)
		}
	}
	if err := h.record(r, rt.repo, m, key.String(), tags); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Location", r.Base+"/"+rt.repo+"/manifests/"+key.String())
	header.Set("Docker-Content-Digest", key.String())
	if m.Subject != nil {
		header.Set("OCI-Subject", m.Subject.Digest.String())
	}
	if want != "" && len(tags) > 0 {
		header.Set("OCI-Tag", strings.Join(tags, ", "))
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// record publishes a manifest. If the manifest exists, as when clients push it twice,
// record only makes the tags point at it. A large one is published again nevertheless,
// which mends it if storage has lost it.
func (h *handler) record(r *feed.Request, repo string, m *manifest, key string, tags []string) error {
	p, err := h.find(r, repo)
	if err != nil && !errors.Is(err, proget.ErrNotFound) {
		return err
	}
	if p != nil && hasVersion(p, key) && len(m.body) <= maxKept { // which the database has, not storage
		err := h.tag(r, repo, key, tags)
		if !errors.Is(err, proget.ErrNotFound) {
			return err
		} // the manifest was deleted meanwhile
	}
	isManifest := func(d digest.Digest) bool { return p != nil && hasVersion(p, d.String()) }
	refers, err := h.refers(r, repo, p, m.blobs(isManifest))
	if err != nil {
		return err
	}
	listed := m.manifests(isManifest)
	_, err = h.services.Publisher.Publish(r.Context(), feed.Upload{
		Feed: r.Feed, Body: bytes.NewReader(m.body), Size: int64(len(m.body)), By: r.Principal,
		Check: func(found *feed.Manifest) error {
			found.Name, found.Version, found.Tags, found.Refers, found.Data = repo, key, tags, refers, m.data()
			found.Needs = listed
			return nil
		}})
	switch {
	case errors.Is(err, proget.ErrConflict): // another request has just pushed the same manifest
		return h.tag(r, repo, key, tags)
	case errors.Is(err, proget.ErrNotFound):
		return proget.WrapError(proget.ErrInvalid, manifestBlobUnknown, "%s", proget.Message(err))
	}
	return err
}

func hasVersion(p *feed.Package, key string) bool {
	return slices.ContainsFunc(p.Versions, func(v *proget.Version) bool { return v.Key == key })
}

func (h *handler) tag(r *feed.Request, repo, key string, tags []string) error {
	for _, tag := range tags {
		if err := h.services.Publisher.Tag(r.Context(), feed.Ref{Feed: r.Feed, NameKey: repo, VersionKey: key}, tag, r.Principal); err != nil {
			return err
		}
	}
	return nil
}

// refers returns the stored files of the blobs that belong to a manifest. Everything
// that the manifest names must be in the repository, except its subject, which may come
// later, and foreign layers.
func (h *handler) refers(r *feed.Request, repo string, p *feed.Package, blobs []v1.Descriptor) ([]proget.File, error) {
	if len(blobs) > maxBlobs {
		return nil, invalid("it has %d layers and other blobs, of which an image may have %d", len(blobs), maxBlobs)
	}
	var files []proget.File
	for _, d := range blobs {
		f, err := h.findBlob(r, repo, p, d.Digest)
		if isNotFound(err) { // the last manifest that names it may have been deleted since the client saw it
			f, err = h.services.Uploads.Deleted(r.Context(), r.Feed, repo, d.Digest.String())
		}
		if isNotFound(err) && isForeign(d) {
			continue
		}
		if isNotFound(err) {
			return nil, missing(d)
		}
		if err != nil {
			return nil, err
		}
		if f.Size != d.Size {
			return nil, invalid("%s has %d bytes, not %d", d.Digest, f.Size, d.Size)
		}
		f.Name, f.StorageKey = d.Digest.String(), "" // the blob is stored, or must be pushed again
		files = append(files, f)
	}
	return files, nil
}

func missing(d v1.Descriptor) error {
	return proget.WrapError(proget.ErrInvalid, manifestBlobUnknown, "The manifest names %s, which is not in this repository: push it first.", d.Digest)
}

func (h *handler) deleteManifest(w http.ResponseWriter, r *feed.Request, rt route) error {
	ref := feed.Ref{Feed: r.Feed, NameKey: rt.repo, VersionKey: rt.arg}
	remove := func() error { return h.services.Publisher.Untag(r.Context(), ref, rt.arg, r.Principal) }
	if strings.Contains(rt.arg, ":") { // a digest, as no tag has a colon
		remove = func() error { return h.services.Publisher.Delete(r.Context(), ref, r.Principal) }
	}
	err := remove()
	if errors.Is(err, proget.ErrNotFound) {
		return proget.WrapError(proget.ErrNotFound, manifestUnknown, "%s has no manifest %.150s.", repository(r.Feed, rt.repo), rt.arg)
	}
	if errors.Is(err, proget.ErrConflict) {
		return proget.WrapError(proget.ErrConflict, denied, "%s", proget.Message(err))
	}
	if err != nil {
		return fmt.Errorf("delete a manifest: %w", err)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
