package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/report"
	"github.com/proget-go/ha/internal/netfault"
)

// A fault is something that goes wrong, and is undone after a while.
type fault struct {
	name string
	hold time.Duration // until it is undone
	not  string        // why it cannot be had here; "" if it can

	// harmless is what no client may notice: an operation that fails meanwhile is
	// a violation.
	harmless bool

	// leader says that the primary is hit, so that another is to lead; within says
	// how soon, and is 0 if it may take until the fault is undone.
	leader bool
	within time.Duration

	// inject makes it go wrong and returns how to undo that.
	inject func(ctx context.Context) (undo func(ctx context.Context) error, err error)
}

const rollingUpgrade = "rolling upgrade to a newer schema"

// wants reports whether a fault is to happen.
func (o *options) wants(fault string) bool {
	return len(o.only) == 0 || slices.ContainsFunc(o.only, func(part string) bool { return strings.Contains(fault, part) })
}

// beyondLease is longer than the lease of the primary, which is 5 s.
const beyondLease = 8 * time.Second

// faults are all there are, those that cannot be had here included.
func (s *suite) faults() []fault {
	network := func(of func(l *links) *netfault.Proxy, flag string) string {
		if of(s.links[s.nodes[0].Name]) == nil {
			return "there is no network in between; give " + flag + " a URL with a host and a port"
		}
		return ""
	}
	db := func(l *links) *netfault.Proxy { return l.db }
	elect := func(l *links) *netfault.Proxy { return l.elect }
	noDB, noElect, noPause := network(db, "-db"), network(elect, "-elect"), ""
	if runtime.GOOS == "windows" {
		noPause = "this system cannot pause a process"
	}
	// Who is paused in the middle of a transaction of SQLite keeps the lock of its
	// file, and nobody writes until it goes on.
	ifNetworked := recovery
	if noDB != "" {
		ifNetworked = 0
	}
	forgetting := time.Duration(0) // on a database, the same node may be elected again
	if s.electsByEtcd() {
		forgetting = recovery
	}
	all := []fault{
		{name: "web node killed", hold: 3 * time.Second, inject: s.killed("web")},
		{name: "primary killed", hold: 3 * time.Second, leader: true, within: recovery, inject: s.killed("index")},
		{name: "web node paused", hold: beyondLease, not: noPause, inject: s.paused("web")},
		{name: "primary paused", hold: beyondLease, not: noPause, leader: true, within: ifNetworked, inject: s.paused("index")},
		{name: "all nodes restarted in order", harmless: true, inject: s.restarted},
		{name: rollingUpgrade, not: s.noNext, harmless: true, inject: s.upgraded},
		{name: "two web nodes added and removed", hold: 3 * time.Second, harmless: true, inject: s.scaled},
		{name: "web node cut off from the database", hold: beyondLease, not: noDB, inject: s.cut("web", db)},
		{name: "primary cut off from the database", hold: beyondLease, not: noDB, leader: true, within: recovery, inject: s.cut("index", db)},
		{name: "primary cut off from the elector", hold: beyondLease, not: noElect, leader: true, within: recovery, inject: s.cut("index", elect)},
		{name: "elector forgets the primary", hold: beyondLease, not: s.noForgetting(), leader: s.electsByEtcd(), within: forgetting, inject: s.forgotten},
		{name: "database cut off from all nodes", hold: 5 * time.Second, not: noDB, inject: s.each(db, (*netfault.Proxy).Cut, (*netfault.Proxy).Heal)},
		{name: "connections to the database break", hold: time.Second, not: noDB, inject: s.broken(db)},
		{name: "database late and lossy", hold: 6 * time.Second, not: noDB, inject: s.each(db, worsen, mend)},
		{name: "clocks of two nodes jump", hold: beyondLease, not: s.noClocks(), inject: s.jumped},
		{name: "web node cut off from the storage", hold: 5 * time.Second, not: s.noStorage(), inject: s.storageAway("web")},
		{name: "storage away", hold: 5 * time.Second, not: s.noStorage(), inject: s.storageAway("")},
		{name: "storage full", hold: 5 * time.Second, not: s.noDisk, inject: s.filled},
		{name: "load balancer cut off from a web node", hold: 5 * time.Second, inject: s.cut("web", front)},
		{name: "load balancer's network late and lossy", hold: 6 * time.Second, inject: s.each(front, worsen, mend)},
	}
	for _, text := range s.options.inject {
		name, command, _ := strings.Cut(text, "=")
		all = append(all, fault{name: name, hold: 5 * time.Second, inject: commanded(command)})
	}
	return all
}

