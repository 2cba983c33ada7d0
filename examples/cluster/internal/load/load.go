// Package load provides the clients of a cluster under test. They push, read, list,
// tag, unlist, delete, search and sign in, through all feeds at once and often on the
// same packages, and report every answer to a history.
package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

// A Load is a group of clients and their work. Its fields must not change during Run.
type Load struct {
	History *history.History
	Clients []*Client
	Working int           // how many clients work at a time, besides those that wait for a slow answer
	Pause   time.Duration // pause of a client between two operations; 0 for none

	protocols []protocol
	mu        sync.Mutex
	shelves   map[string]*shelf   // by feed
	filled    map[string][]string // by feed, the packages that got something
	packages  []Package
}

// A Package is a package that clients have used.
type Package struct{ Feed, Name string }

// A shelf holds the package of a feed that clients currently change.
type shelf struct {
	name   string
	used   int // operations
	open   int // changes that are pending or whose outcome is unknown
	filled bool
}

// A package is put aside before the search for an order of its operations takes long;
// it grows most with operations of unknown outcome.
const (
	maxUsed = 150
	maxOpen = 5
)

// New returns a load for clients of a cluster with one feed of each type.
func New(h *history.History, clients []*Client, working int, pause time.Duration) *Load {
	return &Load{History: h, Clients: clients, Working: working, Pause: pause, protocols: protocols(),
		shelves: make(map[string]*shelf), filled: make(map[string][]string)}
}

// patience is how long a client may wait for an answer before another works in its
// place. Otherwise all would soon wait for what does not answer, and nobody would see
// the rest.
const patience = 500 * time.Millisecond

// Run makes the clients work until ctx ends, and waits for pending operations.
func (l *Load) Run(ctx context.Context) {
	places := make(chan struct{}, l.Working)
	var all sync.WaitGroup
	for number, c := range l.Clients {
		all.Go(func() {
			for {
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return
				}
				leave := sync.OnceFunc(func() { <-places })
				late := time.AfterFunc(patience, leave)
				l.work(context.WithoutCancel(ctx), number, c)
				wait(ctx, l.Pause)
				late.Stop()
				leave()
			}
		})
	}
	all.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Packages returns the packages that were used, oldest first.
func (l *Load) Packages() []Package {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.packages[:len(l.packages):len(l.packages)]
}

// recent is how many packages back the clients read.
const recent = 20

// take returns the package of a feed to use now. Changes use the same one, so that
// clients meet; half of the reads use others that have something, even while nothing
// can be stored.
func (l *Load) take(feed string, changes bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if earlier := l.filled[feed]; !changes && len(earlier) > 0 && rand.N(2) == 0 {
		return earlier[len(earlier)-1-rand.N(min(len(earlier), recent))]
	}
	s := l.shelves[feed]
	if s == nil || s.used >= maxUsed || s.open >= maxOpen {
		s = &shelf{name: fmt.Sprintf("lib%d", len(l.packages))}
		l.shelves[feed] = s
		l.packages = append(l.packages, Package{feed, s.name})
	}
	s.used++
	if changes {
		s.open++
	}
	return s.name
}

// report adds an operation to the history.
func (l *Load) report(o history.Operation) {
	l.mu.Lock()
	if s := l.shelves[o.Feed]; s != nil && s.name == o.Package && o.Kind.Changes() {
		if o.Outcome != history.Failed && o.Outcome != history.Wrong {
			s.open--
		}
		if stored := o.Kind == history.Push || o.Kind == history.Put; stored && o.Outcome == history.OK && !s.filled {
			s.filled = true
			l.filled[o.Feed] = append(l.filled[o.Feed], s.name)
		}
	}
	l.mu.Unlock()
	l.History.Add(o)
}

// weights are the relative frequencies of the operations.
var weights = []struct {
	kind  history.Kind
	share int
}{{history.Push, 30}, {history.Read, 30}, {history.List, 20}, {history.Delete, 8}, {history.Unlist, 4}, {history.Tag, 4}, {history.Search, 3}, {history.SignIn, 1}}

