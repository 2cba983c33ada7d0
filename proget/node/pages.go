package node

import (
	"context"
	"net/http"

	"github.com/proget-go/ha/proget/api"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/web"
)

// mountAPI mounts the native API.
func (n *Node) mountAPI(handle func(pattern string, h http.Handler)) {
	api.Mount(api.Config{
		Catalog: n.catalog, Files: n.files, Publisher: n.publisher, Authority: n.authority, Admin: n.admin, Cluster: n.registry,
		Types: n.cfg.Feeds, Deleted: n.cfg.DB.ListDeleted, Vet: n.vet, Handle: n.nativeCall, GuardChange: n.guardChange,
		BaseURL: n.baseURL, Logger: n.cfg.Logger,
	}, handle)
}

// nativeCall returns a handler that does what every call of the native API needs, in
// the same order as for feeds.
func (n *Node) nativeCall(serve api.Serve) http.Handler {
	checked := func(w http.ResponseWriter, r *http.Request) (err error) {
		stale, err := n.sync(w, r, writes)
		if err != nil {
			return err
		}
		if stale {
			defer func() { err = doubt(err) }()
		}
		id, err := n.authority.Authenticate(r)
		if err != nil {
			return err
		}
		if err := n.guardSession(r, id); err != nil {
			return err
		}
		return serve(w, r, id)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.answer(w, r, feed.WriteText, checked)
	})
}

// newPages creates the server-rendered pages.
func (n *Node) newPages() (*web.Pages, error) {
	return web.New(web.Config{
		Catalog: n.catalog, Search: n.search, Publisher: n.publisher, Files: n.files,
		Authority: n.authority, Admin: n.admin, Cluster: n.registry, Types: n.cfg.Feeds,
		Stats: n.stats, Daily: n.cfg.DB.DailyDownloads, Deleted: n.cfg.DB.ListDeleted, Restore: n.publisher.Restore, Vet: n.vet,
		Sync: n.syncPage, GuardChange: n.guardChange, BaseURL: n.baseURL,
		Engine: n.cfg.DB.Engine(), Version: Version(), Logger: n.cfg.Logger,
	})
}

func (n *Node) stats(ctx context.Context) (map[int64]web.Totals, error) {
	all, err := n.cfg.DB.ListFeedStats(ctx)
	totals := make(map[int64]web.Totals, len(all))
	for id, s := range all {
		totals[id] = web.Totals{Packages: s.Packages, Versions: s.Versions, Bytes: s.Bytes}
	}
	return totals, err
}