func front(l *links) *netfault.Proxy { return l.front }

func worsen(p *netfault.Proxy) { p.Delay(10 * time.Millisecond); p.Lose(0.02) }
func mend(p *netfault.Proxy)   { p.Delay(0); p.Lose(0) }

// calm is how long nothing goes wrong between two faults.
const calm = 2 * time.Second

// recovery bounds how long a cluster may take to be well again.
const recovery = 90 * time.Second

// torment has every fault happen, in a random order, as often as there are rounds.
func (s *suite) torment(ctx context.Context) error {
	var todo []fault
	all := s.faults()
	for _, text := range s.options.only {
		if !slices.ContainsFunc(all, func(f fault) bool { return strings.Contains(f.name, text) }) {
			return fmt.Errorf("-only %q: there is no such fault; there are %s", text, names(all))
		}
	}
	for _, f := range all {
		if !s.options.wants(f.name) {
			continue
		}
		if f.not != "" {
			s.report.Skipped = append(s.report.Skipped, report.Skipped{Name: f.name, Why: f.not})
			continue
		}
		todo = append(todo, f)
	}
	total, done := len(todo)*s.options.rounds, 0
	for range s.options.rounds {
		rand.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
		for _, f := range todo {
			done++
			fmt.Fprintf(os.Stderr, "[%d/%d] %s … ", done, total, f.name)
			if err := s.suffer(ctx, f); err != nil {
				fmt.Fprintln(os.Stderr)
				return err
			}
		}
	}
	return sleep(ctx, calm)
}

func names(all []fault) string {
	var names []string
	for _, f := range all {
		names = append(names, strconv.Quote(f.name))
	}
	return strings.Join(names, ", ")
}

// suffer has one fault happen and waits until all is well again.
func (s *suite) suffer(ctx context.Context, f fault) error {
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	led := s.watch.primary()
	seen := report.Fault{Name: f.name, From: s.history.Now(), Harmless: f.harmless}
	undo, err := f.inject(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	held := time.Now()
	if f.leader {
		seen.Failover = s.failover(ctx, led, seen.From, max(f.within, f.hold))
	}
	err = sleep(ctx, f.hold-time.Since(held))
	if undoing := undo(context.WithoutCancel(ctx)); undoing != nil {
		return fmt.Errorf("undo %q: %w", f.name, undoing)
	}
	if err != nil {
		return err
	}
	seen.To = s.history.Now()
	if err := s.well(ctx, recovery); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.violate("After %q: %v.", f.name, err)
	} else {
		seen.Well = s.history.Now()
	}
	s.report.Faults = append(s.report.Faults, seen)
	s.tell(f, seen)
	return nil
}

// failover waits until another than a node leads, and returns how long that took,
// or 0 if none did.
func (s *suite) failover(ctx context.Context, led string, from, within time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.watch.await(ctx, func(nodes map[string]sight) bool {
		for name, n := range nodes {
			if n.primary && name != led {
				return true
			}
		}
		return false
	})
	if err != nil {
		return 0
	}
	return s.history.Now() - from
}

// tell says in one line what a fault did, and whether it may have.
func (s *suite) tell(f fault, seen report.Fault) {
	s.report.Operations = s.history.Operations()
	all, failed := s.report.During(&seen, math.MaxInt64)
	line := fmt.Sprintf("%d operations ended, %d of them failed", all, failed)
	switch {
	case seen.Failover > 0:
		line += fmt.Sprintf(", another led after %.1f s", seen.Failover.Seconds())
	case f.within > 0:
		s.violate("No other node led within %s after %q.", f.within, f.name)
	}
	if seen.Well > 0 {
		line += fmt.Sprintf(", all well after %.1f s", (seen.Well - seen.To).Seconds())
	}
	fmt.Fprintln(os.Stderr, line)
}

