// Package cluster knows the servers of an installation. Each server writes heartbeats
// with what it found out about itself, which all servers can read. The package also
// tells a server whether it belongs to the cluster: whether its encryption key, its
// storage and its clock are the cluster's.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/internal/recurring"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// Times of the heartbeat.
const (
	Beat       = 2 * time.Second  // between two heartbeats
	StaleAfter = 8 * time.Second  // a server without a heartbeat for so long counts as gone
	maxSkew    = 30 * time.Second // maximum difference between a server's clock and the database's
	checkEvery = 5                // heartbeats between two checks of storage that is well
)

// The settings this package keeps in the database.
const (
	SettingKey      = "cluster.key"       // fingerprint of the cluster's encryption key
	SettingStorage  = "cluster.storage"   // a storage.Probe that identifies the cluster's storage
	settingStepDown = "cluster.step-down" // the number of the term that shall end
)

// A Mode is the name of the setting of a feature that an administrator enables for the
// whole cluster.
type Mode string

// The modes.
const (
	LoadBalancing    Mode = "cluster.load-balancing"
	HighAvailability Mode = "cluster.high-availability"
)

// enabled is the value of the setting of an enabled mode.
const enabled = "enabled"

// The roles that a server can have.
const (
	RoleWeb   = "web"
	RoleIndex = "index"
)

// Self is what a server reports about itself. It is stored as JSON.
type Self struct {
	Roles        []string      `json:"roles"`
	Version      string        `json:"version"`
	OS           string        `json:"os"`
	Address      string        `json:"address"` // URL at which it listens
	Fingerprints []string      `json:"fingerprints"`
	Probe        storage.Probe `json:"probe"`
	Storage      string        `json:"storage"`  // "" or what is wrong with storage as seen by this server
	Foreign      bool          `json:"foreign"`  // as far as this server knows, storage is not the cluster's
	Key          string        `json:"key"`      // "" or what is wrong with its key
	Skew         time.Duration `json:"skew"`     // its clock minus the database's
	IndexLag     int64         `json:"indexLag"` // log entries its search index has yet to apply
	Lags         Lags          `json:"lags"`     // earlier values of IndexLag
	Term         int64         `json:"term"`     // the number of the term in which it leads by its own clock; 0 if it does not lead
	Ready        bool          `json:"ready"`
}

// A State is what a server knows about itself without asking anybody; see Self.
type State struct {
	IndexLag int64
	Term     int64
	Ready    bool
}

// A Member is a server of the cluster as the others see it.
type Member struct {
	Self
	Name    string
	Started time.Time
	Age     time.Duration // of its newest heartbeat
	Primary bool          // it leads in the newest term that a living server knows
}

// Alive reports whether the member's heartbeat is recent.
func (m *Member) Alive() bool { return m.Age < StaleAfter }

// Has reports whether the member has a role.
func (m *Member) Has(role string) bool { return slices.Contains(m.Roles, role) }

// Skewed reports whether the member's clock differs too much from the database's.
func (m *Member) Skewed() bool { return m.Skew.Abs() > maxSkew }

// Options configure a Registry. Name, Roles and Fingerprints are required.
type Options struct {
	Name         string
	Roles        []string
	Fingerprints []string // of the server's keyring, the encrypting key's first
	Version      string
	OS           string
	Address      string
	Office       string       // names the election in which the indexing nodes choose their primary
	Stores       *storage.Set // for checking the storages that were added; nil checks only the first
	Logger       *slog.Logger // default: slog.Default()

	// Slow is how long a check of storage may take before the storage is reported as
	// slow; default 5 s.
	Slow time.Duration

	// State is called at each heartbeat. Optional.
	State func() State
}

// A Registry is one server's view of the cluster. It is safe for concurrent use.
type Registry struct {
	db       *db.Store
	blobs    *storage.Store
	opts     Options
	instance string

	mu       sync.Mutex
	self     Self
	started  time.Time // by the database's clock; zero before the first check
	problems []string
	warnings []string
	full     bool          // the database had no room for the last heartbeat
	unled    time.Time     // since when no living server leads; zero if one does
	changed  chan struct{} // closed when problems change

	look    lookout
	listed  atomic.Bool   // this process has written a heartbeat, and has not seen it removed since
	hurried chan struct{} // has room for one value
}