func choose() history.Kind {
	n := rand.N(100)
	for _, w := range weights {
		if n -= w.share; n < 0 {
			return w.kind
		}
	}
	return history.List
}

// versions is small, so that clients meet.
const versions = 5

// work does one operation.
func (l *Load) work(ctx context.Context, number int, c *Client) {
	p := &l.protocols[rand.N(len(l.protocols))]
	o := history.Operation{Client: number, Feed: p.feed, Kind: choose(), Key: fmt.Sprintf("1.%d.0", rand.N(versions))}
	l.perform(ctx, c, p, &o, func() string { return l.take(p.feed, o.Kind.Changes()) })
	l.report(o)
}

// perform requests an operation, or a list if the feed's type has no such operation,
// and records the result in o.
func (l *Load) perform(ctx context.Context, c *Client, p *protocol, o *history.Operation, name func() string) {
	ask, ok := l.request(c, p, o)
	if !ok {
		o.Kind = history.List
		ask, _ = l.request(c, p, o)
	}
	switch o.Kind {
	case history.SignIn:
		o.Feed, o.Key = "", ""
	case history.Search, history.List:
		o.Package, o.Key = name(), ""
	default:
		o.Package = name()
	}
	o.Call = l.History.Now()
	a := ask(ctx)
	o.Return = l.History.Now()
	o.Status, o.Outcome, o.By = a.status, a.outcome(), a.header.Get(ServedBy)
	if o.Outcome == history.OK || o.Outcome == history.Stale {
		return
	}
	o.Message = a.message()
	if o.Outcome == history.Missing && slices.Contains([]history.Kind{history.Push, history.Put, history.Search, history.SignIn}, o.Kind) ||
		o.Outcome == history.Conflict && o.Kind != history.Push {
		o.Outcome = history.Wrong
	}
}

// request returns a function that requests an operation.
func (l *Load) request(c *Client, p *protocol, o *history.Operation) (ask func(ctx context.Context) answer, ok bool) {
	switch o.Kind {
	case history.Push:
		if p.overwrites {
			o.Kind = history.Put
		}
		return func(ctx context.Context) (a answer) {
			o.Value.Digest, a = p.push(ctx, c, o.Package, o.Key)
			return a
		}, true
	case history.Read:
		return func(ctx context.Context) answer {
			a := p.read(ctx, c, o.Package, o.Key)
			if a.status == http.StatusOK {
				o.Value.Digest = digestOf(a.body)
			}
			return a
		}, true
	case history.Delete:
		if p.forgives {
			o.Kind = history.Remove
		}
		return func(ctx context.Context) answer { return p.remove(ctx, c, o.Package, o.Key) }, true
	case history.Unlist:
		return func(ctx context.Context) answer { return p.unlist(ctx, c, o.Package, o.Key) }, p.unlist != nil
	case history.Tag:
		return func(ctx context.Context) answer {
			o.Value.Digest, o.Key = o.Key, history.TagPrefix+"beta"
			return p.tag(ctx, c, o.Package, "beta", o.Value.Digest)
		}, p.tag != nil
	case history.Search:
		return func(ctx context.Context) (a answer) {
			o.Found, a = p.search(ctx, c, o.Package)
			return a
		}, p.search != nil
	case history.SignIn:
		return c.signIn, true
	}
	return func(ctx context.Context) answer {
		l, a := p.list(ctx, c, o.Package)
		o.Seen, o.Twice = l.sort()
		return a
	}, true
}

// sort returns what a list has, and what it has twice.
func (l listing) sort() (seen map[string]history.Entry, twice []string) {
	seen = make(map[string]history.Entry)
	for _, i := range l {
		if _, again := seen[i.key]; again {
			twice = append(twice, i.key)
		}
		seen[i.key] = i.Entry
	}
	return seen, twice
}
