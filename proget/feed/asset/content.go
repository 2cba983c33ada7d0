package asset

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// extension returns the extension of a file's name, with its dot.
func extension(p path) string {
	_, name := p.split()
	return name[max(strings.LastIndexByte(name, '.'), 0):]
}

func (h *handler) getContent(w http.ResponseWriter, r *feed.Request, p path) error {
	v, err := h.file(r.Context(), r.Feed, p)
	if err != nil {
		return err
	}
	if v.Status.Blocked {
		return proget.Errorf(proget.ErrNotFound, "%s is blocked.", p)
	}
	d := readData(v)
	own := make(map[string]string)
	if own["Cache-Control"], err = h.cacheControl(r, p, d); err != nil {
		return err
	}
	for key, m := range d.UserMetadata {
		if m.Include && m.check(key) == nil {
			own[key] = m.Value
		}
	}
	for key, value := range own {
		w.Header().Set(key, value)
	}
	if err = h.services.Files.Serve(w, r, v, v.Files[0], d.Type); err != nil {
		for key := range own { // they belong to the file, not to the error
			w.Header().Del(key)
		}
	}
	return err
}

// cacheControl returns the caching rule of a file, or of the nearest folder with one.
func (h *handler) cacheControl(r *feed.Request, p path, d data) (string, error) {
	if header := d.CacheHeader.header(); header != "" {
		return header, nil
	}
	var folders []path
	for parent := range p.above {
		folders = append(folders, parent)
	}
	for _, folder := range append(folders, "") {
		v, err := h.version(r.Context(), r.Feed, strings.ToLower(folder.folder()))
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		if header := readData(v).CacheHeader.header(); header != "" {
			return header, nil
		}
	}
	return "no-cache", nil // clients may cache, but must revalidate
}

// putContent stores a file. A file that is replaced keeps its metadata.
func (h *handler) putContent(w http.ResponseWriter, r *feed.Request, p path, a action) error {
	if err := checkCoding(w, r); err != nil {
		return err
	}
	if step := r.URL.Query().Get("multipart"); step != "" && a == putContent {
		return h.multipart(w, r, p, step)
	}
	if err := checkRange(r); err != nil {
		return err
	}
	if err := h.checkPlace(r.Context(), r.Feed, p, false); err != nil {
		return err
	}
	c, err := h.conditions(r, p)
	if err == nil {
		err = c.checkSeen()
	}
	if err != nil {
		return err
	}
	typ, err := requestType(r)
	if err != nil {
		return err
	}
	u := feed.Upload{Body: r.Body, Size: max(r.ContentLength, 0), Check: stamp(typ, readClaims(r.Header)...)}
	err = h.store(r, p, a, c, u)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// store publishes a file, if the conditions hold.
func (h *handler) store(r *feed.Request, p path, a action, c *conditions, u feed.Upload) error {
	u.Feed, u.Name, u.By = r.Feed, string(p), r.Principal
	if a != createContent || c != nil { // else a constraint of the database finds what is there
		u.Replace = func(old *proget.Version, m *feed.Manifest) error {
			if err := c.check(old); err != nil {
				return err
			}
			switch {
			case a == createContent && old != nil:
				return proget.ErrConflict
			case a == replaceContent && old == nil:
				return proget.Errorf(proget.ErrNotFound, "There is no file %q in %s to replace.", p, r.Feed.Name)
			}
			return carryOver(old, m)
		}
	}
	_, err := h.services.Publisher.Publish(r.Context(), u)
	if errors.Is(err, proget.ErrConflict) {
		return &existsError{proget.WrapError(proget.ErrInvalid, err, "There is a file %q in %s already: POST replaces it.", p, r.Feed.Name)}
	}
	return err
}

// existsError says that a file already exists. For ProGet's clients, that is a bad
// request.
type existsError struct{ error }

// Unwrap returns the wrapped error.
func (e *existsError) Unwrap() error { return e.error }

// requestType returns the media type of a request's body, or "" if the request has
// none. It ignores curl's default.
func requestType(r *feed.Request) (string, error) {
	text := r.Header.Get("Content-Type")
	if mediaType, _, _ := mime.ParseMediaType(text); text == "" || mediaType == "application/x-www-form-urlencoded" {
		return "", nil
	}
	return readType(text)
}

// stamp returns the Upload.Check that adds to an item what its file does not say, if the
// client's claims are true.
func stamp(typ string, claims ...claim) func(*feed.Manifest) error {
	now := time.Now().UTC().Truncate(time.Second)
	return func(m *feed.Manifest) error {
		d := m.Data.(data) // from inspect
		for _, c := range claims {
			if err := c.check(d.digests); err != nil {
				return err
			}
		}
		d.Created = now
		if typ != "" {
			d.Type, d.typed = typ, true
		}
		m.Data = d
		return nil
	}
}

// carryOver keeps the metadata of an item whose file is replaced.
func carryOver(old *proget.Version, m *feed.Manifest) error {
	if old == nil {
		return nil
	}
	was, err := decode(old.Manifest)
	if err != nil {
		return fmt.Errorf("read what is kept of %s: %w", m.Name, err)
	}
	d := m.Data.(data)
	d.Created, d.UserMetadata, d.CacheHeader = was.Created, was.UserMetadata, was.CacheHeader
	if !d.typed && was.Type != "" {
		d.Type = was.Type
	}
	m.Data = d
	return nil
}

func (h *handler) deleteContent(w http.ResponseWriter, r *feed.Request, p path) error {
	v, err := h.file(r.Context(), r.Feed, p)
	if err != nil && !isNotFound(err) {
		return err
	}
	if err := h.deleteFile(r, p, v); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
