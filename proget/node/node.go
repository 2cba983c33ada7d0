package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/indexing/search/live"
	"github.com/proget-go/ha/indexing/search/snapshot"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/catalog"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/publish"
	"github.com/proget-go/ha/proget/upload"
	"github.com/proget-go/ha/storage"
)

// A Node is one server of the cluster.
type Node struct {
	cfg       Config
	stores    *storage.Set
	tail      *indexing.Tail
	catalog   *catalog.Catalog
	files     *catalog.Files
	publisher *publish.Publisher
	uploads   *upload.Uploads
	authority *auth.Authority
	scheduler *indexing.Scheduler
	admin     *admin.Administrator
	registry  *cluster.Registry
	search    *live.Index
	indexes   *repoindex.Files
	indexers  []*repoindex.Indexer
	elector   *election.Elector
	metrics   *metrics
	vetters   map[string]feed.Vetter // by feed type
	handler   http.Handler
	flying    atomic.Int64 // requests that are being served
	patterns  []string     // the http.ServeMux patterns of everything that handler serves
	tempDir   string       // removed by Close; "" if none was created

	life       life
	closeIndex func() error // nil if the index is the caller's

	serving context.Context // ends when the node is drained
	drain   context.CancelFunc
}

// New returns a node. It checks whether the database and storage are the cluster's, but
// starts nothing: Run does.
func New(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.FirstStart != nil {
		if _, err := Initialize(ctx, cfg.DB, cfg.Feeds, *cfg.FirstStart); err != nil {
			return nil, err
		}
	}
	n := &Node{cfg: cfg, vetters: make(map[string]feed.Vetter)}
	n.serving, n.drain = context.WithCancel(context.WithoutCancel(ctx))
	n.catalog = catalog.New(cfg.DB, cfg.Feeds, &catalog.Options{MaxBytes: cfg.CacheBytes, Logger: cfg.Logger})
	n.stores = storage.NewSet(cfg.Blobs, StorageURLs(cfg.DB))
	n.indexes = repoindex.NewFiles(cfg.DB, n.stores)
	n.files = catalog.NewFiles(cfg.DB, n.stores, cfg.Logger)
	n.publisher = publish.New(cfg.DB, n.stores, cfg.Feeds, &publish.Options{MaxSize: cfg.MaxUpload, Logger: cfg.Logger, Guard: n.guardFeed})
	n.uploads = upload.New(cfg.DB, n.stores, cfg.Keys, &upload.Options{MaxSize: cfg.MaxUpload, Logger: cfg.Logger})
	n.authority = auth.New(cfg.DB, cfg.Keys, &auth.Options{TrustedProxies: cfg.TrustedProxies, Identify: cfg.Identify})
	n.scheduler = &indexing.Scheduler{DB: cfg.DB, Office: Office, Tasks: slices.Concat(tasks, cfg.Tasks)}
	n.admin = admin.New(cfg.DB, cfg.Feeds, n.scheduler, cfg.Logger)
	n.tail = indexing.NewTail(cfg.DB, &indexing.TailOptions{Logger: cfg.Logger}, n.catalog, n.authority)
	n.registry = cluster.New(cfg.DB, cfg.Blobs, cluster.Options{
		Name: cfg.Name, Roles: cfg.Roles, Fingerprints: cfg.Keys.Fingerprints(), Version: Version(),
		OS: operatingSystem(), Address: cfg.Address, Office: Office, Stores: n.stores, Logger: cfg.Logger, State: n.state})
	if err := n.openRoles(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.indexers = n.newIndexers()
	n.metrics = newMetrics(n)
	if err := n.metrics.register(cfg.Metrics); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	handler, err := n.newHandler()
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.handler = handler
	if err := n.registry.Check(ctx); err != nil && !errors.Is(err, proget.ErrNoSpace) { // full storage does not keep the node from serving
		return nil, errors.Join(fmt.Errorf("announce the node: %w", err), n.Close())
	}
	return n, nil
}

// Admin returns the Administrator that creates and changes feeds, users, keys and jobs,
// as the pages do.
func (n *Node) Admin() *admin.Administrator { return n.admin }

func (n *Node) openRoles() (err error) {
	if n.has(RoleIndex) {
		opts := &election.Options{Logger: n.cfg.Logger, Beacon: n.cfg.Beacon, Seen: n.cfg.DB.SeenFence}
		if n.elector, err = election.New(n.cfg.Elect, Office, n.registry.Candidate(), opts); err != nil {
			return err
		}
	}
	return n.openSearch()
}

// openSearch opens the search index. Nodes that serve no requests have one, too: the
// primary publishes it as a starting point for others.
func (n *Node) openSearch() (err error) {
	if n.cfg.CacheDir == "" {
		if n.tempDir, err = os.MkdirTemp("", "proget-"); err != nil {
			return fmt.Errorf("make a folder for the search index: %w", err)
		}
		n.cfg.CacheDir = n.tempDir
	}
	index := n.cfg.Search
	if index == nil {
		opened, err := bleve.Open(n.cfg.CacheDir)
		if err != nil {
			return err
		}
		index, n.closeIndex = opened, opened.Close
	}
	n.search = live.New(live.Config{Index: index, DB: n.cfg.DB, Tail: n.tail, Catalog: n.catalog, Types: n.cfg.Feeds,
		Shelf: &snapshot.Shelf{DB: n.cfg.DB, Files: n.indexes}, Dir: filepath.Join(n.cfg.CacheDir, "search-snapshot"), Logger: n.cfg.Logger})
	return nil
}

// StorageURLs returns a function for storage.NewSet that looks up the URLs of storages
// in the database.
func StorageURLs(store *db.Store) func(ctx context.Context, id int64) (string, error) {
	return func(ctx context.Context, id int64) (string, error) {
		all, err := store.ListStorages(ctx)
		if err != nil {
			return "", err
		}
		i := slices.IndexFunc(all, func(st proget.Storage) bool { return st.ID == id })
		if i < 0 {
			return "", fmt.Errorf("there is no storage %d", id)
		}
		return all[i].URL, nil
	}
}

func (n *Node) has(role string) bool { return slices.Contains(n.cfg.Roles, role) }

// Close releases what New opened. While Run is running, it returns an error and
// releases nothing. No request may be under way.
func (n *Node) Close() error {
	if first, err := n.life.close(); err != nil || !first {
		return err
	}
	n.metrics.unregister()
	var errs []error
	if n.tail != nil {
		n.tail.Close()
	}
	if n.closeIndex != nil {
		errs = append(errs, n.closeIndex())
	}
	if n.stores != nil {
		errs = append(errs, n.stores.Close())
	}
	if n.tempDir != "" {
		errs = append(errs, os.RemoveAll(n.tempDir))
	}
	return errors.Join(errs...)
}

// Handler returns the handler that serves feeds, pages, health and metrics. Without the
// web role, it serves health and metrics only.
func (n *Node) Handler() http.Handler { return n.handler }

// Drain makes the node tell load balancers that it takes no new requests. It still
// serves those that are under way or arrive. It returns its jobs to the queue and hands
// leadership over at once.
func (n *Node) Drain() { n.drain() }

// Run does the background work of the node's roles until ctx ends, then hands
// leadership over and returns nil. Before and after Run, the node serves requests but
// is not ready. Run returns an error if it is already running or the node is closed.
func (n *Node) Run(ctx context.Context) error {
	if err := n.life.begin(); err != nil {
		return err
	}
	defer n.life.end()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.registry.Run(ctx) })
	g.Go(func() error { return n.search.Run(ctx) })
	if n.has(RoleWeb) {
		g.Go(func() error { return n.keepWarm(ctx) })
		g.Go(func() error { return n.files.Run(ctx) })
	}
	if n.has(RoleIndex) {
		g.Go(func() error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			defer context.AfterFunc(n.serving, stop)()
			return n.registry.WhileHealthy(ctx, n.runIndexing)
		})
	}
	return g.Wait()
}

