package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/report"
)

// watch asks every node all the time how it is, and remembers who led when.
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
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		w.see(name, ask(ctx, client, url))
		select {
		case <-time.After(period):
		case <-ctx.Done():
		}
	}
	w.see(name, sight{})
}

func ask(ctx context.Context, client *http.Client, url string) sight {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health/ready", nil)
	if err != nil {
		return sight{}
	}
	resp, err := client.Do(req)
	if err != nil {
		return sight{}
	}
	defer resp.Body.Close()
	var answer struct{ Ready, Primary bool }
	_ = json.NewDecoder(resp.Body).Decode(&answer) // what cannot be read is not ready
	return sight{answer.Ready, answer.Primary}
}

func (w *watch) see(name string, s sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.nodes[name]
	if s == was {
		return
	}
	w.nodes[name] = s
	switch {
	case s.primary && !was.primary:
		w.leads = append(w.leads, report.Lead{Node: name, From: w.now()})
	case !s.primary && was.primary:
		for i := range w.leads {
			if l := &w.leads[i]; l.Node == name && l.To == 0 {
				l.To = w.now()
			}
		}
	}
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

// history returns who led when; whoever leads now does so until now.
func (w *watch) history() []report.Lead {
	w.mu.Lock()
	defer w.mu.Unlock()
	leads := append([]report.Lead(nil), w.leads...)
	for i := range leads {
		if leads[i].To == 0 {
			leads[i].To = w.now()
		}
	}
	return leads
}
