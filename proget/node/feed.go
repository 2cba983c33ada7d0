package node

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// feedHandler serves all feeds below one mount. It does what every request needs, in
// one place and one order; see package feed.
type feedHandler struct {
	node  *Node
	mount string
	types []served // the first writes the errors; types that share a mount must write them alike
}

// served is a feed type with its handler.
type served struct {
	*feed.Type
	handler feed.Handler
}

func (h *feedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.node.answer(w, r, h.node.challenging(h.types[0].Type), h.serve)
}

// of returns the type of a feed, or an error if this mount does not serve it.
func (h *feedHandler) of(f *proget.Feed) (served, error) {
	for _, s := range h.types {
		if s.Name == f.Type {
			return s, nil
		}
	}
	return served{}, proget.Errorf(proget.ErrNotFound, "Feed %s is not a %s feed.", f.Name, h.types[0].Title)
}

// rootHandler serves the paths beside the feeds of one type.
type rootHandler struct {
	node  *Node
	typ   *feed.Type
	serve func(w http.ResponseWriter, r *feed.Request) error
}

func (h *rootHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := h.node
	n.answer(w, r, n.challenging(h.typ), func(w http.ResponseWriter, r *http.Request) error {
		stale := n.outdated(w, r, n.tail.Sync(r.Context()))
		id, err := n.authenticate(r, stale)
		if err != nil {
			return err
		}
		if err := n.guardSession(r, id); err != nil {
			return err
		}
		feeds, err := n.catalog.Feeds(r.Context())
		if err != nil {
			return err
		}
		seen, err := n.authority.Visible(id, feeds)
		if err != nil {
			return err
		}
		seen = slices.DeleteFunc(seen, func(f *proget.Feed) bool { return f.Type != h.typ.Name || !f.Active })
		base := n.baseURL(r) + "/" + h.typ.MountName()
		return h.serve(w, &feed.Request{Request: r, Feeds: seen, Mount: h.typ.MountName(), Base: base, Path: strings.TrimPrefix(r.URL.Path, "/"+h.typ.MountName()+"/"), Principal: id.Principal})
	})
}

func (h *feedHandler) serve(w http.ResponseWriter, r *http.Request) error {
	n := h.node
	if n.cfg.Staleness > 0 && reads(r) {
		return h.serveOld(w, r)
	}
	stale, err := n.sync(w, r, h.changes)
	if err != nil {
		return err
	}
	return h.serveFrom(w, r, stale)
}

// serveOld answers from memory that may be stale by up to Config.Staleness. It repeats
// a refused request if memory has changed meanwhile.
func (h *feedHandler) serveOld(w http.ResponseWriter, r *http.Request) error {
	n := h.node
	moved := n.tail.Changed()
	stale := n.outdated(w, r, n.tail.SyncWithin(r.Context(), n.cfg.Staleness))
	refusal := h.serveFrom(w, r, stale)
	if stale || !refused(refusal) {
		return refusal
	}
	stale, err := n.sync(w, r, h.changes)
	if err != nil {
		return err
	}
	if !stale {
		select {
		case <-moved:
		default:
			return refusal
		}
	}
	return h.serveFrom(w, r, stale)
}

// changes reports whether a request needs more than the permission to view, judging by
// its feed in memory or, if that does not tell, by its method.
func (h *feedHandler) changes(r *http.Request) bool {
	f, err := h.node.catalog.Feed(r.Context(), r.PathValue("feed"))
	if err != nil {
		return writes(r)
	}
	t, err := h.of(f)
	if err != nil {
		return writes(r)
	}
	task, err := t.Operations.Task(t.handler.Operation(h.request(r, t, f)))
	return err == nil && task.Rank() > proget.TaskView.Rank()
}

// request returns the request as the type of its feed sees it.
func (h *feedHandler) request(r *http.Request, t served, f *proget.Feed) *feed.Request {
	return &feed.Request{Request: r, Feed: f, Mount: h.mount, Base: t.URL(h.node.baseURL(r), f), Path: rest(r.URL.EscapedPath())}
}

func (h *feedHandler) serveFrom(w http.ResponseWriter, r *http.Request, stale bool) (err error) {
	n := h.node
	defer func() {
		if stale {
			err = doubt(err)
		}
	}()
	id, err := n.authenticate(r, stale)
	if err != nil {
		return err
	}
	if err := n.guardSession(r, id); err != nil {
		return err
	}
	f, err := n.openFeed(r, id, r.PathValue("feed"))
	if err != nil {
		return err
	}
	t, err := h.of(f)
	if err != nil {
		return cmp.Or(n.authority.Authorize(id, proget.TaskView, f), err)
	}
	req := h.request(r, t, f)
	req.Principal = id.Principal
	task, err := t.Operations.Task(t.handler.Operation(req))
	if err != nil {
		return err
	}
	if err := n.authority.AuthorizeIn(id, task, f); err != nil {
		return err
	}
	if err := n.guardWrite(task); err != nil {
		return err
	}
	return t.handler.ServeFeed(w, req)
}

// openFeed returns the feed with that name for the sender of the request.
func (n *Node) openFeed(r *http.Request, id auth.Identity, name string) (*proget.Feed, error) {
	f, err := n.catalog.Feed(r.Context(), name)
	return f, n.authority.Disclose(id, err)
}

// feeds finds the feeds that types ask for by name.
type feeds struct{ node *Node }

// Feed implements feed.Feeds.
func (f feeds) Feed(r *http.Request, name string, task proget.Task) (*proget.Feed, error) {
	n := f.node
	id, err := n.authority.Authenticate(r)
	if err != nil {
		return nil, err
	}
	found, err := n.openFeed(r, id, name)
	if err != nil {
		return nil, err
	}
	return found, n.authority.AuthorizeIn(id, task, found)
}

// vet asks the feed's type about an upload that does not use the type's protocol.
func (n *Node) vet(ctx context.Context, f *proget.Feed, name string) error {
	if v := n.vetters[f.Type]; v != nil {
		return v.Vet(ctx, f, name)
	}
	return nil
}

// rest returns the part of an escaped path after /{mount}/{feed}/.
func rest(path string) string {
	_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	_, path, _ = strings.Cut(path, "/")
	return path
}