// keepWarm has the permissions read whenever they have changed, before a request needs them.
func (n *Node) keepWarm(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		changed := n.tail.Changed()
		var again <-chan time.Time
		err := n.authority.Warm()
		if err != nil {
			again = time.After(time.Second)
			if !failing && ctx.Err() == nil { // log the first failure only
				n.cfg.Logger.WarnContext(ctx, "the permissions could not be read; it is tried again until it succeeds", "error", err)
			}
		}
		failing = err != nil
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
		}
	}
	return nil
}

// state tells the registry how far the search index lags, whether the node leads and
// whether it takes traffic.
func (n *Node) state() cluster.State {
	return cluster.State{Term: n.term(), Ready: len(n.unready()) == 0, IndexLag: n.search.Lag()}
}

// term returns the number of the term in which this node leads, by its own clock, or 0.
func (n *Node) term() int64 {
	if n.elector == nil {
		return 0
	}
	f, _ := n.elector.Leading()
	return f.Number
}

// primary reports whether this node leads, by its own clock.
func (n *Node) primary() bool { return n.term() > 0 }

// unready returns the reasons why load balancers should not send requests to the node.
func (n *Node) unready() []string {
	if n.serving.Err() != nil {
		return []string{"The server is shutting down."}
	}
	problems := n.registry.Problems()
	if !n.life.runs() {
		problems = append(slices.Clip(problems), "The server does no background work: restart it. If that does not help, its program does not call Node.Run.")
	}
	return problems
}

// warnings returns what does not work as it should while the node nevertheless serves
// requests; see cluster.Registry.Warnings.
func (n *Node) warnings() []string {
	return slices.Concat(n.registry.Warnings(), n.search.Warnings())
}

// services returns what feed types see of the node.
func (n *Node) services() feed.Services {
	return feed.Services{Packages: n.catalog, Feeds: feeds{n}, Publisher: n.publisher, Search: n.search, Files: n.files, Uploads: n.uploads, Indexes: n.indexes, Tokens: n.authority, Logger: n.cfg.Logger}
}
