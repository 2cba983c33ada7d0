package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
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

	inject injection
}

// An injection makes something go wrong and returns how to undo that, also if it
// could not be done to its end; nil if there is nothing to undo.
type injection func(ctx context.Context) (undo func(ctx context.Context) error, err error)

// The upgrade happens once, as the schema does not get older again. In the rounds
// after the first, all nodes go back to the former version, and forward again.
const (
	rollingUpgrade = "rolling upgrade to a newer schema"
	againUpgraded  = "rolling back and upgrading again"
)

// wants reports whether a fault is to happen.
func (o *options) wants(fault string) bool {
	return len(o.only) == 0 || slices.ContainsFunc(o.only, func(part string) bool { return strings.Contains(fault, part) })
}

// beyondLease is longer than the lease of the primary, which is 5 s.
const beyondLease = 8 * time.Second

// How soon another must lead. It takes some hundred milliseconds where the others
// learn that the primary is gone, from it or from their connection to it, and the
// lease and the time between two looks otherwise. The rest is for slow machines.
const (
	toldWithin  = 3 * time.Second
	leaseWithin = 10 * time.Second
)

// faults are all there are, those that cannot be had here included. Before there
// are nodes, it is not known which these are.
func (s *suite) faults() []fault {
	between := &links{}
	if len(s.nodes) > 0 {
		between = s.links[s.nodes[0].Name]
	}
	missing := func(n network, flag string) string {
		if n == nil {
			return "there is no network in between; give " + flag + " a URL with a host and a port"
		}
		return ""
	}
	db := func(l *links) network { return l.db }
	elect := func(l *links) network { return l.elect }
	noDB, noElect, noPause := missing(between.db, "-db"), missing(between.elect, "-elect"), ""
	if runtime.GOOS == "windows" {
		noPause = "this system cannot pause a process"
	}
	// Who is paused in the middle of a transaction of SQLite keeps the lock of its
	// file, and nobody writes until it goes on.
	ifNetworked := leaseWithin
	if noDB != "" {
		ifNetworked = 0
	}
	cutOff := leaseWithin
	if s.options.elect != "" && s.options.elect != "database" { // which it reaches still: it gives up after 10 s without the database
		cutOff += 10 * time.Second
	}
	forgetting := time.Duration(0) // on a database, the same node may be elected again
	if s.electsByEtcd() {
		forgetting = leaseWithin
	}
	all := []fault{
		{name: "web node killed", hold: 3 * time.Second, inject: s.killed("web")},
		{name: "primary killed", hold: 3 * time.Second, leader: true, within: toldWithin, inject: s.killed("index")},
		{name: "web node paused", hold: beyondLease, not: noPause, inject: s.paused("web")},
		{name: "primary paused", hold: beyondLease, not: noPause, leader: true, within: ifNetworked, inject: s.paused("index")},
		{name: "all nodes restarted in order", harmless: true, inject: s.restarted},
		{name: rollingUpgrade, not: s.noNext, harmless: true, inject: s.upgraded},
		{name: "two web nodes added and removed", hold: 3 * time.Second, harmless: true, inject: s.scaled},
		{name: "web node cut off from the database", hold: beyondLease, not: noDB, inject: s.cut("web", db)},
		{name: "primary cut off from the database", hold: beyondLease, not: noDB, leader: true, within: cutOff, inject: s.cut("index", db)},
		{name: "primary cut off from the elector", hold: beyondLease, not: noElect, leader: true, within: leaseWithin, inject: s.cut("index", elect)},
		{name: "elector forgets the primary", hold: beyondLease, not: s.noForgetting(), leader: s.electsByEtcd(), within: forgetting, inject: s.forgotten},
		{name: "database cut off from all nodes", hold: 5 * time.Second, not: noDB, inject: s.each(db, (*netfault.Proxy).Cut, (*netfault.Proxy).Heal)},
		{name: "connections to the database break", hold: time.Second, not: noDB, inject: s.broken(db)},
		{name: "database late and lossy", hold: 6 * time.Second, not: noDB, inject: s.each(db, worsen, mend)},
		{name: "clocks of two nodes jump", hold: beyondLease, not: s.noClocks(between), inject: s.jumped},
		{name: "web node cut off from the storage", hold: 5 * time.Second, not: noStorage(between), inject: s.storageAway("web")},
		{name: "storage away", hold: 5 * time.Second, not: noStorage(between), inject: s.storageAway("")},
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

func front(l *links) network { return l.front }

func worsen(p *netfault.Proxy) { p.Delay(10 * time.Millisecond); p.Lose(0.02) }
func mend(p *netfault.Proxy)   { p.Delay(0); p.Lose(0) }

// calm is how long nothing goes wrong between two faults.
const calm = 2 * time.Second

// recovery bounds how long a cluster may take to be well again.
const recovery = 90 * time.Second

// known refuses texts that are in no fault's name.
func (s *suite) known() error {
	all := s.faults()
	for _, text := range s.options.only {
		if !slices.ContainsFunc(all, func(f fault) bool { return strings.Contains(f.name, text) }) {
			return fmt.Errorf("-only %q: there is no such fault; there are %s", text, names(all))
		}
	}
	return nil
}

func names(all []fault) string {
	var names []string
	for _, f := range all {
		names = append(names, strconv.Quote(f.name))
	}
	return strings.Join(names, ", ")
}

// plan chooses the faults that are to happen, of which there must be one.
func (s *suite) plan() error {
	var reasons []string
	for _, f := range s.faults() {
		switch {
		case !s.options.wants(f.name):
		case f.not != "":
			s.report.Skipped = append(s.report.Skipped, report.Skipped{Name: f.name, Why: f.not})
			reasons = append(reasons, fmt.Sprintf("%q: %s", f.name, f.not))
		default:
			s.todo = append(s.todo, f)
		}
	}
	if len(s.todo) == 0 {
		return fmt.Errorf("no fault is left that can be had here: %s", strings.Join(reasons, "; "))
	}
	return nil
}

// torment has every fault happen, in a random order, as often as there are rounds.
// It ends where all is not well after one, as nothing could be told of the next.
func (s *suite) torment(ctx context.Context) {
	total, done := len(s.todo)*s.options.rounds, 0
	for range s.options.rounds {
		rand.Shuffle(len(s.todo), func(i, j int) { s.todo[i], s.todo[j] = s.todo[j], s.todo[i] })
		for _, f := range s.todo {
			if f.name == rollingUpgrade && s.newer {
				f.name = againUpgraded
			}
			fmt.Fprintf(os.Stderr, "[%d/%d] %s … ", done+1, total, f.name)
			err := s.suffer(ctx, f)
			if err == nil {
				done++
				continue
			}
			fmt.Fprintln(os.Stderr, err)
			s.report.Incomplete = fmt.Sprintf("%d of %d faults happened and were over when the run ended at %q: %v", done, total, f.name, err)
			return
		}
	}
	_ = sleep(ctx, calm) // judge finds out whether the run was interrupted
}

// suffer has one fault happen and waits until all is well again, or returns why it
// is not.
func (s *suite) suffer(ctx context.Context, f fault) error {
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	seen := report.Fault{Name: f.name, From: s.history.Now(), Harmless: f.harmless}
	s.failover = 0
	s.strike(ctx, f)
	seen.To, seen.Failover = s.history.Now(), s.failover
	err := s.recovered(ctx, &seen)
	if ctx.Err() != nil {
		err, seen.Unfinished, seen.Harmless, seen.Well = context.Cause(ctx), true, false, 0 // who ends the run may have ended the nodes
	} else if err != nil {
		s.violate("After %q: %v.", f.name, err)
	}
	s.report.Faults = append(s.report.Faults, seen)
	if err == nil {
		s.tell(&seen)
	}
	return err
}

// strike has a fault happen, and undoes it. What of that cannot be done is a
// violation: most of it is waiting for nodes to do as they are told.
func (s *suite) strike(ctx context.Context, f fault) {
	led, from := s.watch.primary(), s.history.Now()
	undo, err := f.inject(ctx)
	if err == nil {
		held := time.Now()
		if f.leader {
			s.awaitOther(ctx, f.name, led, from, f.within, f.hold)
		}
		_ = sleep(ctx, f.hold-time.Since(held)) // undone early, if the run is interrupted
	}
	if undo != nil {
		err = errors.Join(err, undo(context.WithoutCancel(ctx)))
	}
	if err != nil && ctx.Err() == nil {
		s.violate("%q: %v.", f.name, err)
	}
}

// recovered waits until all is well after a fault, for clients, too, and nothing
// is under way any more that it may have hit: whatever fails then fails for another
// reason.
func (s *suite) recovered(ctx context.Context, seen *report.Fault) error {
	if err := s.well(ctx, recovery); err != nil {
		return err
	}
	if err := s.served(ctx, seen.To); err != nil {
		return err
	}
	seen.Well = s.history.Now()
	return s.settled(ctx)
}

// moment is how long nobody looks at what cannot be awaited.
const moment = 20 * time.Millisecond

// served waits until a client has changed something, and one has read something,
// since a time. That nobody did is wrong if somebody failed.
func (s *suite) served(ctx context.Context, since time.Duration) error {
	late := time.After(recovery)
	for changed, read, failed, next := false, false, false, 0; ; {
		all := s.history.Operations()
		for _, o := range all[next:] {
			switch {
			case o.Return < since:
			case o.Outcome.Failure():
				failed = true
			case o.Outcome == history.OK:
				changed = changed || o.Kind == history.Push || o.Kind == history.Put
				read = read || o.Kind == history.Read || o.Kind == history.List
			}
		}
		next = len(all)
		switch {
		case changed && read:
			return nil
		case exceeded(late) && !failed:
			return nil
		case exceeded(late):
			return fmt.Errorf("within %s, a client could change something: %t, and read something: %t", recovery, changed, read)
		}
		if err := sleep(ctx, moment); err != nil {
			return err
		}
	}
}

// patience is for an operation of several requests, each of which a client gives up
// after a minute.
const patience = 5 * time.Minute

// settled waits until what is under way now has returned: a client does one thing
// after the other, so that the next answer each of them reports is of that. Those
// that stand in for others take turns with them.
func (s *suite) settled(ctx context.Context) error {
	waiting := make(map[int]bool)
	for i := range s.load.Clients {
		waiting[i] = true
	}
	late := time.After(patience + standIns*s.options.pause)
	for next := len(s.history.Operations()); ; {
		all := s.history.Operations()
		for _, o := range all[next:] {
			delete(waiting, o.Client)
		}
		next = len(all)
		switch {
		case len(waiting) == 0:
			return nil
		case exceeded(late):
			return fmt.Errorf("%d clients have had no answer for %s", len(waiting), patience)
		}
		if err := sleep(ctx, moment); err != nil {
			return err
		}
	}
}

func exceeded(late <-chan time.Time) bool {
	select {
	case <-late:
		return true
	default:
		return false
	}
}

// awaitOther waits until another than a node leads, and remembers how long after a
// moment that was. That it takes longer than within, unless this is 0, is a violation.
func (s *suite) awaitOther(ctx context.Context, why, led string, from, within, hold time.Duration) {
	bounded, cancel := context.WithTimeout(ctx, max(within, hold))
	defer cancel()
	err := s.watch.await(bounded, func(nodes map[string]sight) bool {
		for name, n := range nodes {
			if n.primary && name != led {
				return true
			}
		}
		return false
	})
	var took time.Duration
	if err == nil {
		took = max(s.watch.otherLed(led, from)-from, time.Millisecond) // at once, if it did before
		s.failover = max(s.failover, took)
	}
	if within > 0 && (err != nil || took > within) && ctx.Err() == nil {
		s.violate("No other node than %s led within %s: %s.", led, within, why)
	}
}

// tell says in one line what a fault did.
func (s *suite) tell(seen *report.Fault) {
	s.report.Operations = s.history.Operations()
	all, failed := s.report.During(seen)
	line := fmt.Sprintf("%d operations, %d of them failed", all, failed)
	if seen.Failover > 0 {
		line += fmt.Sprintf(", another led after %.1f s", seen.Failover.Seconds())
	}
	fmt.Fprintf(os.Stderr, "%s, all well after %.1f s\n", line, (seen.Well - seen.To).Seconds())
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
	return nil, nil
}

// upgraded restarts one node after the other as the next version. Once the first
// has changed the schema, one of the former version must be able to start, too. If
// all are of the next version already, they go back to the former one first.
func (s *suite) upgraded(ctx context.Context) (func(context.Context) error, error) {
	if s.newer {
		for _, n := range s.nodes {
			if err := s.restart(ctx, n, s.options.server); err != nil {
				return nil, err
			}
		}
	}
	s.newer = true
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
	return nil, nil
}

// restart restarts a node, perhaps as another version, and waits until it is back.
// If it led, another does before.
func (s *suite) restart(ctx context.Context, n *process, server string) error {
	n.server = server
	led := s.watch.primary() == n.Name
	if err := s.end(ctx, n); err != nil {
		return err
	}
	if led {
		s.awaitOther(ctx, "it had stopped in order", n.Name, s.watch.ledUntil(n.Name), toldWithin, 0)
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
		if err := s.run(p); err != nil {
			return s.removed, err
		}
		s.nodes = append(s.nodes, p)
		if err := s.inTraffic(ctx, p); err != nil {
			return s.removed, err
		}
	}
	return s.removed, nil
}

// removed removes the web nodes that are spare, as far as they run.
func (s *suite) removed(ctx context.Context) error {
	for _, p := range s.spares {
		if !slices.Contains(s.nodes, p) {
			continue
		}
		if err := s.end(ctx, p); err != nil {
			return err
		}
		s.nodes = slices.DeleteFunc(s.nodes, func(n *process) bool { return n == p })
	}
	return nil
}

// cut cuts one node off.
func (s *suite) cut(role string, of func(*links) network) injection {
	return func(context.Context) (func(context.Context) error, error) {
		p, err := s.pick(role)
		if err != nil {
			return nil, err
		}
		between := of(s.links[p.Name])
		between.each((*netfault.Proxy).Cut)
		return func(context.Context) error { between.each((*netfault.Proxy).Heal); return nil }, nil
	}
}

// each does something to all nodes' connections.
func (s *suite) each(of func(*links) network, do, undo func(*netfault.Proxy)) injection {
	return func(context.Context) (func(context.Context) error, error) {
		for _, n := range s.nodes {
			of(s.links[n.Name]).each(do)
		}
		return func(context.Context) error {
			for _, n := range s.nodes {
				of(s.links[n.Name]).each(undo)
			}
			return nil
		}, nil
	}
}

// broken breaks all connections again and again, for three seconds.
func (s *suite) broken(of func(*links) network) injection {
	return func(ctx context.Context) (func(context.Context) error, error) {
		for range 15 {
			for _, n := range s.nodes {
				of(s.links[n.Name]).each((*netfault.Proxy).Break)
			}
			if err := sleep(ctx, 200*time.Millisecond); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

func (s *suite) noClocks(between *links) string {
	if between.clock == "" {
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
	set := func(p *process, seconds string) error {
		return os.WriteFile(s.links[p.Name].clock, []byte(seconds), 0o600)
	}
	undo := func(context.Context) error { return errors.Join(set(leader, "0"), set(web, "0")) }
	return undo, errors.Join(set(leader, "600"), set(web, "-600"))
}

func noStorage(between *links) string {
	if between.folder == "" && between.storage == nil {
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
		var back []func() error
		undo := func(context.Context) (err error) {
			for _, put := range back {
				err = errors.Join(err, put())
			}
			return err
		}
		for _, p := range hit {
			put, err := s.links[p.Name].takeStorage()
			if err != nil {
				return undo, err
			}
			back = append(back, put)
		}
		return undo, nil
	}
}

// takeStorage takes the storage away, and returns how to put it back.
func (l *links) takeStorage() (back func() error, err error) {
	if l.storage != nil {
		l.storage.each((*netfault.Proxy).Cut)
		return func() error { l.storage.each((*netfault.Proxy).Heal); return nil }, nil
	}
	aside := l.folder + ".away"
	return func() error { return os.Rename(aside, l.folder) }, os.Rename(l.folder, aside)
}

// filled fills the disk of the storage.
func (s *suite) filled(context.Context) (func(context.Context) error, error) {
	return func(context.Context) error { return s.disk.empty() }, s.disk.fill()
}

// commanded runs a command of the user's.
func commanded(command string) injection {
	return func(ctx context.Context) (func(context.Context) error, error) {
		name, flag := "sh", "-c"
		if runtime.GOOS == "windows" {
			name, flag = "cmd", "/C"
		}
		if out, err := exec.CommandContext(ctx, name, flag, command).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(out))
		}
		return nil, nil
	}
}
