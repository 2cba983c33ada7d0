// Command server is the reference server: the packages of this module combined, as one
// process on embedded defaults or as one node of a cluster.
//
//	go run ./examples/server            # SQLite and a folder, web and indexing roles
//	go run ./examples/server -help
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget/feed"
	"github.com/proget-go/ha/proget/feed/asset"
	"github.com/proget-go/ha/proget/feed/maven"
	"github.com/proget-go/ha/proget/feed/npm"
	"github.com/proget-go/ha/proget/feed/nuget"
	"github.com/proget-go/ha/proget/feed/oci"
	"github.com/proget-go/ha/proget/feed/pypi"
	"github.com/proget-go/ha/proget/feed/universal"
	"github.com/proget-go/ha/proget/node"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/azure"
	"github.com/proget-go/ha/storage/gcs"
	"github.com/proget-go/ha/storage/s3"
)

// services are the object stores this server can use.
func services() []storage.Service {
	return []storage.Service{s3.Service(), azure.Service(), gcs.Service()}
}

// types are the feed types this server knows.
func (c *config) types() []feed.Type {
	return []feed.Type{
		nuget.New(nil), nuget.Chocolatey(nil), nuget.PowerShell(nil), maven.New(), npm.New(), pypi.New(), oci.New(),
		universal.New(&universal.Options{FetchHosts: c.fetchHosts}), asset.New(),
	}
}

