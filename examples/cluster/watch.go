package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/report"
)

// watch continually asks every node for its health, and records who led when.
type watch struct {
	now func() time.Duration

	mu     sync.Mutex
	nodes  map[string]sight
	leads  []report.Lead
	change chan struct{} // closed when something changes
}

// sight is how a node was when it was asked last.
type sight struct{ ready, primary bool }

// period is how long a node is left alone between two questions.
const period = 100 * time.Millisecond

func newWatch(now func() time.Duration) *watch {
	return &watch{now: now, nodes: make(map[string]sight), change: make(chan struct{})}
}

// node asks one node until ctx ends.
func (w *watch) node(ctx context.Context, name, url string) {
	defer http.DefaultClient.CloseIdleConnections()
	for ctx.Err() == nil {
		asked := w.now()
		h, _ := askHealth(ctx, url) // one that does not answer is neither
		w.see(name, asked, sight{h.Ready, h.Primary})
		select {
		case <-time.After(period):
		case <-ctx.Done():
		}
	}
	w.see(name, w.now(), sight{})
}

// see records a node's state as of a question at the time asked. The node led from its
// first answer that says so until the question of the last such answer, so two nodes
// that are seen to lead at once have really said so.
func (w *watch) see(name string, asked time.Duration, s sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.nodes[name]
	if s.primary {
		if !was.primary {
			w.leads = append(w.leads, report.Lead{Node: name, From: w.now()})
		}
		l := w.lead(name)
		l.To = max(l.From, asked)
	}
	if s == was {
		return
	}
	w.nodes[name] = s
	close(w.change)
	w.change = make(chan struct{})
}

// await waits until what was seen meets a condition.
func (w *watch) await(ctx context.Context, met func(nodes map[string]sight) bool) error {
	for {
		w.mu.Lock()
		ok, change := met(w.nodes), w.change
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// primary returns the node that leads, or "".
func (w *watch) primary() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, s := range w.nodes {
		if s.primary {
			return name
		}
	}
	return ""
}

// lead returns the last time for which a node led, or nil.
func (w *watch) lead(name string) *report.Lead {
	for i := range w.leads {
		if l := &w.leads[len(w.leads)-1-i]; l.Node == name {
			return l
		}
	}
	return nil
}

// ledUntil returns when a node was last seen to lead.
func (w *watch) ledUntil(name string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.lead(name); l != nil {
		return l.To
	}
	return 0
}

// otherLed returns since when a node other than name led, at or after a time.
func (w *watch) otherLed(name string, at time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.leads {
		if l.Node != name && l.To >= at {
			return l.From
		}
	}
	return at
}

// ready reports whether a node was when it was asked last.
func (w *watch) ready(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[name].ready
}

// history returns which nodes led, and when.
func (w *watch) history() []report.Lead {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.leads)
}
