package node

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/dblease"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/web"
	"github.com/proget-go/ha/storage"
)

// The roles of a node.
const (
	RoleWeb   = cluster.RoleWeb   // serves feeds and pages
	RoleIndex = cluster.RoleIndex // works jobs, and leads or stands by
)

// Office is what the indexing nodes elect their primary to.
const Office = "indexing"

// A Config says what a node is made of. DB, Blobs, Keys and Feeds are required.
type Config struct {
	DB    *db.Store       // shared by all nodes
	Blobs *storage.Store  // shared by all nodes
	Keys  *auth.Keyring   // the same on all nodes
	Elect election.Driver // default: a lease in DB

	// Feeds are the feed types this node serves. For the time of an upgrade, nodes may differ
	// in these: feeds of a type that a node does not know are left to the others, and it warns
	// of them in /health.
	Feeds []feed.Type

	// Beacon shows the other indexing nodes that this one lives, so that they
	// take its place within a second of its death; nil leaves them to wait for
	// the end of its lease. Whoever made it closes it, after Run has returned.
	Beacon *election.Beacon

	// Deliver gets every change of the installation on the primary indexing
	// node: by name, each with a position of its own, for webhooks, mirrors and
	// the like. See indexing.NewCourier.
	Deliver map[string]indexing.Deliver

	// Workers work jobs of kinds of their own, on every indexing node; Tasks queue them
	// by a schedule, which the page Scheduled Jobs shows. All nodes are given the
	// same Tasks, and those that index a Worker for each; New warns of one without. A job of no schedule is queued by db.Tx.Enqueue. Jobs of the lane ""
	// are worked a few at a time, those of another that Tasks name one at a time.
	Workers []indexing.Worker
	Tasks   []indexing.Task

	// Search finds packages by text; nil for an index in CacheDir. Whoever made
	// it closes it, after Run has returned.
	Search search.Index

	// FirstStart fills an empty database, with a password and an API key that are given:
	// what Initialize generates, it returns and nobody else. nil leaves all of it to that.
	FirstStart *FirstStart

	Name     string   // unique in the cluster, at most 100 bytes; default: the host's name
	Roles    []string // default: both
	Address  string   // URL under which this node listens, for the cluster page
	CacheDir string   // a folder of this node's own, for data that may be lost; default: a temporary folder

	// BaseURL is the URL under which clients reach the cluster; default: as each request
	// says. It has a path if the node is part of a larger site, which then takes that
	// path off the requests: http.Handle("/artifacts/", http.StripPrefix("/artifacts", n.Handler())).
	// Docker's clients ask for /v2/ at the root all the same.
	BaseURL string

	// TrustedProxies are the load balancers and proxies in front whose
	// X-Forwarded-For is believed; nil for none. Sign-ins that fail are counted by
	// the client's address, which is the proxy's without this. X-Forwarded-Host and
	// X-Forwarded-Proto are believed from them alone, or from anybody if there are none.
	TrustedProxies []netip.Prefix

	// Identify tells who a request is from, for a program that knows its users itself; see
	// auth.Options. Accounts, API keys and the sign-in page are there all the same.
	Identify func(r *http.Request) (user string, err error)

	// Staleness is how old what package clients read may be. 0, the default, asks the
	// database before each read is answered, so that nobody misses what was committed
	// before. Otherwise one question does for all reads within that time: a new version
	// or a permission taken away may go unnoticed for as long by a client that reads
	// from another node than it was changed on. A refusal, as of what is not found,
	// is always as new as the request, and so is everything that changes something;
	// a list is not, nor that it is empty, nor that a password is wrong. A node with a
	// search index asks a few times a second for that, so longer times change little.
	Staleness time.Duration

	MaxUpload     int64         // bytes of a package file; default 10 GiB
	CacheBytes    int64         // memory for packages and documents; default 32 MiB
	UploadIdle    time.Duration // an upload that sends nothing for so long is ended; default 1 min
	UploadRate    int64         // bytes a second, on average, that an upload must send after as long; default 1 KiB
	DownloadIdle  time.Duration // an answer of which a client takes less than 256 KiB in so long is ended, or 4 MiB if it was fast; default 1 min
	MaxRequests   int           // served at once; those beyond are refused with 503; default 4096
	Grace         time.Duration // how long the files of a deleted version are kept; default 24 h
	StaleServers  time.Duration // how long a server may be silent before it is removed from the list; default 30 days
	LogKept       time.Duration // how long the feeds' logs keep what every follower has seen; default 7 days
	SnapshotEvery time.Duration // how old the cluster's copy of the search index may be; default 1 h
	InspectRate   int64         // bytes a second that the check of stored files reads; default 50 MiB
	JobsAtOnce    int           // jobs worked at the same time, beside one that reads much storage; default 2

	Logger  *slog.Logger         // default: slog.Default()
	Tracing trace.TracerProvider // for a trace of each request; nil for none

	// Metrics has the node's metrics as long as the node is open; nil for no other than
	// /metrics, which adds Go's and the process's. With it, /metrics leaves those out:
	// they are the embedder's, whose registry may have them already.
	Metrics prometheus.Registerer
}

