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

// Office names the election in which indexing nodes choose their primary.
const Office = "indexing"

// A Config describes a node. DB, Blobs, Keys and Feeds are required.
type Config struct {
	DB    *db.Store       // shared by all nodes
	Blobs *storage.Store  // shared by all nodes
	Keys  *auth.Keyring   // equal on all nodes
	Elect election.Driver // default: a lease in DB

	// Feeds are the feed types that this node serves. Nodes may differ in them during
	// an upgrade: a node leaves feeds of types that it does not know to the others and
	// warns of them in /health.
	Feeds []feed.Type

	// Beacon shows the other indexing nodes that this one is alive, so that one of them
	// replaces it within a second of its death; if nil, they wait until its lease ends.
	// The caller closes it after Run has returned.
	Beacon *election.Beacon

	// Deliver holds functions that receive every change of the installation on the
	// primary indexing node, for webhooks, mirrors and the like. Each name has its own
	// position in the logs. See indexing.NewCourier.
	Deliver map[string]indexing.Deliver

	// Workers work jobs of your own kinds on every indexing node. Tasks queue such jobs
	// by schedules, which the page Scheduled Jobs shows; db.Tx.Enqueue queues a job
	// without one. Pass the same Tasks to all nodes, and a Worker for each to the
	// indexing nodes; New warns if one is missing. A node works JobsAtOnce jobs of the
	// lane "" at a time, and one of each other lane that Tasks name.
	Workers []indexing.Worker
	Tasks   []indexing.Task

	// Search finds packages by text; if nil, New opens an index in CacheDir. The caller
	// closes Search after Run has returned.
	Search search.Index

	// If not nil, New fills an empty database as Initialize does. Password and APIKey
	// are required here, because New could not return generated ones.
	FirstStart *FirstStart

	Name     string   // unique in the cluster, at most 100 bytes; default: the host's name
	Roles    []string // default: both
	Address  string   // URL at which this node listens, for the cluster page
	CacheDir string   // this node's own folder, for data that may be lost; default: a temporary folder

	// BaseURL is the URL at which clients reach the cluster; default: derived from each
	// request. It has a path if the node is part of a larger site, which must then
	// strip that path from requests:
	//
	//	http.Handle("/artifacts/", http.StripPrefix("/artifacts", n.Handler()))
	//
	// Docker's clients request /v2/ at the root regardless.
	BaseURL string

	// TrustedProxies are the load balancers and proxies whose X-Forwarded-For the node
	// trusts; nil for none. The node counts failed sign-ins by client address, which is
	// the proxy's unless the proxy is listed. The node trusts X-Forwarded-Host and
	// X-Forwarded-Proto from them alone, or from anybody if there are none.
	TrustedProxies []netip.Prefix

	// Identify returns the sender of a request, for a program that has its own users;
	// see auth.Options. Accounts, API keys and the sign-in page work nevertheless.
	Identify func(r *http.Request) (user string, err error)

	// Staleness is the maximum age of what package clients read. With 0, the default,
	// the node asks the database before it answers each read, so that no read misses an
	// earlier commit. Otherwise one question serves all reads within that time: a
	// client that does not read from the node where a change was made may miss a new
	// version or a revoked permission for as long. Refusals, as of what is not found,
	// are always as new as the request, and so is every change; lists, even empty ones,
	// and refusals of a wrong password are not. A node with a search index asks a few
	// times a second for that index, so longer times gain little.
	Staleness time.Duration

	MaxUpload     int64         // maximum bytes of a package file; default 10 GiB
	CacheBytes    int64         // bytes of memory for packages and documents; default 32 MiB; more than three times what the largest package takes, or the log warns
	UploadIdle    time.Duration // end an upload that sends nothing for so long; default 1 min
	UploadRate    int64         // bytes per second that an upload must average after UploadIdle; default 1 KiB
	DownloadIdle  time.Duration // end a response whose client takes less than 256 KiB in this time, or 4 MiB if it was fast; default 1 min
	MaxRequests   int           // requests served at once; the node answers further ones with 503; default 4096
	Grace         time.Duration // how long the files of a deleted version are kept; default 24 h
	StaleServers  time.Duration // how long a server may be silent before it is removed from the list; default 30 days
	LogKept       time.Duration // how long the feeds' logs keep entries that every follower has seen; default 7 days
	SnapshotEvery time.Duration // maximum age of the cluster's snapshot of the search index; default 1 h
	InspectRate   int64         // bytes per second that the check of stored files reads; default 50 MiB
	JobsAtOnce    int           // jobs of the lane "" worked at once; default 2

	Logger  *slog.Logger         // default: slog.Default()
	Tracing trace.TracerProvider // receives a trace of each request; nil for none

	// If not nil, the node's metrics are registered here, too, until Close; /metrics
	// then leaves out Go's and the process's, which your registry may have.
	Metrics prometheus.Registerer
}

// Version returns the version of this module that the program was built with, or
// "devel".
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

// maxName is how many bytes of a node's name every database can store, together with a
// suffix that distinguishes its processes.
const maxName = 100

// checkName returns an error if the name cannot be displayed or stored in every
// database.
func (c *Config) checkName() error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(c.Name) > maxName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unprintable) {
		return fmt.Errorf("the Name %.60q is not a valid node name: use at most %d bytes of text on one line", c.Name, maxName)
	}
	return nil
}

// checkNumbers returns an error if a number is negative; 0 already selects the default.
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

// checkTasks returns an error if tasks or workers have the names or kinds of others, or
// if one cannot be called.
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

// missing returns the name of the first required field that is empty, or "".
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

// checkFeeds returns an error if a feed type is incomplete, or two have the same name
// or mounts that clash.
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

// works reports whether the indexing nodes have a worker for a kind of job.
func (c *Config) works(kind string) bool {
	return slices.ContainsFunc(tasks, func(t indexing.Task) bool { return t.Job.Kind == kind }) ||
		slices.ContainsFunc(c.Workers, func(w indexing.Worker) bool { return w.Kind() == kind })
}

// checkMounts returns an error if mounts would make http.ServeMux panic or hide pages.
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

// root returns the path of BaseURL, without a trailing slash.
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
		return proget.Errorf(proget.ErrInvalid, "The base URL %s://%s%s must have nothing but a scheme, a host and a path: no user, query or fragment.", u.Scheme, u.Host, u.Path)
	}
	return nil
}
