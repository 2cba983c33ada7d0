package oci

import (
	"errors"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

func isNotFound(err error) bool { return errors.Is(err, proget.ErrNotFound) }

// held names a blob that was pushed to a repository and that no manifest names yet.
func held(f *proget.Feed, repo string, d digest.Digest) feed.UploadRef {
	return feed.UploadRef{Feed: f, Scope: "blobs/" + repo, ID: d.String()}
}

// referred returns the blob with that digest from the files of those of a repository's
// manifests for which which returns true.
func referred(p *feed.Package, d digest.Digest, which func(*proget.Version) bool) (proget.File, bool) {
	if p == nil {
		return proget.File{}, false
	}
	name := d.String()
	for _, v := range p.Versions {
		if !which(v) {
			continue
		}
		for _, f := range v.Files[1:] {
			if f.Name == name {
				return f, true
			}
		}
	}
	return proget.File{}, false
}

// findBlob returns a blob of a repository. p is the repository's package, or nil if it
// has no manifest yet.
func (h *handler) findBlob(r *feed.Request, repo string, p *feed.Package, d digest.Digest) (proget.File, error) {
	if f, ok := referred(p, d, feed.Allowed); ok {
		return f, nil
	}
	f, err := h.services.Uploads.Held(r.Context(), held(r.Feed, repo, d))
	if isNotFound(err) {
		err = proget.WrapError(proget.ErrNotFound, blobUnknown, "%s has no blob %s.", repository(r.Feed, repo), d)
	}
	f.Name = d.String()
	return f, err
}

// blob returns a blob of a repository. One that only blocked images name is found while it
// is held from its push, unless its bytes are wanted: whoever pushes an image may see that
// it is there, as the new image may have it.
func (h *handler) blob(r *feed.Request, repo string, d digest.Digest, bytes bool) (proget.File, error) {
	p, err := h.find(r, repo)
	if err != nil && !isNotFound(err) {
		return proget.File{}, err
	}
	if _, allowed := referred(p, d, feed.Allowed); bytes && !allowed {
		if _, blocked := referred(p, d, feed.Any); blocked {
			return proget.File{}, proget.WrapError(proget.ErrDenied, denied, "The image of %s is blocked.", d)
		}
	}
	return h.findBlob(r, repo, p, d)
}

func (h *handler) getBlob(w http.ResponseWriter, r *feed.Request, rt route) error {
	d, err := readDigest(rt.arg)
	if err != nil {
		return err
	}
	f, err := h.blob(r, rt.repo, d, r.Method != http.MethodHead)
	if err != nil {
		return err
	}
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	return h.services.Files.Serve(w, r, nil, f, "application/octet-stream") // without counting: the manifest counts as the image's download
}

// deleteBlob deletes a blob that no manifest names. Other blobs live as long as their
// manifests.
func (h *handler) deleteBlob(w http.ResponseWriter, r *feed.Request, rt route) error {
	d, err := readDigest(rt.arg)
	if err != nil {
		return err
	}
	p, err := h.find(r, rt.repo)
	if err != nil && !isNotFound(err) {
		return err
	}
	if _, ok := referred(p, d, feed.Allowed); ok {
		return proget.WrapError(feed.ErrMethod, unsupported, "A manifest names %s: delete the manifests, and their blobs go with them.", d)
	}
	if _, err := h.findBlob(r, rt.repo, nil, d); err != nil {
		return err
	}
	if err := h.services.Uploads.Cancel(r.Context(), held(r.Feed, rt.repo, d)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