// Version is the version of this module as the program was built with it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == "github.com/proget-go/ha" && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "devel"
}

func operatingSystem() string { return runtime.GOOS + "/" + runtime.GOARCH }

func (c *Config) complete() error {
	if missing := c.missing(); missing != "" {
		return fmt.Errorf("a node needs %s", missing)
	}
	if first := c.FirstStart; first != nil && (first.Password == "" || first.APIKey == "") {
		return fmt.Errorf("FirstStart needs a Password and an APIKey; Initialize generates them, and returns them")
	}
	if err := c.checkFeeds(); err != nil {
		return err
	}
	if c.Elect == nil {
		c.Elect = dblease.New(c.DB)
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the node has no name, and the host's cannot be found: %w", err)
		}
		c.Name = host
	}
	if len(c.Roles) == 0 {
		c.Roles = []string{RoleWeb, RoleIndex}
	}
	if err := c.checkName(); err != nil {
		return err
	}
	if err := c.checkNumbers(); err != nil {
		return err
	}
	for _, role := range c.Roles {
		if role != RoleWeb && role != RoleIndex {
			return proget.Errorf(proget.ErrInvalid, "There is no role %q: use %s, %s or both.", role, RoleWeb, RoleIndex)
		}
	}
	if c.UploadIdle == 0 {
		c.UploadIdle = time.Minute
	}
	c.DownloadIdle = cmp.Or(c.DownloadIdle, time.Minute)
	c.UploadRate = cmp.Or(c.UploadRate, 1<<10)
	c.MaxRequests = cmp.Or(c.MaxRequests, 4096)
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = time.Hour
	}
	if c.StaleServers == 0 {
		c.StaleServers = 30 * 24 * time.Hour
	}
	if c.JobsAtOnce == 0 {
		c.JobsAtOnce = 2
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if err := c.checkTasks(); err != nil {
		return err
	}
	return c.completeURLs()
}

// maxName is what every database keeps of a node's name, with room for what tells
// its processes apart.
const maxName = 100

// checkName refuses a name that could not be shown, or kept by every database.
func (c *Config) checkName() error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(c.Name) > maxName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unprintable) {
		return fmt.Errorf("the Name %.60q is none for a node: use at most %d bytes of text on one line", c.Name, maxName)
	}
	return nil
}

// checkNumbers refuses what is negative: 0 is each number's default already.
func (c *Config) checkNumbers() error {
	for field, n := range map[string]int64{
		"Staleness": int64(c.Staleness), "MaxUpload": c.MaxUpload, "CacheBytes": c.CacheBytes,
		"UploadIdle": int64(c.UploadIdle), "UploadRate": c.UploadRate, "DownloadIdle": int64(c.DownloadIdle),
		"MaxRequests": int64(c.MaxRequests), "Grace": int64(c.Grace), "StaleServers": int64(c.StaleServers),
		"LogKept": int64(c.LogKept), "SnapshotEvery": int64(c.SnapshotEvery), "InspectRate": c.InspectRate,
		"JobsAtOnce": int64(c.JobsAtOnce),
	} {
		if n < 0 {
			return fmt.Errorf("%s is negative; 0 means its default", field)
		}
	}
	return nil
}

