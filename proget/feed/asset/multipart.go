package asset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxID bounds the name that a client gives an upload, in bytes.
const maxID = 200

// partsOf names the upload that receives the parts.
func partsOf(r *feed.Request, p path, id string) feed.UploadRef {
	return feed.UploadRef{Feed: r.Feed, Scope: "parts/" + p.key(), ID: id}
}

// totalsOf names a second upload, whose only part is what the first part said about the
// whole. It is never finished, and outlives the other upload.
func totalsOf(r *feed.Request, p path, id string) feed.UploadRef {
	return feed.UploadRef{Feed: r.Feed, Scope: "totals/" + p.key(), ID: id}
}

// multipart receives a part of a file, or creates the file from all parts. Each of
// these requests may reach a different node.
func (h *handler) multipart(w http.ResponseWriter, r *feed.Request, p path, step string) error {
	id := r.URL.Query().Get("id")
	if id == "" || len(id) > maxID {
		return proget.Errorf(proget.ErrInvalid, "An upload in parts needs an id of 1 to %d bytes.", maxID)
	}
	if err := h.checkPlace(r.Context(), r.Feed, p, false); err != nil {
		return err
	}
	c, err := h.conditions(r, p)
	if err != nil {
		return err
	}
	switch step {
	case "upload":
		if err = c.checkSeen(); err == nil {
			err = h.putPart(r, p, id)
		}
	case "complete": // it may be repeated when the file is there
		err = h.complete(r, p, id, c)
	default:
		err = proget.Errorf(proget.ErrInvalid, "multipart is %.20q; use upload or complete.", step)
	}
	if isNotFound(err) || errors.Is(err, proget.ErrTooLarge) { // for ProGet's clients, the numbers in the request are wrong
		err = proget.WrapError(proget.ErrInvalid, err, "%s", proget.Message(err))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// A part is what a request says about the part that it contains.
type part struct{ index, offset, size, totalSize, totalParts int64 }

func readPart(r *feed.Request) (p part, err error) {
	q := r.URL.Query()
	for name, n := range map[string]*int64{"index": &p.index, "offset": &p.offset, "partSize": &p.size, "totalSize": &p.totalSize, "totalParts": &p.totalParts} {
		if *n, err = strconv.ParseInt(q.Get(name), 10, 64); err != nil || *n < 0 {
			return p, proget.Errorf(proget.ErrInvalid, "%s is %.40q; give index, offset, partSize, totalSize and totalParts, each a number.", name, q.Get(name))
		}
	}
	switch {
	case p.size == 0 || p.totalParts == 0:
		return p, proget.Errorf(proget.ErrInvalid, "partSize and totalParts are at least 1.")
	case p.index >= p.totalParts:
		return p, proget.Errorf(proget.ErrInvalid, "index is %d, but there are %d parts, counted from 0.", p.index, p.totalParts)
	case p.offset > math.MaxInt64-p.size || p.offset+p.size > p.totalSize:
		return p, proget.Errorf(proget.ErrInvalid, "The part at offset %d with %d bytes ends beyond the total of %d bytes.", p.offset, p.size, p.totalSize)
	case r.ContentLength >= 0 && r.ContentLength != p.size:
		return p, proget.Errorf(proget.ErrInvalid, "The part has %d bytes instead of %d.", r.ContentLength, p.size)
	}
	return p, nil
}

// totals is what every part of an upload says about the whole.
type totals struct {
	Size  int64  `json:"size"`
	Parts int64  `json:"parts"`
	Type  string `json:"type"` // the media type in the first part, if any
}

// maxTotals bounds the JSON of totals, in bytes.
const maxTotals = 1024

func readTotals(r io.Reader) (t totals, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTotals))
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(text, &t)
}

func (h *handler) putPart(r *feed.Request, p path, id string) error {
	part, err := readPart(r)
	if err != nil {
		return err
	}
	typ, err := requestType(r)
	if err != nil {
		return err
	}
	said := totals{Size: part.totalSize, Parts: part.totalParts, Type: typ}
	known, err := h.agree(r, totalsOf(r, p, id), said)
	if err != nil {
		return err
	}
	if known.Size != said.Size || known.Parts != said.Parts {
		return proget.Errorf(proget.ErrInvalid, "An earlier part announced a total of %d bytes in %d parts, but this part announces %d bytes in %d parts.", known.Size, known.Parts, said.Size, said.Parts)
	}
	ref := partsOf(r, p, id)
	if err := h.begin(r, ref); err != nil {
		return err
	}
	return h.services.Uploads.PutPart(r.Context(), ref, part.offset, part.size, r.Body)
}

// begin begins an upload, unless another part has already done so.
func (h *handler) begin(r *feed.Request, ref feed.UploadRef) error {
	err := h.services.Uploads.Begin(r.Context(), ref, r.Principal, proget.MD5, proget.SHA1, proget.SHA512)
	if errors.Is(err, proget.ErrConflict) {
		return nil
	}
	return err
}

// agree returns what the first part said about the whole. If this is the first part,
// agree stores said for the others.
func (h *handler) agree(r *feed.Request, ref feed.UploadRef, said totals) (totals, error) {
	known, err := h.recall(r, ref)
	if !isNotFound(err) {
		return known, err
	}
	text, err := json.Marshal(said)
	if err != nil {
		return known, err
	}
	if err := h.begin(r, ref); err != nil {
		return known, err
	}
	_, err = h.services.Uploads.Append(r.Context(), ref, 0, bytes.NewReader(text))
	if _, other := errors.AsType[*feed.OffsetError](err); err != nil && !other { // another part was first
		return known, err
	}
	return h.recall(r, ref)
}

// recall returns what agree stored, or proget.ErrNotFound.
func (h *handler) recall(r *feed.Request, ref feed.UploadRef) (t totals, err error) {
	file, err := h.services.Uploads.Held(r.Context(), ref)
	if err != nil {
		return t, err
	}
	content, err := h.services.Files.Open(r.Context(), file)
	if err != nil {
		return t, err
	}
	defer content.Close()
	if t, err = readTotals(io.NewSectionReader(content, 0, content.Size())); err != nil {
		return t, fmt.Errorf("read what an upload said of the whole: %w", err)
	}
	return t, nil
}

// complete creates the file from its parts. If bytes are missing, the upload stays
// open. What the first part said about the whole is kept as long as uploads are: it
// identifies a repeated completion whose response was lost.
func (h *handler) complete(r *feed.Request, p path, id string, c *conditions) error {
	known, err := h.recall(r, totalsOf(r, p, id))
	if isNotFound(err) {
		return noUpload(p, id)
	}
	if err != nil {
		return err
	}
	ref := partsOf(r, p, id)
	blob, err := h.services.Uploads.Finish(r.Context(), ref, known.Size, nil)
	if isNotFound(err) {
		if v, err := h.file(r.Context(), r.Feed, p); err == nil && v.Files[0].Size == known.Size {
			return nil // it was already completed
		}
		return noUpload(p, id)
	}
	if err != nil {
		return err
	}
	if err := h.store(r, p, putContent, c, feed.Upload{Stored: &blob, Check: stamp(known.Type)}); err != nil {
		return err
	}
	return h.services.Uploads.Cancel(r.Context(), ref)
}

func noUpload(p path, id string) error {
	return proget.Errorf(proget.ErrInvalid, "There is no upload %.60q to %q: it was completed, no part of it arrived, or it expired. Begin again.", id, p)
}
