package oci

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// upload returns the upload that a path names. Before any bytes have arrived, the name
// contains the upload's offer, after a dot.
func upload(f *proget.Feed, repo, name string) feed.UploadRef {
	id, offer, _ := strings.Cut(name, ".")
	return feed.UploadRef{Feed: f, Scope: "uploads/" + repo, ID: id, Offer: offer}
}

// startUpload begins an upload, mounts a blob of another repository, or receives a
// whole blob.
func (h *handler) startUpload(w http.ResponseWriter, r *feed.Request, rt route) error {
	q := r.URL.Query()
	if q.Has("mount") {
		if done, err := h.mount(w, r, rt, q); done || err != nil {
			return err
		}
	}
	algorithms, err := beside256(q.Get("digest-algorithm"))
	if err != nil {
		return err
	}
	var whole digest.Digest
	if q.Has("digest") && !q.Has("mount") {
		if whole, err = readDigest(q.Get("digest")); err != nil {
			return err
		}
		algorithms, _ = beside256(whole.Algorithm().String())
	}
	ref := upload(r.Feed, rt.repo, rand.Text())
	if ref.Offer, err = h.services.Uploads.Offer(ref, r.Principal, algorithms...); err != nil {
		return err
	}
	if whole != "" {
		return h.finish(w, r, rt.repo, ref, whole)
	}
	return underWay(w, r, rt.repo, ref, 0, http.StatusAccepted)
}

// beside256 returns the algorithms to use besides SHA-256, which is always used.
func beside256(name string) ([]proget.Algorithm, error) {
	switch digest.Algorithm(name) {
	case "", digest.SHA256:
		return nil, nil
	case digest.SHA512:
		return []proget.Algorithm{proget.SHA512}, nil
	}
	return nil, proget.WrapError(proget.ErrInvalid, digestInvalid, "The digest algorithm %.40q is not supported: use sha256 or sha512.", name)
}

// mount adds a blob of another repository of the same feed to this one. If it cannot,
// for whatever reason, it returns false, and the client then uploads the blob.
func (h *handler) mount(w http.ResponseWriter, r *feed.Request, rt route, q url.Values) (done bool, err error) {
	d, err := readDigest(q.Get("mount"))
	if err != nil {
		return false, err
	}
	name, repo, _ := strings.Cut(q.Get("from"), "/")
	if !strings.EqualFold(name, r.Feed.Name) {
		return false, nil
	}
	f, err := h.blob(r, repo, d, true)
	if err == nil {
		err = h.services.Uploads.Hold(r.Context(), held(r.Feed, rt.repo, d), r.Principal, f.Digests[proget.SHA256], f.Size)
	}
	if isNotFound(err) || errors.Is(err, proget.ErrDenied) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	created(w, r, rt.repo, d)
	return true, nil
}

// created responds with the location of a blob.
func created(w http.ResponseWriter, r *feed.Request, repo string, d digest.Digest) {
	w.Header().Set("Location", r.Base+"/"+repo+"/blobs/"+d.String())
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
}

// underWay responds with the state of an upload. An upload that has begun no longer
// needs its offer.
func underWay(w http.ResponseWriter, r *feed.Request, repo string, ref feed.UploadRef, size int64, status int) error {
	name := ref.ID
	if size == 0 && ref.Offer != "" {
		name += "." + ref.Offer
	}
	h := w.Header()
	h.Set("Location", r.Base+"/"+repo+"/blobs/uploads/"+url.PathEscape(name))
	h.Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
	h.Set("Docker-Upload-UUID", ref.ID)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return nil
}

func (h *handler) uploadStatus(w http.ResponseWriter, r *feed.Request, rt route) error {
	ref := upload(r.Feed, rt.repo, rt.arg)
	size, err := h.services.Uploads.Size(r.Context(), ref)
	if err != nil {
		return err
	}
	return underWay(w, r, rt.repo, ref, size, http.StatusNoContent)
}

