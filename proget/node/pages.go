package node

import (
	"context"

	"github.com/proget-go/ha/proget/web"
)

// newPages makes the server-rendered pages.
func (n *Node) newPages() (*web.Pages, error) {
	return web.New(web.Config{
		Catalog: n.catalog, Search: n.searcher, Publisher: n.publisher, Files: n.files,
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
