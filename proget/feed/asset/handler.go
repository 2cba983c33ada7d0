package asset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

type handler struct{ services feed.Services }

var _ feed.Handler = (*handler)(nil)

// Operation implements feed.Handler.
func (h *handler) Operation(r *feed.Request) feed.Operation {
	a, _ := parse(r.Method, r.Path)
	return a
}

// Vet implements feed.Vetter.
func (h *handler) Vet(ctx context.Context, f *proget.Feed, name string) error {
	p, err := readPath(name)
	if err != nil {
		return err
	}
	return h.checkPlace(ctx, f, p, false)
}

// ServeFeed implements feed.Handler.
func (h *handler) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	a, text := parse(r.Method, r.Path)
	if a == unknown {
		known := func(method string) bool { a, _ := parse(method, r.Path); return a != unknown }
		return feed.Unknown(w, r.Request, known, "asset directories have content, dir, delete, metadata, import and export.")
	}
	p, err := readPath(text)
	if err != nil {
		return err
	}
	switch a {
	case getContent:
		return h.getContent(w, r, p)
	case createContent, putContent, replaceContent:
		return h.putContent(w, r, p, a)
	case deleteContent:
		return h.deleteContent(w, r, p)
	case listFolder:
		return h.listFolder(w, r, p)
	case makeFolder:
		if err := h.makeFolder(r, p); err != nil {
			return err
		}
		w.WriteHeader(http.StatusCreated)
		return nil
	case deleteItem:
		return h.deleteItem(w, r, p)
	case exportFolder:
		return h.exportFolder(w, r, p)
	case importArchive:
		return h.importArchive(w, r, p)
	case getMetadata:
		return h.getMetadata(w, r, p)
	}
	return h.setMetadata(w, r, p)
}

// flag reads a boolean parameter. ProGet's clients write "recursive=false)"; any other
// text means false.
func flag(r *feed.Request, name string) bool {
	return strings.EqualFold(strings.TrimRight(r.URL.Query().Get(name), ")"), "true")
}

func (h *handler) listFolder(w http.ResponseWriter, r *feed.Request, p path) error {
	list := &list{w: w, r: r}
	err := h.walk(r.Context(), r.Feed, p, flag(r, "recursive"), func(e entry) error { return list.add(e.describe(r.Base)) })
	return list.end(h, err)
}

// maxDocument is the maximum size in bytes of a list that is sent as a document with an
// ETag.
const maxDocument = 4 << 20

// A list is a JSON array for a client. A short one is a document; a long one is sent
// while it is created.
type list struct {
	w    http.ResponseWriter
	r    *feed.Request
	body bytes.Buffer
	some bool // it has an item
	sent bool // sending has begun
}

// errSeen ends a walk whose remaining items nobody will see.
var errSeen = errors.New("the rest is not looked at")

func (l *list) add(i item) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if l.some {
		l.body.WriteByte(',')
	} else {
		l.body.WriteByte('[')
	}
	l.some = true
	l.body.Write(text)
	if l.body.Len() < maxDocument {
		return nil
	}
	if !l.sent {
		l.sent = true
		l.w.Header().Set("Content-Type", feed.JSONType)
		l.w.Header().Set("Cache-Control", "no-cache")
		l.w.WriteHeader(http.StatusOK)
	}
	if l.r.Method == http.MethodHead {
		return errSeen
	}
	_, err = l.body.WriteTo(l.w)
	return err
}

// end sends the rest. If the list cannot be completed after sending has begun, the
// response is cut off.
func (l *list) end(h *handler, err error) error {
	if errors.Is(err, errSeen) {
		return nil
	}
	if err != nil && l.sent {
		h.cutOff(l.r.Context(), "a list of a folder", err)
	}
	if err != nil {
		return err
	}
	if !l.some {
		l.body.WriteByte('[')
	}
	l.body.WriteByte(']')
	if !l.sent {
		feed.NewDocument(feed.JSONType, l.body.Bytes()).Serve(l.w, l.r.Request)
		return nil
	}
	_, _ = l.body.WriteTo(l.w) // an error means that the client went away
	return nil
}