func main() {
	err := run(os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "server:", oneLine(err))
	if errors.As(err, new(usageError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// oneLine puts the text of an error into one line. Drivers report each attempt on a
// separate line, often with the same text.
func oneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

func run(args []string) error {
	command := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	switch command {
	case "help":
		args = []string{"-help"}
	case "version":
		fmt.Println(node.Version())
		return nil
	}
	var file string // backup writes it, restore reads it
	if command == "backup" || command == "restore" {
		if len(args) == 0 || strings.HasPrefix(args[0], "-") {
			return usageError(fmt.Sprintf("%s: name the file of the backup, as in %s /srv/backup/proget.db", command, command))
		}
		file, args = args[0], args[1:]
	}
	rebuild := command == "fsck" && len(args) > 0 && args[0] == "rebuild"
	if rebuild {
		args = args[1:]
	}
	if command == "run" {
		becomeCalm() // before anything is read that can be read only once
	}
	cfg, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	switch command {
	case "run":
		return serve(ctx, cfg)
	case "upgradedb":
		return upgrade(ctx, cfg)
	case "resetadminpassword":
		return resetPassword(ctx, cfg)
	case "backup":
		return backup(ctx, cfg, file)
	case "restore":
		return restore(ctx, cfg, file)
	case "fsck":
		return fsck(ctx, cfg, rebuild)
	}
	return usageError(fmt.Sprintf("there is no command %q: use run, upgradedb, resetadminpassword, backup, restore, fsck, version or help", command))
}

func upgrade(ctx context.Context, cfg config) error {
	if err := cfg.makeData(); err != nil {
		return err
	}
	if _, err := cfg.keyring(); err != nil { // a new database gets one
		return err
	}
	store, err := cfg.openDB(ctx, true)
	if err != nil {
		return err
	}
	fmt.Printf("The schema in %s is up to date.\n", store.Engine())
	return store.Close()
}

// requireDB returns an error if the SQLite database does not exist. Who mistypes its
// name must not be told that all is well.
func (c *config) requireDB() error {
	if c.engine() != "sqlite" {
		return nil
	}
	if _, err := os.Stat(c.sqlitePath()); err != nil {
		return fmt.Errorf("there is no database: %w; name the folder with -data or the database with -db", err)
	}
	return nil
}

// resetPassword sets a new password in an existing database.
func resetPassword(ctx context.Context, cfg config) error {
	if err := cfg.requireDB(); err != nil {
		return err
	}
	store, err := cfg.openDB(ctx, false)
	if err != nil {
		return err
	}
	defer store.Close()
	password, err := node.ResetAdminPassword(ctx, store, cfg.adminPassword)
	if err != nil {
		return err
	}
	if cfg.adminPassword == "" {
		fmt.Printf("The password of %s is now %s\n", node.AdminName, password)
	} else {
		fmt.Printf("The password of %s has been set.\n", node.AdminName)
	}
	return nil
}

// backup copies the embedded database while servers use it.
func backup(ctx context.Context, cfg config, file string) error {
	if cfg.engine() != "sqlite" {
		return usageError("backup is for SQLite only: use the database server's own tools")
	}
	if err := sqlite.Backup(ctx, cfg.sqlitePath(), file); err != nil {
		return err
	}
	fmt.Printf("The database was backed up to %s. Copy the storage now, and keep the encryption key as well: a restored database needs it.\n", file)
	return nil
}

// restore replaces the embedded database by a backup.
func restore(ctx context.Context, cfg config, file string) error {
	if cfg.engine() != "sqlite" {
		return usageError("restore is for SQLite only: use the database server's own tools")
	}
	if err := cfg.makeData(); err != nil {
		return err
	}
	kept, err := sqlite.Restore(ctx, file, cfg.sqlitePath())
	if err != nil {
		return err
	}
	fmt.Printf("The database %s was restored from %s.\n", cfg.sqlitePath(), file)
	if kept != "" {
		fmt.Printf("The previous database was kept as %s.\n", kept)
	}
	fmt.Println("Run fsck before you start a server: files pushed since the backup are extra, and are removed after the grace period.")
	return nil
}

// serve runs a node until it is told to stop.
func serve(ctx context.Context, cfg config) error {
	defer spareMemory()()
	if err := cfg.makeData(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("%w; choose another address with -listen", err)
	}
	defer listener.Close()
	blobs, err := cfg.openStorage(ctx, true) // before creating anything for a storage that cannot be used
	missing := errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(cfg.storage, "file:")
	if err != nil && !missing {
		return err
	}
	keys, err := cfg.keyring()
	if err != nil {
		return err
	}
	traces, err := startTracing(ctx, cfg.node)
	if err != nil {
		return err
	}
	defer flush(traces)
	store, err := cfg.openDB(ctx, cfg.upgradeDB)
	if err != nil {
		return err
	}
	defer store.Close()
	if missing {
		if blobs, err = cfg.makeStorage(ctx, store); err != nil {
			return err
		}
	}
	defer blobs.Close()

	return serveOn(ctx, cfg, listener, node.Config{DB: store, Blobs: blobs, Keys: keys, Tracing: traces})
}

// serveOn runs a node on the open parts. Before, a signal ends the process at once,
// since nothing has to end in order.
func serveOn(ctx context.Context, cfg config, l net.Listener, parts node.Config) error {
	starting, started := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer started()
	context.AfterFunc(starting, started) // so that a second signal ends the process at once
	n, closing, err := cfg.start(starting, l, parts)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if starting.Err() != nil {
		err = fmt.Errorf("stopped while starting: %w", context.Cause(starting))
	}
	started()
	if err == nil {
		err = serveNode(ctx, cfg, n, l, signals)
	}
	return errors.Join(err, closing.close())
}

// closers are the functions that close what was opened; close calls the last first.
type closers []func() error

func (c closers) close() error {
	var errs []error
	for _, f := range slices.Backward(c) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// start fills an empty database, prints where everything is, and makes the node.
func (c *config) start(ctx context.Context, l net.Listener, parts node.Config) (n *node.Node, opened closers, err error) {
	secrets, err := node.Initialize(ctx, parts.DB, c.types(), node.FirstStart{
		Password: c.adminPassword, APIKey: c.apiKey, Feeds: c.feeds})
	if err != nil {
		return nil, nil, err
	}
	if given := c.firstStartGiven(); secrets == nil && len(given) > 0 {
		slog.Info("the database is not empty: settings for the first start have no effect", "given", given)
	}
	if err := c.warnOfKey(ctx, parts.DB, parts.Keys); err != nil {
		return nil, nil, err
	}
	greet(*c, "http://"+address(l.Addr()), secrets) // at once, so that the secrets are seen whatever fails later
	elector, closeElector, err := c.openElector(ctx)
	if err != nil {
		return nil, nil, err
	}
	opened = append(opened, closeElector)
	beacon, err := c.openBeacon()
	if err != nil {
		return nil, opened, err
	}
	if beacon != nil {
		opened = append(opened, beacon.Close)
	}
	parts.Feeds, parts.Name, parts.Roles, parts.BaseURL, parts.TrustedProxies = c.types(), c.node, c.roles, c.baseURL, c.proxies
	parts.Address, parts.Elect, parts.Beacon = "http://"+c.reached(l.Addr()), elector, beacon
	parts.CacheDir, parts.CacheBytes, parts.MaxUpload = filepath.Join(c.data, "node-"+c.node), c.cache, c.maxUpload
	parts.Grace, parts.Staleness, parts.StaleServers = c.grace, c.staleness, c.stale
	if n, err = node.New(ctx, parts); err != nil {
		return nil, opened, err
	}
	return n, append(opened, n.Close), nil
}

// address turns an address that the server listens on into one that a person can open.
func address(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() && ip.To4() == nil {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// reached turns an address that the server listens on into one that the other servers
// can reach.
func (c *config) reached(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return net.JoinHostPort(c.reachedHost(host), port)
}

func (c *config) reachedHost(listened string) string {
	if c.address != "" {
		return c.address
	}
	if ip := net.ParseIP(listened); ip != nil && ip.IsUnspecified() {
		if host, err := os.Hostname(); err == nil {
			return host
		}
	}
	return listened
}

// openBeacon returns nil for a node that is not a candidate.
func (c *config) openBeacon() (*election.Beacon, error) {
	if !c.elects() {
		return nil, nil
	}
	l, err := net.Listen("tcp", c.beacon)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with -beacon", err)
	}
	host, _, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	b, err := election.NewBeacon(l, c.reachedHost(host))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; name this machine with -address", err), l.Close())
	}
	return b, nil
}

func greet(cfg config, url string, secrets *node.Secrets) {
	fmt.Printf("ProGet HA, node %s (%s)\n\n  URL        %s\n  Database   %s\n  Storage    %s\n",
		cfg.node, strings.Join(cfg.roles, " and "), url, redact(cfg.db), redact(cfg.storage))
	if cfg.elect != "" && cfg.elects() {
		fmt.Printf("  Election   %s\n", cfg.shownElect())
	}
	if secrets != nil && slices.Contains(cfg.roles, node.RoleWeb) {
		for _, f := range secrets.Feeds {
			i := slices.IndexFunc(cfg.types(), func(t feed.Type) bool { return t.Name == f.Type })
			fmt.Printf("  Feed       %s\n", cfg.types()[i].StartURL(url, f))
		}
	}
	if secrets == nil {
		fmt.Println()
		return
	}
	if cfg.adminPassword == "" {
		fmt.Printf("\n  Password   %s   (of user %s; shown only now)\n", secrets.Password, node.AdminName)
	}
	if cfg.apiKey == "" {
		fmt.Printf("  API key    %s   (shown only now)\n", secrets.APIKey)
	}
	fmt.Println()
}

// serveNode serves until a signal and then stops in order: readiness turns 503, load
// balancers get a moment to see it, pending requests finish, and leadership is handed
// over.
func serveNode(ctx context.Context, cfg config, n *node.Node, l net.Listener, signals chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(ctx)
	server := &http.Server{Handler: n.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)}
	g.Go(func() error { return n.Run(ctx) })
	g.Go(func() error {
		releaseStart(ctx)
		return nil
	})
	g.Go(func() error {
		defer cancel()
		err := node.Serve(serving, server, l, cfg.shutdown)
		switch {
		case serving.Err() == nil:
			return fmt.Errorf("serve: %w", err)
		case err != nil:
			slog.Warn("some requests did not finish in time and were cut off", "error", err)
		}
		return nil
	})
	g.Go(func() error {
		defer stop()
		select {
		case sig := <-signals:
			n.Drain()
			slog.Info("stopping", "signal", sig.String())
			if sig == syscall.SIGTERM {
				pause(signals, cfg.drain)
			}
			signal.Stop(signals)
			slog.Info("waiting for requests in progress to finish; another signal ends them", "time", cfg.shutdown.String())
		case <-ctx.Done():
		}
		return nil
	})
	return g.Wait()
}

// pause waits for d or until another signal.
func pause(signals <-chan os.Signal, d time.Duration) {
	select {
	case <-time.After(d):
	case <-signals:
	}
}
