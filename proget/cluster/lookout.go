package cluster

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/proget-go/ha/storage"
)

// lookTimeout ends a check of storage, if the storage obeys its context.
const lookTimeout = time.Minute

// A lookout checks storage independently of the heartbeats, because a hung file server
// can hold a call for minutes, whatever its context says. The zero value has no
// finding, so storage is not known to be the cluster's.
type lookout struct {
	mu     sync.Mutex
	newest finding
	looked bool          // newest has been set
	took   time.Duration // how long the newest check took
	void   storage.Probe // the probe that was forgotten
	began  time.Time     // when the running check began
	done   chan struct{} // closed when the check ends; nil if none is running
	cancel context.CancelFunc
}

// start begins a check, unless one is running.
func (l *lookout) start(ctx context.Context, look func(context.Context) finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done != nil {
		return
	}
	ctx, l.cancel = context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	l.began, l.done = time.Now(), make(chan struct{})
	go func() {
		f := look(ctx)
		l.end(f)
	}()
}

func (l *lookout) end(f finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel()
	if f.probe == l.void { // the probe was still there when the check began
		f.probe = storage.Probe{}
	}
	l.newest, l.looked, l.took = f, true, time.Since(l.began)
	close(l.done)
	l.done = nil
}

// forget ensures that no check reports a probe again, not even one that is running.
func (l *lookout) forget(p storage.Probe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.void = cmp.Or(p, l.void)
	if l.newest.probe == p {
		l.newest.probe = storage.Probe{}
	}
}

func (l *lookout) last() finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest
}

// found returns the newest finding. It waits up to patience for a running check. If
// storage was well but the check takes at least slow, the finding says that storage is
// slow.
func (l *lookout) found(patience, slow time.Duration) finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done := l.done; done != nil && patience > 0 {
		l.mu.Unlock()
		select {
		case <-done:
		case <-time.After(patience):
		}
		l.mu.Lock()
	}
	f, took := l.newest, l.took
	if l.done != nil {
		took = max(took, time.Since(l.began))
	}
	if !l.looked {
		f.trouble, f.foreign = storageUnchecked, true
	} else if f.trouble == "" && took >= slow {
		f.trouble = fmt.Sprintf(storageSlow, slow)
	}
	return f
}

// wait cancels a running check, and waits for its end as long as ctx allows.
func (l *lookout) wait(ctx context.Context) {
	l.mu.Lock()
	done, cancel := l.done, l.cancel
	l.mu.Unlock()
	if done == nil {
		return
	}
	cancel()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