func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pick returns the primary for the role index, and any web node for web.
func (s *suite) pick(role string) (*process, error) {
	leads := s.watch.primary()
	var of []*process
	for _, n := range s.nodes {
		if n.Role == role && (role != "index" || n.Name == leads) {
			of = append(of, n)
		}
	}
	if len(of) == 0 {
		return nil, fmt.Errorf("no %s node to hit", role)
	}
	return of[rand.N(len(of))], nil
}

// injection is how faults are made.
type injection = func(ctx context.Context) (undo func(ctx context.Context) error, err error)

func (s *suite) killed(role string) injection {
	return func(context.Context) (func(context.Context) error, error) {
		p, err := s.pick(role)
		if err != nil {
			return nil, err
		}
		_ = p.cmd.Process.Kill()
		<-p.ended
		return func(context.Context) error { return s.run(p) }, nil
	}
}

func (s *suite) paused(role string) injection {
	return func(context.Context) (func(context.Context) error, error) {
		p, err := s.pick(role)
		if err != nil {
			return nil, err
		}
		pause(p.cmd.Process)
		return func(context.Context) error { resume(p.cmd.Process); return nil }, nil
	}
}

// restarted restarts one node after the other.
func (s *suite) restarted(ctx context.Context) (func(context.Context) error, error) {
	for _, n := range s.nodes {
		if err := s.restart(ctx, n, n.server); err != nil {
			return nil, err
		}
	}
	return func(context.Context) error { return nil }, nil
}

// upgraded restarts one node after the other as the next version. Once the first
// has changed the schema, one of the former version must be able to start, too.
func (s *suite) upgraded(ctx context.Context) (func(context.Context) error, error) {
	last := s.nodes[len(s.nodes)-1]
	for i, n := range s.nodes {
		if err := s.restart(ctx, n, s.next); err != nil {
			return nil, err
		}
		if i > 0 {
			continue
		}
		if err := s.restart(ctx, last, last.server); err != nil {
			return nil, err
		}
	}
	return func(context.Context) error { return nil }, nil
}

// restart restarts a node, perhaps as another version, and waits until it is back.
func (s *suite) restart(ctx context.Context, n *process, server string) error {
	n.server = server
	if err := s.end(ctx, n); err != nil {
		return err
	}
	if err := s.run(n); err != nil {
		return err
	}
	return s.inTraffic(ctx, n)
}

// noticing is how long the load balancer may take to notice that a node is ready.
const noticing = 1500 * time.Millisecond

// inTraffic waits until a node is ready and the load balancer has noticed.
func (s *suite) inTraffic(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	err := s.watch.await(ctx, func(nodes map[string]sight) bool { return nodes[p.Name].ready })
	if err != nil {
		return fmt.Errorf("%s is not ready: %w; its log is %s", p.Name, err, p.log)
	}
	return sleep(ctx, noticing)
}

