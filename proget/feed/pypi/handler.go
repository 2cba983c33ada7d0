package pypi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	textType = "text/plain; charset=utf-8"
	jsonType = "application/json"
	fileType = "application/octet-stream"
)

type handler struct{ services feed.Services }

var _ feed.Handler = (*handler)(nil)

// Operation implements feed.Handler.
func (h *handler) Operation(r *feed.Request) feed.Operation { return parse(r.Method, r.Path).action }

// ServeFeed implements feed.Handler.
func (h *handler) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	rt := parse(r.Method, r.Path)
	switch rt.action {
	case home:
		return redirect(w, r, simplePath+"/")
	case listProjects:
		return h.projects(w, r, rt)
	case getProject:
		return h.project(w, r, rt)
	case getFile:
		return h.file(w, r, rt)
	case getJSON:
		return h.json(w, r, rt)
	case uploadForm:
		return h.uploadForm(w, r)
	case uploadFile:
		return h.uploadFile(w, r, rt)
	}
	known := func(method string) bool { return parse(method, r.Path).action != unknown }
	return feed.Unknown(w, r.Request, known, "pip's index is at simple/, and twine uploads to legacy/.")
}

// redirect sends the client to another path below the feed.
func redirect(w http.ResponseWriter, r *feed.Request, path string) error {
	to := r.Base + "/" + path
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Cache-Control", "no-store") // the base depends on the client's URL
	http.Redirect(w, r.Request, to, http.StatusTemporaryRedirect)
	return nil
}

// find returns a package, or the protocol's error.
func (h *handler) find(r *feed.Request, name string) (*feed.Package, error) {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, nameKey(name))
	if errors.Is(err, proget.ErrNotFound) {
		return nil, proget.WrapError(proget.ErrNotFound, err, "There is no package %.200s in feed %s.", name, r.Feed.Name)
	}
	return p, err
}

// fileURL returns the URL of a file; base is the feed's URL.
func fileURL(base, key, file string) string {
	return base + "/" + packagesPath + "/" + key + "/" + url.PathEscape(file)
}

// readFileData decodes the data that inspect returned for a file.
func readFileData(f proget.File) (d fileData) {
	_ = json.Unmarshal(f.Data, &d) // inspect encoded it
	return d
}

// metadataEnding is appended to a file's URL to get the URL of its metadata (PEP 658).
const metadataEnding = ".metadata"

func (h *handler) file(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.find(r, rt.name)
	if err != nil {
		return err
	}
	name, wantsMetadata := strings.CutSuffix(rt.arg, metadataEnding)
	for _, v := range p.Versions {
		for _, f := range v.Files {
			switch {
			case f.Name != name:
				continue
			case !feed.Allowed(v):
				return feed.CheckAllowed(v)
			case wantsMetadata:
				return h.metadata(w, r, p, f)
			}
			return h.services.Files.Serve(w, r, v, f, fileType)
		}
	}
	return proget.Errorf(proget.ErrNotFound, "%s has no file %.255s.", p.Name, name)
}

// metadata serves a wheel's METADATA.
func (h *handler) metadata(w http.ResponseWriter, r *feed.Request, p *feed.Package, f proget.File) error {
	sum := readFileData(f).Metadata
	if sum == "" {
		return proget.Errorf(proget.ErrNotFound, "The metadata of %s is not served separately: only wheels have separate metadata.", f.Name)
	}
	doc, err := p.Document("metadata "+f.Name, textType, func() ([]byte, error) { return h.readMetadata(r, f, sum) })
	if err != nil {
		return err
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	doc.Serve(w, r.Request)
	return nil
}

// readMetadata reads a wheel's METADATA, and checks that its digest is the one in the
// index.
func (h *handler) readMetadata(r *feed.Request, f proget.File, sum string) ([]byte, error) {
	content, err := h.services.Files.Open(r.Context(), f)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	a, err := openZip(content, content.Size())
	var found *wheel
	if err == nil {
		found, err = readWheel(a)
	}
	if errors.Is(err, proget.ErrInvalid) || err == nil && hexSum(found.metadata) != sum {
		return nil, proget.WrapError(proget.ErrUnavailable, err, "%s is damaged in storage.", f.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the metadata of %s: %w", f.Name, err)
	}
	return found.metadata, nil
}

func hexSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// uploadForm handles an upload as twine and uv send it.
func (h *handler) uploadForm(w http.ResponseWriter, r *feed.Request) error {
	f, err := openForm(r.Request)
	if err != nil {
		return err
	}
	return h.publish(w, r, feed.Upload{Body: f, Size: f.size, Name: f.name, Check: f.check})
}

// uploadFile handles an upload as the request's body, as in ProGet, or as a form.
func (h *handler) uploadFile(w http.ResponseWriter, r *feed.Request, rt route) error {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType == "multipart/form-data" && rt.arg == "" {
		return h.uploadForm(w, r)
	}
	body, err := feed.OpenBody(r.Request)
	if err != nil {
		return err
	}
	name := rt.arg
	if name == "" {
		name = body.Name
	}
	return h.publish(w, r, feed.Upload{Body: body, Size: body.Size, Name: name})
}

// publish stores a file and responds. Builds that were interrupted between two files
// send the first again, which succeeds as on PyPI. twine --skip-existing recognises a
// conflict by its status and the first words of its message.
func (h *handler) publish(w http.ResponseWriter, r *feed.Request, u feed.Upload) error {
	u.Feed, u.By = r.Feed, r.Principal
	_, err := h.services.Publisher.Publish(r.Context(), u)
	if errors.Is(err, proget.ErrConflict) {
		return proget.WrapError(proget.ErrConflict, err, "File already exists: %s", proget.Message(err))
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", textType)
	_, _ = io.WriteString(w, "The file is in the feed.\n") // an error means that the client went away
	return nil
}
