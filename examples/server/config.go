package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/postgres"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/db/sqlserver"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/cluster"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
)

// usageError is a wrong flag or environment variable, in one line.
type usageError string

func (e usageError) Error() string { return string(e) }

type config struct {
	listen     string
	address    string
	beacon     string
	elect      string
	electEnv   string
	roles      []string
	db         string
	storage    string
	keys       string
	node       string
	baseURL    string
	data       string
	maxUpload  int64
	cache      int64
	fetchHosts []string
	proxies    []netip.Prefix
	grace      time.Duration
	stale      time.Duration
	staleness  time.Duration
	drain      time.Duration
	shutdown   time.Duration
	upgradeDB  bool

	adminPassword string
	apiKey        string
	feeds         []*proget.Feed
}

const usage = `A package-feed server: one node, alone or of a cluster.

Usage:
  server [run] [flags]             serve
  server upgradedb [flags]         bring the database's schema up to date, and exit
  server resetadminpassword [flags]
                                   give the user Admin a new password: that of
                                   PROGET_ADMIN_PASSWORD, else one is generated and printed
  server backup FILE [flags]       copy the SQLite database to a new file, while it is in use
  server restore FILE [flags]      put such a copy in place of the SQLite database, while no server runs
  server fsck [rebuild] [flags]    compare database and storage, and list what is lost or extra;
                                   rebuild replaces lost files by extra ones with the same bytes
  server version                   print the version
  server help                      print this

Without flags, everything lies in the folder proget-data and one process does
it all. For a cluster, start any number of nodes with the same -db, -storage
and -encryption-key behind any load balancer that checks /health/ready; no
sticky sessions are needed.

Flags, each with the environment variable that sets it too:

`

const more = `
At its first start an empty database gets a user Admin, an API key and feeds:
  PROGET_ADMIN_PASSWORD   the password; else one is generated and printed once
  PROGET_API_KEY          an API key that may publish, unlist and delete; likewise
  PROGET_FEEDS            name:type,name:type; else one feed of each type
These, PROGET_DB, PROGET_ELECT and PROGET_ENCRYPTION_KEY may also be read from a
file, named by the variable with _FILE appended.

Traces go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, as in
http://localhost:4318; metrics are at /metrics.

Databases:
  sqlite:FILE             on a local disk; any number of processes of one machine
  postgres://USER:PASSWORD@HOST:PORT/DATABASE
  sqlserver://USER:PASSWORD@HOST:PORT?database=DATABASE
  Server=HOST;Database=DATABASE;User ID=USER;Password=PASSWORD
Storage:
  file:///srv/packages    a folder; on a share that all nodes mount, for a cluster
  s3://BUCKET?region=REGION
                          Amazon S3; credentials from AWS_ACCESS_KEY_ID and
                          AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the machine's role
  s3://BUCKET?region=us-east-1&endpoint=https://HOST&use_path_style=true
                          what speaks its protocol
  azblob://CONTAINER      Azure; AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, or
                          AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING
                          or an identity
  gs://BUCKET             Google; GOOGLE_APPLICATION_CREDENTIALS names a key file,
                          else the machine's service account
  With prefix=FOLDER/ as another parameter, only that part of a bucket is used.
Election (docs/election.md):
  database                the database that is used anyway
  static                  this node leads; for one indexing node alone
  etcd://USER:PASSWORD@HOST:2379,HOST:2379/PREFIX
                          etcd, with a prefix for each installation; etcds:// or
                          ?tls=true for TLS, with ca=FILE, cert=FILE and key=FILE
  plugin:PROGRAM ARGUMENTS
                          a program of your own
`

