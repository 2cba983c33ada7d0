package cluster

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/proget-go/ha/storage"
)

// lookTimeout ends a look at storage where storage heeds it.
const lookTimeout = time.Minute

// A lookout looks at storage beside the heartbeats: a file server that hangs can
// hold a call for minutes, and no context ends it. The zero value has found
// nothing out, which is that storage is not known to be the cluster's.
type lookout struct {
	mu     sync.Mutex
	newest finding
	looked bool          // there is a newest finding
	took   time.Duration // for the newest finding
	void   storage.Probe // the one that was forgotten
	began  time.Time     // the look under way
	done   chan struct{} // closed when it ends; nil if none is under way
	cancel context.CancelFunc
}

// start begins a look, unless one is under way.
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
	if f.probe == l.void { // it was there when the look began
		f.probe = storage.Probe{}
	}
	l.newest, l.looked, l.took = f, true, time.Since(l.began)
	close(l.done)
	l.done = nil
}

// forget has no look bring a probe again, not even one that is under way.
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

// found returns the newest finding, after a look under way if that ends soon
// enough. Storage that was well then and is slow now is in trouble.
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

// wait ends a look under way, and waits for it as long as ctx allows.
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