// cutOff aborts a response that has begun, so that it does not look complete.
func (h *handler) cutOff(ctx context.Context, what string, err error) {
	h.services.Logger.WarnContext(ctx, what+" was cut short", "error", err)
	panic(http.ErrAbortHandler)
}

// makeFolder creates a permanent folder and its parents. If the folder exists because
// something is in it, it becomes permanent.
func (h *handler) makeFolder(r *feed.Request, p path) error {
	if err := h.checkPlace(r.Context(), r.Feed, p, true); err != nil {
		return err
	}
	folders := []path{p}
	for parent := range p.above {
		folders = append(folders, parent)
	}
	for _, folder := range slices.Backward(folders) {
		if err := h.keepFolder(r, folder); err != nil {
			return err
		}
	}
	return nil
}

// keepFolder creates a folder's own package.
func (h *handler) keepFolder(r *feed.Request, p path) error {
	_, err := h.version(r.Context(), r.Feed, strings.ToLower(p.folder()))
	if err == nil || !isNotFound(err) {
		return err
	}
	_, err = h.services.Publisher.Publish(r.Context(), feed.Upload{Feed: r.Feed, Body: http.NoBody, Name: p.folder(), By: r.Principal, Check: stamp("")})
	if errors.Is(err, proget.ErrConflict) { // another request has just created it
		return nil
	}
	return err
}

func (h *handler) deleteItem(w http.ResponseWriter, r *feed.Request, p path) error {
	if p == "" {
		return proget.Errorf(proget.ErrInvalid, "Name the file or folder to delete.")
	}
	e, err := h.find(r.Context(), r.Feed, p)
	if err != nil && !isNotFound(err) {
		return err
	}
	c := readConditions(r.Header, nil)
	switch {
	case err != nil || !e.dir:
		err = h.deleteFile(r, p, e.version)
	case c != nil && c.hold(true, time.Time{}) != nil: // a folder has neither ETag nor time
		err = errChanged()
	case flag(r, "recursive"):
		err = h.deleteFolder(r, p)
	default:
		err = h.deleteEmpty(r, p)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// deleteFile deletes a file, or nothing if v is nil, if the request's conditions hold.
func (h *handler) deleteFile(r *feed.Request, p path, v *proget.Version) error {
	c := readConditions(r.Header, v)
	if err := c.check(v); v == nil || err != nil {
		return err
	}
	ref := feed.Ref{Feed: r.Feed, NameKey: p.key(), VersionKey: fixedVersion}
	if c.exact() {
		ref.ID = v.ID
	}
	err := h.services.Publisher.Delete(r.Context(), ref, r.Principal)
	if !isNotFound(err) {
		return err
	}
	if c != nil {
		return errChanged()
	}
	return nil
}

// delete deletes the package with a key. It returns nil if there is none.
func (h *handler) delete(r *feed.Request, key string) error {
	err := h.services.Publisher.Delete(r.Context(), feed.Ref{Feed: r.Feed, NameKey: key, VersionKey: fixedVersion}, r.Principal)
	if isNotFound(err) {
		return nil
	}
	return err
}

// deleteFolder deletes the contents of a folder one by one, and the folder last: after
// an interruption, there is still a folder with the remaining items.
func (h *handler) deleteFolder(r *feed.Request, p path) error {
	prefix := p.folderKey()
	for after := prefix; ; {
		page, err := h.services.Packages.List(r.Context(), r.Feed, after, pageSize)
		if err != nil {
			return err
		}
		for _, pkg := range page {
			if !strings.HasPrefix(pkg.Key, prefix) {
				return h.delete(r, prefix)
			}
			if err := h.delete(r, pkg.Key); err != nil {
				return err
			}
			after = pkg.Key
		}
		if len(page) == 0 {
			return h.delete(r, prefix)
		}
	}
}

func (h *handler) deleteEmpty(r *feed.Request, p path) error {
	prefix := p.folderKey()
	page, err := h.services.Packages.List(r.Context(), r.Feed, prefix, 1)
	if err != nil {
		return err
	}
	if len(page) > 0 && strings.HasPrefix(page[0].Key, prefix) {
		return proget.Errorf(proget.ErrInvalid, "The folder %q is not empty: add recursive=true to delete what is in it, too.", p)
	}
	return h.delete(r, prefix)
}