// parse reads flags and environment.
func parse(args []string) (config, error) {
	cfg := config{}
	var roles, maxUpload, cache, fetchHosts, proxies string
	set := flag.NewFlagSet("server", flag.ContinueOnError)
	set.SetOutput(io.Discard) // one clear line instead of the whole help
	text := func(p *string, name, value, help string) {
		set.StringVar(p, name, value, help)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node-1"
	}
	text(&cfg.listen, "listen", "localhost:8624", "`address` to serve on")
	text(&cfg.address, "address", "", "`host` at which the other servers reach this one (default: that of -listen, or this machine's name)")
	text(&cfg.beacon, "beacon", "", "`address` at which the other indexing nodes check that this one is alive (default: a free port of -listen's host)")
	text(&cfg.elect, "elect", "", "`elector` of the primary indexing node, the same on every indexing node: see below (default: database)")
	text(&cfg.electEnv, "elect-env", "", "`names` of environment variables to pass to an election plugin, separated by commas (default: only basic ones such as PATH)")
	text(&roles, "roles", "web,index", "what this node does: `web,index`, web or index")
	text(&cfg.data, "data", "proget-data", "`folder` for the embedded database, its encryption key and its storage, and for the cache and search index of this server, which can be rebuilt")
	text(&cfg.db, "db", "", "database `URL` (default: sqlite:proget.db in the data folder)")
	text(&cfg.storage, "storage", "", "storage `URL` (default: the folder packages in the data folder)")
	text(&cfg.keys, "encryption-key", "", "32 or 64 hexadecimal `digits`, the same on every server; needed with a database server (default with SQLite: the file encryption.key in the data folder, made at the first start); to change it, several, separated by commas: the first encrypts, all decrypt")
	text(&cfg.node, "node", host, "`name` of this node, unique in the cluster")
	text(&cfg.baseURL, "base-url", "", "`URL` at which clients reach the cluster (default: the URL of each request)")
	text(&maxUpload, "max-upload", "10GB", "largest package `size` accepted; 1GB is 1024MB")
	text(&cache, "cache", "32MB", "`size` of the memory for packages and documents")
	text(&fetchHosts, "fetch-hosts", "", "`hosts` from which universal feeds may fetch files by URL at a client's request, separated by commas; * for all, including those that only this machine can reach")
	text(&proxies, "trusted-proxies", "", "`addresses` of the load balancers and proxies whose X-Forwarded headers are trusted, separated by commas, as in 10.0.0.7,10.1.0.0/16")
	set.DurationVar(&cfg.grace, "grace", 24*time.Hour, "how long the files of a deleted version are kept, so that it can be brought back")
	set.DurationVar(&cfg.staleness, "staleness", 0, "maximum age of what package clients read; above 0 spares the database a question for each read, but changes may be seen so much later; 0 means that every read is current")
	set.DurationVar(&cfg.stale, "stale-servers", 30*24*time.Hour, "how long a server may be silent before a job removes it from the list")
	set.DurationVar(&cfg.drain, "drain", 3*time.Second, "how long load balancers may take to notice, on SIGTERM, that this node stops")
	set.DurationVar(&cfg.shutdown, "shutdown", 30*time.Second, "how long requests in flight may take to finish")
	set.BoolVar(&cfg.upgradeDB, "upgrade-db", true, "bring the database's schema up to date at start; -upgrade-db=false leaves that to the command upgradedb")
	if err := fromEnv(set); err != nil {
		return cfg, err
	}
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(usage)
			printFlags(set)
			fmt.Print(more)
			return cfg, err
		}
		return cfg, usageError(err.Error() + "; -help lists the flags")
	}
	if set.NArg() > 0 {
		return cfg, usageError(fmt.Sprintf("unexpected argument %q: flags come after the command and begin with -", set.Arg(0)))
	}
	if cfg.fetchHosts, err = parseHosts(fetchHosts); err != nil {
		return cfg, err
	}
	if cfg.proxies, err = parseProxies(proxies); err != nil {
		return cfg, err
	}
	if cfg.maxUpload, err = parseSize("max-upload", maxUpload); err != nil {
		return cfg, err
	}
	if cfg.cache, err = parseSize("cache", cache); err != nil {
		return cfg, err
	}
	return cfg, cfg.complete(roles)
}

func printFlags(set *flag.FlagSet) {
	set.VisitAll(func(f *flag.Flag) {
		name, help := flag.UnquoteUsage(f)
		value := ""
		if f.DefValue != "" {
			value = fmt.Sprintf(" (default: %s)", f.DefValue)
		}
		fmt.Printf("  -%s %s  [%s]\n        %s%s\n", f.Name, name, envName(f.Name), help, value)
	})
}

