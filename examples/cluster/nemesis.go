package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
	"github.com/proget-go/ha/examples/cluster/internal/report"
	"github.com/proget-go/ha/internal/netfault"
	"github.com/proget-go/ha/internal/quantity"
)

// A fault is something that goes wrong, and is undone after a while.
type fault struct {
	name string
	hold time.Duration // until it is undone
	not  string        // why it cannot be had here; "" if it can

	// harmless means that no client may notice the fault: an operation that fails
	// meanwhile is a violation, and so is an answer that may be old.
	harmless bool

	// leader means that the fault hits the primary, so that another node must lead,
	// within the time within, or before the fault is undone if that is 0.
	leader bool
	within time.Duration

	inject injection
}

// An injection makes something go wrong and returns a function that undoes it, even if
// it was only partly done; nil if there is nothing to undo.
type injection func(ctx context.Context) (undo func(ctx context.Context) error, err error)

// The upgrade happens once, since the schema cannot go back. In later rounds, all nodes
// go back to the former version, and forward again.
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

// How soon another node must lead. It takes some hundred milliseconds if the others
// learn that the primary is gone, from it or from their connection to it; otherwise the
// lease plus the time between two looks. The rest is for slow machines.
const (
	toldWithin  = 3 * time.Second
	leaseWithin = 10 * time.Second
)

// faults returns all faults, including those that are not possible here. Which these
// are is known only once there are nodes.
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
	// A node that is paused during a SQLite transaction keeps the lock of the file, and
	// nobody can write until it is resumed.
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

// known returns an error for a text that is in no fault's name.
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

// plan chooses the faults that will happen, and returns an error if there is none.
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
		return fmt.Errorf("none of the chosen faults is possible here: %s", strings.Join(reasons, "; "))
	}
	return nil
}

// torment injects every fault once a round, in a random order. It stops if the cluster
// does not recover from one, because later results would mean nothing.
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

// suffer injects one fault and waits until everything works again, or returns why it
// does not.
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

// strike injects a fault and undoes it. A failure of either is a violation, since both
// consist mostly of waiting for nodes to do what they are told.
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

// recovered waits until everything works after a fault, for clients too, and no
// operation is pending that the fault may have hit, so that later failures have another
// cause.
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

// served waits until, since a given time, a client has changed something and one has
// read something. If not both happen in the time recovery, it returns an error if an
// operation failed.
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

// patience is for an operation of several requests, for each of which a client waits at
// most a minute.
const patience = 5 * time.Minute

// settled waits until all operations now pending have returned. Each client does one
// thing at a time, so its next answer is for the pending one. Stand-ins take turns with
// the clients that they replace.
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
			return fmt.Errorf("no answer for %s to %s", patience, quantity.Of(len(waiting), "client"))
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

// awaitOther waits until a node other than led leads, and records how long after from
// that was. If within is not 0, taking longer is a violation.
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

// tell prints in one line what a fault did.
func (s *suite) tell(seen *report.Fault) {
	s.report.Operations = s.history.Operations()
	all, failed := s.report.During(seen, history.Outcome.Failure)
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