// checkTasks finds tasks and jobs that would take the place of others, and what nobody
// could call.
func (c *Config) checkTasks() error {
	all := slices.Concat(tasks, c.Tasks)
	for i, t := range all {
		if t.Name == "" || t.Job.Kind == "" || t.Expression == "" {
			return fmt.Errorf("the task %q needs a Name, an Expression and the Kind of its Job", t.Name)
		}
		if slices.Contains(c.Roles, RoleIndex) && !c.works(t.Job.Kind) {
			c.Logger.Warn("a task has no worker on this node; its jobs wait for a node that has one", "task", t.Name, "kind", t.Job.Kind)
		}
		if slices.IndexFunc(all, func(o indexing.Task) bool { return o.Name == t.Name }) < i {
			return fmt.Errorf("there is a task %q already", t.Name)
		}
		if _, err := indexing.ParseExpression(t.Expression); err != nil {
			return fmt.Errorf("task %s: %w", t.Name, err)
		}
	}
	for name, deliver := range c.Deliver {
		if deliver == nil {
			return fmt.Errorf("the function of Deliver[%q] is nil", name)
		}
	}
	for i, w := range c.Workers {
		if w == nil {
			return fmt.Errorf("one of Workers is nil")
		}
		builtIn := slices.ContainsFunc(tasks, func(t indexing.Task) bool { return t.Job.Kind == w.Kind() })
		if builtIn || slices.IndexFunc(c.Workers, func(o indexing.Worker) bool { return o.Kind() == w.Kind() }) < i {
			return fmt.Errorf("there is a worker for jobs of kind %q already", w.Kind())
		}
	}
	return nil
}

// missing names the first required field that is empty.
func (c *Config) missing() string {
	switch {
	case c.DB == nil:
		return "a DB"
	case c.Blobs == nil:
		return "Blobs"
	case c.Keys == nil || len(c.Keys.Fingerprints()) == 0:
		return "Keys, with a key"
	case len(c.Feeds) == 0:
		return "Feeds, at least one type"
	}
	return ""
}

// checkFeeds finds feed types that are not whole, or cannot be told apart.
func (c *Config) checkFeeds() error {
	for i := range c.Feeds {
		t := &c.Feeds[i]
		if err := t.Check(); err != nil {
			return err
		}
		if slices.ContainsFunc(c.Feeds[:i], func(o feed.Type) bool { return strings.EqualFold(o.Name, t.Name) }) {
			return fmt.Errorf("two feed types are called %s; names are unique without regard to case", t.Name)
		}
	}
	return c.checkMounts()
}

// works reports whether an indexing node has a worker for a kind of job.
func (c *Config) works(kind string) bool {
	return slices.ContainsFunc(tasks, func(t indexing.Task) bool { return t.Job.Kind == kind }) ||
		slices.ContainsFunc(c.Workers, func(w indexing.Worker) bool { return w.Kind() == kind })
}

// checkMounts finds what http.ServeMux would panic at, or pages would vanish
// behind.
func (c *Config) checkMounts() error {
	taken := append(web.Roots(), "api", "health", "metrics")
	roots := make(map[string]bool)
	for _, t := range c.Feeds {
		for _, mount := range append([]string{t.MountName()}, t.Mounts...) {
			if slices.Contains(taken, mount) {
				return fmt.Errorf("feed type %s cannot be mounted at /%s/", t.Name, mount)
			}
		}
		if t.Root != nil && roots[t.MountName()] {
			return fmt.Errorf("two feed types have a Root at /%s/", t.MountName())
		}
		roots[t.MountName()] = roots[t.MountName()] || t.Root != nil
	}
	return nil
}

// root is the path of BaseURL, without a slash at its end.
func (c *Config) root() string {
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

func (c *Config) completeURLs() error {
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	if c.BaseURL == "" {
		return nil
	}
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return proget.Errorf(proget.ErrInvalid, "The base URL %q is not an http or https URL.", c.BaseURL)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return proget.Errorf(proget.ErrInvalid, "The base URL %s://%s%s has something beside a host and a path, and what follows it in other URLs would belong to that.", u.Scheme, u.Host, u.Path)
	}
	return nil
}