func (h *handler) cancelUpload(w http.ResponseWriter, r *feed.Request, rt route) error {
	ref := upload(r.Feed, rt.repo, rt.arg)
	if _, err := h.services.Uploads.Size(r.Context(), ref); err != nil {
		return err
	}
	if err := h.services.Uploads.Cancel(r.Context(), ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) uploadChunk(w http.ResponseWriter, r *feed.Request, rt route) error {
	from, err := contentRange(r)
	if err != nil {
		return err
	}
	ref := upload(r.Feed, rt.repo, rt.arg)
	size, err := h.services.Uploads.Append(r.Context(), ref, from, r.Body)
	if err != nil {
		return outOfOrder(w, r, rt.repo, ref, err)
	}
	return underWay(w, r, rt.repo, ref, size, http.StatusAccepted)
}

// outOfOrder answers a chunk that is not the next one, and returns other errors.
func outOfOrder(w http.ResponseWriter, r *feed.Request, repo string, ref feed.UploadRef, err error) error {
	offset, ok := errors.AsType[*feed.OffsetError](err)
	if !ok {
		return err
	}
	return underWay(w, r, repo, ref, offset.Size, http.StatusRequestedRangeNotSatisfiable)
}

// contentRange returns where a chunk begins, or -1 if the request does not say, as when
// Docker's clients send a blob as a single chunk. It compares the range with the
// chunk's length. Some clients prefix the unit.
func contentRange(r *feed.Request) (from int64, err error) {
	text := r.Header.Get("Content-Range")
	if text == "" {
		return -1, nil
	}
	span, _, _ := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, last, ok := strings.Cut(span, "-")
	from, err = strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil || err2 != nil || from < 0 || to < from-1 {
		return 0, proget.WrapError(proget.ErrInvalid, uploadInvalid, "The Content-Range %.60q is not of the form 0-1023.", text)
	}
	if r.ContentLength >= 0 && to-from+1 != r.ContentLength {
		return 0, proget.WrapError(proget.ErrInvalid, sizeInvalid, "The Content-Range %s does not have the %d bytes of the Content-Length.", text, r.ContentLength)
	}
	return from, nil
}

func (h *handler) finishUpload(w http.ResponseWriter, r *feed.Request, rt route) error {
	d, err := readDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	ref := upload(r.Feed, rt.repo, rt.arg)
	err = h.finish(w, r, rt.repo, ref, d)
	if isNotFound(err) { // the response to an earlier attempt may have been lost
		if f, known := h.blob(r, rt.repo, d, false); known == nil {
			if err := h.checkEnd(r, f); err != nil {
				return err
			}
			created(w, r, rt.repo, d)
			return nil
		}
	}
	return outOfOrder(w, r, rt.repo, ref, err)
}

// checkEnd returns an error unless the blob ends with the request's body, which is the
// last chunk of an upload, the whole, or nothing. It reads no more of the blob than came.
func (h *handler) checkEnd(r *feed.Request, blob proget.File) error {
	if r.ContentLength == 0 {
		return nil
	}
	from, err := contentRange(r)
	if err != nil {
		return err
	}
	came := sha256.New()
	n, err := io.Copy(came, io.LimitReader(r.Body, blob.Size+1))
	if err != nil {
		return feed.UploadError(err)
	}
	if from < 0 {
		from = max(blob.Size-n, 0)
	}
	same := from+n == blob.Size
	if same && n > 0 {
		content, err := h.services.Files.Open(r.Context(), blob)
		if err != nil {
			return err
		}
		defer content.Close()
		end := sha256.New()
		if _, err := io.Copy(end, io.NewSectionReader(content, from, n)); err != nil {
			return err
		}
		same = bytes.Equal(came.Sum(nil), end.Sum(nil))
	}
	if !same {
		return proget.WrapError(proget.ErrInvalid, digestInvalid, "There is no such upload, and the blob of that digest does not end with the bytes sent: begin the upload again.")
	}
	return nil
}

// finish appends the last chunk, if any, and turns the upload into a blob.
func (h *handler) finish(w http.ResponseWriter, r *feed.Request, repo string, ref feed.UploadRef, d digest.Digest) error {
	var from int64
	var last io.Reader
	if r.ContentLength != 0 {
		var err error
		if from, err = contentRange(r); err != nil {
			return err
		}
		last = r.Body
	}
	err := h.services.Uploads.Keep(r.Context(), ref, held(r.Feed, repo, d), r.Principal,
		proget.Digests{proget.Algorithm(d.Algorithm()): d.Encoded()}, from, last)
	if errors.Is(err, feed.ErrDigest) {
		err = proget.WrapError(proget.ErrInvalid, digestInvalid, "%s", proget.Message(err))
	}
	if err != nil {
		return err
	}
	created(w, r, repo, d)
	return nil
}