func envName(flagName string) string {
	return "PROGET_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// fromEnv sets flags from their environment variables.
func fromEnv(set *flag.FlagSet) (err error) {
	set.VisitAll(func(f *flag.Flag) {
		value, ok := os.LookupEnv(envName(f.Name))
		if !ok || err != nil {
			return
		}
		if e := f.Value.Set(value); e != nil {
			err = usageError(fmt.Sprintf("%s=%q: %v", envName(f.Name), value, e))
		}
	})
	return err
}

func (c *config) complete(roles string) (err error) {
	for name, p := range map[string]*string{
		"PROGET_DB": &c.db, "PROGET_ENCRYPTION_KEY": &c.keys, "PROGET_ELECT": &c.elect,
		"PROGET_ADMIN_PASSWORD": &c.adminPassword, "PROGET_API_KEY": &c.apiKey} {
		if *p != "" {
			continue
		}
		if *p, err = secret(name); err != nil {
			return err
		}
	}
	if c.data == "" { // not the folder in which the server happens to be started
		return usageError("-data: name a folder")
	}
	if c.data, err = filepath.Abs(c.data); err != nil {
		return usageError(fmt.Sprintf("-data: %v", err))
	}
	if c.db == "" {
		c.db = "sqlite:" + filepath.Join(c.data, "proget.db")
	}
	if c.drain < 0 || c.shutdown < 0 || c.staleness < 0 {
		return usageError("-drain, -shutdown and -staleness: a time cannot be negative")
	}
	if c.grace < time.Hour {
		return usageError("-grace: give an hour or more; uploads in progress need it")
	}
	if c.stale < time.Hour {
		return usageError("-stale-servers: give an hour or more; a server that is restarted is silent for a while")
	}
	if c.storage == "" {
		c.storage = (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(filepath.Join(c.data, "packages")), "/")}).String()
	}
	if c.feeds, err = parseFeeds(os.Getenv("PROGET_FEEDS")); err != nil {
		return err
	}
	if err := c.checkRoles(roles); err != nil {
		return err
	}
	if err := c.checkFirstStart(); err != nil {
		return err
	}
	return c.check()
}

func (c *config) checkRoles(roles string) error {
	for role := range strings.SplitSeq(roles, ",") {
		role = strings.TrimSpace(role)
		if role != node.RoleWeb && role != node.RoleIndex {
			return usageError(fmt.Sprintf("-roles %q: use web, index, or web,index", roles))
		}
		c.roles = append(c.roles, role)
	}
	return nil
}

// checkFirstStart returns an error for settings with which an unattended first start
// would fail. It names the setting, which other commands may use as well.
func (c *config) checkFirstStart() error {
	for _, setting := range []struct {
		name  string
		first node.FirstStart
	}{
		{"PROGET_ADMIN_PASSWORD", node.FirstStart{Password: c.adminPassword}},
		{"PROGET_API_KEY", node.FirstStart{APIKey: c.apiKey}},
		{"PROGET_FEEDS", node.FirstStart{Feeds: c.feeds}},
	} {
		if err := setting.first.Check(c.types()); err != nil {
			return usageError(setting.name + ": " + proget.Message(err))
		}
	}
	return nil
}