// end tells a node to stop, and waits until it has.
func (s *suite) end(ctx context.Context, p *process) error {
	terminate(p.cmd.Process)
	select {
	case <-p.ended:
		return nil
	case <-time.After(recovery):
		return fmt.Errorf("%s does not stop", p.Name)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// scaled adds the web nodes that are spare and removes them again.
func (s *suite) scaled(ctx context.Context) (func(context.Context) error, error) {
	for _, p := range s.spares {
		p.server = s.nodes[0].server // perhaps the next version
		s.nodes = append(s.nodes, p)
		if err := s.run(p); err != nil {
			return nil, err
		}
		if err := s.inTraffic(ctx, p); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		for _, p := range s.spares {
			if err := s.end(ctx, p); err != nil {
				return err
			}
			s.nodes = slices.DeleteFunc(s.nodes, func(n *process) bool { return n == p })
		}
		return nil
	}, nil
}

// cut cuts one node off.
func (s *suite) cut(role string, of func(*links) *netfault.Proxy) injection {
	return func(context.Context) (func(context.Context) error, error) {
		p, err := s.pick(role)
		if err != nil {
			return nil, err
		}
		proxy := of(s.links[p.Name])
		proxy.Cut()
		return func(context.Context) error { proxy.Heal(); return nil }, nil
	}
}

// each does something to all nodes' connections.
func (s *suite) each(of func(*links) *netfault.Proxy, do, undo func(*netfault.Proxy)) injection {
	return func(context.Context) (func(context.Context) error, error) {
		for _, n := range s.nodes {
			do(of(s.links[n.Name]))
		}
		return func(context.Context) error {
			for _, n := range s.nodes {
				undo(of(s.links[n.Name]))
			}
			return nil
		}, nil
	}
}

// broken breaks all connections again and again, for three seconds.
func (s *suite) broken(of func(*links) *netfault.Proxy) injection {
	return func(ctx context.Context) (func(context.Context) error, error) {
		for range 15 {
			for _, n := range s.nodes {
				of(s.links[n.Name]).Break()
			}
			if err := sleep(ctx, 200*time.Millisecond); err != nil {
				return nil, err
			}
		}
		return func(context.Context) error { return nil }, nil
	}
}

func (s *suite) noClocks() string {
	if s.links[s.nodes[0].Name].clock == "" {
		return "nodes of one machine have one clock; give -db the URL of a database server"
	}
	if s.clocks {
		return ""
	}
	return "the server's binary was given, so its clock is this machine's"
}

// jumped sets the clock of one node forward and that of another back, the primary's
// among them.
func (s *suite) jumped(context.Context) (func(context.Context) error, error) {
	leader, err := s.pick("index")
	if err != nil {
		return nil, err
	}
	web, err := s.pick("web")
	if err != nil {
		return nil, err
	}
	for p, seconds := range map[*process]string{leader: "600", web: "-600"} {
		if err := os.WriteFile(s.links[p.Name].clock, []byte(seconds), 0o600); err != nil {
			return nil, err
		}
	}
	return func(context.Context) error {
		for _, p := range []*process{leader, web} {
			if err := os.WriteFile(s.links[p.Name].clock, []byte("0"), 0o600); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (s *suite) noStorage() string {
	if l := s.links[s.nodes[0].Name]; l.folder == "" && l.storage == nil {
		return "the storage is neither a folder nor has it an endpoint of its own"
	}
	return ""
}

// storageAway takes the storage from one node of a role, or from all for "".
func (s *suite) storageAway(role string) injection {
	return func(context.Context) (func(context.Context) error, error) {
		hit := s.nodes
		if role != "" {
			p, err := s.pick(role)
			if err != nil {
				return nil, err
			}
			hit = []*process{p}
		}
		const aside = ".away"
		for _, p := range hit {
			l := s.links[p.Name]
			if l.storage != nil {
				l.storage.Cut()
			} else if err := os.Rename(l.folder, l.folder+aside); err != nil {
				return nil, err
			}
		}
		return func(context.Context) error {
			for _, p := range hit {
				l := s.links[p.Name]
				if l.storage != nil {
					l.storage.Heal()
				} else if err := os.Rename(l.folder+aside, l.folder); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
}

// filled fills the disk of the storage.
func (s *suite) filled(context.Context) (func(context.Context) error, error) {
	if err := s.disk.fill(); err != nil {
		return nil, err
	}
	return func(context.Context) error { return s.disk.empty() }, nil
}

// commanded runs a command of the user's.
func commanded(command string) injection {
	return func(ctx context.Context) (func(context.Context) error, error) {
		name, flag := "sh", "-c"
		if runtime.GOOS == "windows" {
			name, flag = "cmd", "/C"
		}
		if out, err := exec.CommandContext(ctx, name, flag, command).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", command, err, out)
		}
		return func(context.Context) error { return nil }, nil
	}
}