// New returns a Registry for this server, which it does not announce yet.
func New(store *db.Store, blobs *storage.Store, opts Options) *Registry {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Slow == 0 {
		opts.Slow = 5 * time.Second
	}
	return &Registry{db: store, blobs: blobs, opts: opts, instance: rand.Text(), changed: make(chan struct{}), hurried: make(chan struct{}, 1), self: Self{
		Roles: opts.Roles, Version: opts.Version, OS: opts.OS, Address: opts.Address, Fingerprints: opts.Fingerprints}}
}

// Candidate returns the name under which this process stands for election. It is unique
// to the process: two servers with the same name by mistake must not be taken for one
// candidate.
func (r *Registry) Candidate() string { return r.opts.Name + " " + r.instance }

// Run writes heartbeats until ctx ends, and then removes the server from the members.
func (r *Registry) Run(ctx context.Context) error {
	tick := time.NewTicker(Beat)
	defer tick.Stop()
	var unwritten recurring.Failure
	for n := 0; ; n++ {
		err := r.beat(ctx, n%checkEvery == 0 || r.troubled(), Beat/4)
		if err != nil && ctx.Err() == nil {
			unwritten.Warn(ctx, r.opts.Logger, "the heartbeat could not be written", err)
		} else if err == nil {
			if times := unwritten.End(); times > 0 {
				r.opts.Logger.InfoContext(ctx, "heartbeats are written again", "failed", times)
			}
		}
		select {
		case <-tick.C:
		case <-r.hurried:
		case <-ctx.Done():
			r.leave(ctx)
			return nil
		}
	}
}

// Hurry triggers the next heartbeat now, because the server's state has changed.
func (r *Registry) Hurry() {
	select {
	case r.hurried <- struct{}{}:
	default: // one is already due
	}
}

// troubled reports whether the last check found something wrong with storage; the next
// checks are then more frequent.
func (r *Registry) troubled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.self.Storage != ""
}

// leave removes this server from the members, so that the others do not report it as
// silent.
func (r *Registry) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	r.look.wait(ctx)
	left, err := r.db.LeaveNode(ctx, r.opts.Name, r.instance)
	if err != nil {
		r.opts.Logger.WarnContext(ctx, "the server could not remove itself from the list of servers; it will be listed as stale", "error", err)
	}
	if left { // otherwise the probe belongs to another process of this name
		r.deleteProbe(ctx, r.opts.Name, r.look.last().probe)
	}
}

// Problems returns the reasons why this server must neither take traffic nor do the
// cluster's work, one sentence each. It is never empty before the first check.
func (r *Registry) Problems() []string {
	problems, _ := r.watch()
	return problems
}

// Warnings returns what does not work as it should while this server continues, one
// sentence each. Storage that is full, read-only, slow or gone is so for all servers:
// if all left the load balancer, nobody could even read.
func (r *Registry) Warnings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.warnings
}

// watch returns the problems, and a channel that is closed when they change.
func (r *Registry) watch() (problems []string, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started.IsZero() {
		return []string{"The server has not yet checked its key, storage and clock."}, r.changed
	}
	return r.problems, r.changed
}