// makeData makes the data folder, if it is not there.
func (c *config) makeData() error {
	if err := os.MkdirAll(c.data, 0o750); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

// firstStartGiven returns the names of the settings given for a first start.
func (c *config) firstStartGiven() (names []string) {
	for name, given := range map[string]bool{
		"PROGET_ADMIN_PASSWORD": c.adminPassword != "", "PROGET_API_KEY": c.apiKey != "", "PROGET_FEEDS": c.feeds != nil} {
		if given {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (c *config) check() error {
	if !isHostPort(c.listen) {
		return usageError(fmt.Sprintf("-listen %q: give host:port, as in localhost:8624 or :8624", c.listen))
	}
	if c.beacon == "" {
		host, _, _ := net.SplitHostPort(c.listen)
		c.beacon = net.JoinHostPort(host, "0")
	}
	if !isHostPort(c.beacon) {
		return usageError(fmt.Sprintf("-beacon %q: give host:port, as in :8625", c.beacon))
	}
	if err := c.checkElect(); err != nil {
		return err
	}
	if strings.ContainsAny(c.address, "/ ") || isHostPort(c.address) {
		return usageError(fmt.Sprintf("-address %q: give a host without a port, as in packages-2.example.com", c.address))
	}
	if !nodeName.MatchString(c.node) {
		return usageError(fmt.Sprintf("-node %q: use letters, digits, '-', '_' and '.'", c.node))
	}
	if c.engine() == "" {
		return usageError("-db: use sqlite:FILE, postgres://…, sqlserver://… or Server=…;Database=…")
	}
	if u, err := url.Parse(c.baseURL); c.baseURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return usageError(fmt.Sprintf("-base-url %q: give an http or https URL", c.baseURL))
	}
	if c.keys == "" && c.engine() != "sqlite" {
		return usageError("-encryption-key is needed with a database server, the same on every node; for example " + auth.NewEncryptionKey())
	}
	if c.keys == "" {
		return nil
	}
	if _, err := auth.ParseKeyring(c.keys); err != nil {
		return usageError("-encryption-key: " + proget.Message(err))
	}
	return nil
}

func isHostPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	_, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil
}

var size = regexp.MustCompile(`^(\d+)([KMGT]?)B?$`)

// parseSize reads 500MB, 10GB or a number of bytes.
func parseSize(name, text string) (int64, error) {
	wrong := usageError(fmt.Sprintf("-%s %q: give a size, as in 500MB or 10GB", name, text))
	m := size.FindStringSubmatch(strings.ToUpper(strings.ReplaceAll(text, " ", "")))
	if m == nil {
		return 0, wrong
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	shift := 10 * strings.Index("BKMGT", cmp.Or(m[2], "B"))
	if err != nil || n == 0 || n > math.MaxInt64>>shift {
		return 0, wrong
	}
	return n << shift, nil
}

// engine returns the kind of database that -db names, or "".
func (c *config) engine() string {
	switch lower := strings.ToLower(c.db); {
	case strings.HasPrefix(lower, "sqlite:"):
		return "sqlite"
	case strings.HasPrefix(lower, "postgres://"), strings.HasPrefix(lower, "postgresql://"):
		return "postgres"
	case strings.HasPrefix(lower, "sqlserver://"), strings.Contains(lower, "server=") || strings.Contains(lower, "data source="):
		return "sqlserver"
	}
	return ""
}

func (c *config) openDB(ctx context.Context, migrate bool) (*db.Store, error) {
	store, err := c.openEngine(ctx, &db.Options{NoMigrate: !migrate})
	if e, ok := errors.AsType[*proget.Error](err); ok && e.Kind == proget.ErrUnavailable {
		return nil, fmt.Errorf("the database %s does not answer: %w", redact(c.db), e.Cause)
	}
	if errors.Is(err, proget.ErrInvalid) {
		return nil, usageError("-db: " + err.Error())
	}
	return store, err
}

// openStorage opens the storage that -storage names. If existing, a missing folder is
// an error that matches fs.ErrNotExist.
func (c *config) openStorage(ctx context.Context, existing bool) (*storage.Store, error) {
	blobs, err := storage.Open(ctx, c.storage, &storage.Options{Services: services(), Existing: existing})
	if errors.Is(err, proget.ErrInvalid) {
		return nil, usageError("-storage: " + proget.Message(err))
	}
	return blobs, err
}

// makeStorage creates the folder that -storage names, unless the database has been used
// with a storage.
func (c *config) makeStorage(ctx context.Context, store *db.Store) (*storage.Store, error) {
	settings, err := store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if _, used := settings[cluster.SettingStorage]; used {
		return nil, fmt.Errorf("the folder of the storage %s, which has been in use, is missing: mount it, put it back from a backup, or name the right one with -storage", redact(c.storage))
	}
	return c.openStorage(ctx, false)
}

func (c *config) openEngine(ctx context.Context, opts *db.Options) (*db.Store, error) {
	switch c.engine() {
	case "postgres":
		return postgres.Open(ctx, c.db, opts)
	case "sqlserver":
		return sqlserver.Open(ctx, c.db, opts)
	}
	return sqlite.Open(ctx, c.sqlitePath(), opts)
}

func (c *config) sqlitePath() string { return c.db[len("sqlite:"):] }

// keyring reads the encryption keys. A server on embedded defaults creates one and
// keeps it beside its data, before it creates the database. If the database exists but
// the key does not, that is an error, since a new key could not replace the lost one.
func (c *config) keyring() (*auth.Keyring, error) {
	if c.keys != "" {
		return auth.ParseKeyring(c.keys)
	}
	path := c.keyFile()
	_, missing := os.Stat(c.sqlitePath())
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if missing == nil {
			return nil, fmt.Errorf("the encryption key of the database %s is not in %s: put that file back, or give the key with -encryption-key", c.sqlitePath(), path)
		}
		text, err = makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the encryption key: %w", err)
	}
	ring, err := auth.ParseKeyring(string(text))
	if err != nil {
		return nil, fmt.Errorf("the file %s: %w", path, err)
	}
	return ring, nil
}

// keyFile returns where a server keeps its key if it is given none.
func (c *config) keyFile() string { return filepath.Join(c.data, "encryption.key") }

// warnOfKey logs a warning if the key in the file is not the one with which the
// database is used, as when -encryption-key changed that and was later omitted.
func (c *config) warnOfKey(ctx context.Context, store *db.Store, keys *auth.Keyring) error {
	settings, err := store.Settings(ctx)
	current, used := settings[cluster.SettingKey]
	if err == nil && used && c.keys == "" && !slices.Contains(keys.Fingerprints(), current) {
		slog.Warn("this file does not contain the encryption key with which the database is used: put that key into the file, or give it with -encryption-key", "file", c.keyFile())
	}
	return err
}

// makeKey writes a new key. The file appears whole, and only once, so that several
// processes that start at once use the same key.
func makeKey(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(auth.NewEncryptionKey() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}
