package node

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// mountAPI mounts the native API, as far as it is needed to manage versions:
// what ProGet's own client sends, see POST /api/packages/{feed}/delete and
// …/status.
func (n *Node) mountAPI(mux *http.ServeMux) {
	mux.Handle("POST /api/packages/{feed}/delete", n.api(proget.TaskManage, n.deletePackage))
	mux.Handle("DELETE /api/packages/{feed}/delete", n.api(proget.TaskManage, n.deletePackage))
	mux.Handle("POST /api/packages/{feed}/status", n.api(proget.TaskManage, n.packageStatus))
}

// call is a request to the native API that names a feed and a version.
type call struct {
	*http.Request
	id  auth.Identity
	ref feed.Ref
}

// api does what every call needs, in the order in which feeds do it.
func (n *Node) api(task proget.Task, serve func(w http.ResponseWriter, c *call) error) http.Handler {
	checked := func(w http.ResponseWriter, r *http.Request) (err error) {
		if stale := n.sync(w, r); stale {
			defer func() { err = doubt(err) }()
		}
		id, err := n.authority.Authenticate(r)
		if err != nil {
			return err
		}
		if err := n.guardSession(r, id); err != nil {
			return err
		}
		f, err := n.catalog.Feed(r.Context(), r.PathValue("feed"))
		if err != nil {
			return err
		}
		if err := n.authority.Authorize(id, task, f); err != nil {
			return err
		}
		ref, err := n.versionRef(r, f)
		if err != nil {
			return err
		}
		return serve(w, &call{r, id, ref})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.answer(w, r, writeText, checked)
	})
}

// versionRef reads the version that the query names: name, version and, where
// the type has groups, group.
func (n *Node) versionRef(r *http.Request, f *proget.Feed) (feed.Ref, error) {
	q := r.URL.Query()
	name, version := q.Get("name"), q.Get("version")
	if name == "" || version == "" {
		return feed.Ref{}, proget.Errorf(proget.ErrInvalid, "Name the package: ?name=…&version=….")
	}
	if group := q.Get("group"); group != "" {
		name = group + "/" + name
	}
	for i := range n.cfg.Feeds {
		if t := &n.cfg.Feeds[i]; t.Name == f.Type {
			return feed.Ref{Feed: f, NameKey: t.NameKey(name), VersionKey: t.VersionKey(version)}, nil
		}
	}
	return feed.Ref{}, proget.Errorf(proget.ErrNotFound, "This server does not serve feeds of type %s.", f.Type)
}

func (n *Node) deletePackage(w http.ResponseWriter, c *call) error {
	if err := n.publisher.Delete(c.Context(), c.ref, c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