// WhileHealthy calls fn whenever the server has no problems and cancels fn's context
// when it gets some. It returns when ctx ends or fn fails.
func (r *Registry) WhileHealthy(ctx context.Context, fn func(context.Context) error) error {
	for ctx.Err() == nil {
		problems, changed := r.watch()
		if len(problems) == 0 {
			if err := r.untilProblems(ctx, fn); err != nil {
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

func (r *Registry) untilProblems(ctx context.Context, fn func(context.Context) error) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watching.Go(func() {
		defer stop()
		for {
			problems, changed := r.watch()
			if len(problems) > 0 {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	return fn(ctx)
}

// Check determines whether this server belongs to the cluster, and announces it. It
// waits at most 1.5 times Options.Slow for storage.
func (r *Registry) Check(ctx context.Context) error { return r.beat(ctx, true, r.opts.Slow*3/2) }

// beat writes a heartbeat. With look, it starts a check of storage and waits so long
// for the result; later results appear in a later heartbeat.
func (r *Registry) beat(ctx context.Context, look bool, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r.mu.Lock()
	self, started := r.self, r.started
	r.mu.Unlock()
	members, err := r.members(ctx)
	if err != nil {
		return err
	}
	if self.Skew, err = r.skew(ctx); err != nil {
		return err
	}
	if self.Key, err = r.checkKey(ctx, members); err != nil {
		return err
	}
	if look {
		r.look.start(ctx, func(ctx context.Context) finding { return r.checkStorage(ctx, members) })
	}
	found := r.look.found(wait, r.opts.Slow)
	self.Storage, self.Foreign, self.Probe = found.trouble, found.foreign, found.probe
	if r.opts.State != nil {
		state := r.opts.State()
		self.IndexLag, self.Term, self.Ready = state.IndexLag, state.Term, state.Ready
		self.Lags = self.Lags.add(time.Now().Add(-self.Skew).Unix()/60, self.IndexLag)
	}
	clash := r.clash(members, started)
	if started.IsZero() {
		started = time.Now().Add(-self.Skew)
	}
	r.remember(self, started, clash, r.leaderless(self, members))
	if clash != "" {
		return nil // another server has the name
	}
	err = r.announce(ctx, self, started)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = errors.Is(err, proget.ErrNoSpace)
	return err
}

// leaderless returns a warning if no living server has led for longer than an election
// takes. Everything is still served, but nobody does the primary's work.
func (r *Registry) leaderless(self Self, members []node) string {
	led := self.Term > 0 || slices.ContainsFunc(members, func(m node) bool { return m.Alive() && m.Term > 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.opts.State == nil || led:
		r.unled = time.Time{}
	case r.unled.IsZero():
		r.unled = time.Now()
	case time.Since(r.unled) > StaleAfter:
		return "No indexing node is the primary: repository indexes are not updated, retention rules are not applied, and storage is not freed. Start a server with the role index."
	}
	return ""
}

func (r *Registry) remember(self Self, started time.Time, clash, leaderless string) {
	var problems, warnings []string
	add := func(to *[]string, sentence string) {
		if sentence != "" {
			*to = append(*to, sentence)
		}
	}
	add(&problems, self.Key)
	if self.Foreign {
		add(&problems, self.Storage)
	} else {
		add(&warnings, self.Storage)
	}
	add(&warnings, leaderless)
	add(&problems, clash)
	if self.Skew.Abs() > maxSkew {
		add(&problems, fmt.Sprintf("The clock of this server differs from the database's by %s: synchronize it with NTP.", self.Skew.Round(time.Millisecond)))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full || r.db.Full() {
		add(&warnings, "The database has no space left: nothing can be changed until there is room.")
	}
	if !slices.Equal(problems, r.problems) || !slices.Equal(warnings, r.warnings) {
		level := slog.LevelInfo // everything is well
		if len(problems)+len(warnings) > 0 {
			level = slog.LevelWarn
		}
		r.opts.Logger.Log(context.Background(), level, "the server's checks have changed", "problems", problems, "warnings", warnings)
	}
	if r.started.IsZero() || !slices.Equal(problems, r.problems) {
		close(r.changed)
		r.changed = make(chan struct{})
	}
	r.self, r.started, r.problems, r.warnings = self, started, problems, warnings
}

// clash returns a problem if a living process that started before this one has this
// server's name. The first heartbeat ignores that, because the other is most often a
// process that was killed. If it lives, it claims its name back within a heartbeat, and
// this process then learns of it.
func (r *Registry) clash(members []node, started time.Time) string {
	for _, m := range members {
		if m.Name == r.opts.Name && m.instance != r.instance && m.Alive() && m.Started.Before(started) {
			return fmt.Sprintf("Another server also calls itself %s: give each a name of its own (in the reference server with -node).", r.opts.Name)
		}
	}
	return ""
}

// skew compares this server's clock with the database's. It assumes that the answer
// took half of the round trip.
func (r *Registry) skew(ctx context.Context) (time.Duration, error) {
	before := time.Now()
	now, err := r.db.Clock(ctx)
	if err != nil {
		return 0, err
	}
	return before.Add(time.Since(before) / 2).Sub(now), nil
}

// checkKey compares this server's keyring with the cluster's key. The first server sets
// that; a new key becomes the cluster's as soon as every living server has it.
func (r *Registry) checkKey(ctx context.Context, members []node) (problem string, err error) {
	first := r.opts.Fingerprints[0]
	settings, err := r.db.Settings(ctx)
	if err != nil || settings[SettingKey] == first {
		return "", err
	}
	err = r.db.Tx(ctx, func(tx *db.Tx) error {
		problem = ""
		current, ok, err := tx.Setting(ctx, SettingKey)
		if err != nil || ok && current == first {
			return err
		}
		if !ok {
			return tx.AddSetting(ctx, SettingKey, first)
		}
		if !slices.Contains(r.opts.Fingerprints, current) {
			problem = fmt.Sprintf("The encryption key of this server (fingerprint %s) is not the cluster's (fingerprint %s): give every server the same key (in the reference server with PROGET_ENCRYPTION_KEY).", first, current)
			return nil
		}
		for _, m := range members {
			if m.Alive() && m.Key == "" && !slices.Contains(m.Fingerprints, first) {
				return nil // some member cannot decrypt with the new key yet
			}
		}
		return tx.SetSetting(ctx, SettingKey, first)
	})
	if errors.Is(err, proget.ErrConflict) { // another server has just set it
		return r.checkKey(ctx, members)
	}
	return problem, err
}

// node is a member with the data that only the registry needs.
type node struct {
	Member
	instance string
}

func (r *Registry) members(ctx context.Context) ([]node, error) {
	rows, err := r.db.ListNodes(ctx)
	if err != nil {
		return nil, err
	}
	members := make([]node, 0, len(rows))
	for _, row := range rows {
		m := node{Member: Member{Name: row.Name, Started: row.Started, Age: max(row.Age, 0)}, instance: row.Instance}
		if err := json.Unmarshal([]byte(row.Details), &m.Self); err != nil {
			m.Self = Self{Storage: "This server's report cannot be read: the server runs another version."}
		}
		members = append(members, m)
	}
	return members, nil
}

// Members returns every server that was not removed, sorted by name.
func (r *Registry) Members(ctx context.Context) ([]Member, error) {
	nodes, err := r.members(ctx)
	if err != nil {
		return nil, err
	}
	members := make([]Member, len(nodes))
	var newest int64
	for i, n := range nodes {
		members[i] = n.Member
		if n.Alive() {
			newest = max(newest, n.Term)
		}
	}
	for i := range members {
		m := &members[i]
		m.Primary = m.Alive() && m.Term > 0 && m.Term == newest
	}
	return members, nil
}

// Remove removes a server that is gone, and what it left in storage. It returns
// proget.ErrConflict if the server is alive.
func (r *Registry) Remove(ctx context.Context, name string, by proget.Principal) error {
	return r.remove(ctx, name, StaleAfter, by)
}

// remove is Remove for a server whose last heartbeat is older than silence.
func (r *Registry) remove(ctx context.Context, name string, silence time.Duration, by proget.Principal) error {
	members, err := r.members(ctx)
	if err != nil {
		return err
	}
	if err := r.db.Administer(ctx, by.String(), func(tx *db.Tx) error { return tx.RemoveNode(ctx, name, silence) }); err != nil {
		return err
	}
	for _, m := range members {
		if m.Name == name {
			r.deleteProbe(ctx, name, m.Probe)
		}
	}
	return nil
}

func (r *Registry) deleteProbe(ctx context.Context, server string, p storage.Probe) {
	if p.Key == "" {
		return
	}
	if err := r.blobs.Delete(ctx, p.Key); err != nil {
		r.opts.Logger.WarnContext(ctx, "the probe of a server that left stays in storage", "server", server, "error", err)
	}
}

// Modes says which modes an administrator has enabled.
type Modes struct {
	LoadBalancing    bool
	HighAvailability bool
}

// Modes returns the cluster's modes.
func (r *Registry) Modes(ctx context.Context) (Modes, error) {
	all, err := r.db.Settings(ctx)
	return Modes{all[string(LoadBalancing)] == enabled, all[string(HighAvailability)] == enabled}, err
}

// SetMode enables or disables a mode, on every server.
func (r *Registry) SetMode(ctx context.Context, mode Mode, on bool, by proget.Principal) error {
	value := ""
	if on {
		value = enabled
	}
	return r.db.Administer(ctx, by.String(), func(tx *db.Tx) error { return tx.SetSetting(ctx, string(mode), value) })
}
