package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// folder keeps each office in a file, which changes by renaming another to it:
// whoever reads finds the old or the new one, whole, and so does whoever comes
// after a process that was killed.
type folder struct {
	path string
	lock chan struct{} // within this process; some systems' file locks are a process's
}

// A term is a file's content. It stays when it is over: its number counts.
type term struct {
	election.Lease
	Expires time.Time
}

func (t term) held() bool { return time.Now().Before(t.Expires) }

// newFolder uses a folder that is there: making it would turn a mistyped name,
// or a share that is not mounted, into an election of its own.
func newFolder(path string) (election.Driver, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", path)
	}
	return &folder{path, make(chan struct{}, 1)}, err
}

func (d *folder) file(office string) string {
	return filepath.Join(d.path, url.PathEscape(office)+".json")
}

func (d *folder) read(office string) (t term, err error) {
	text, err := os.ReadFile(d.file(office))
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}

// write is called under the lock.
func (d *folder) write(office string, t term) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	f, err := os.Create(d.file(office) + ".new") // left by a process that was killed, or made
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), d.file(office))
}

// change replaces an office's term while nobody else can. The kernel drops the
// lock of a process that is killed.
func (d *folder) change(ctx context.Context, office string, decide func(t *term) error) error {
	select {
	case d.lock <- struct{}{}:
		defer func() { <-d.lock }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l := flock.New(d.file(office) + ".lock")
	if _, err := l.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return fmt.Errorf("lock the office %s: %w", office, err)
	}
	defer l.Unlock()
	t, err := d.read(office)
	if err == nil {
		err = decide(&t)
	}
	if err == nil {
		err = d.write(office, t)
	}
	return err
}

func (d *folder) Acquire(ctx context.Context, c election.Candidacy) (l election.Lease, err error) {
	err = d.change(ctx, c.Office, func(t *term) error {
		if t.held() && t.Holder != c.Holder && t.Fence != c.Over {
			return election.ErrHeld
		}
		l = election.Lease{Office: c.Office, Holder: c.Holder, Address: c.Address, TTL: c.TTL,
			Fence: proget.Fence{Number: max(t.Fence.Number, c.Above) + 1, Term: rand.Text()}}
		*t = term{l, time.Now().Add(c.TTL)}
		return nil
	})
	return l, err
}

func (d *folder) Renew(ctx context.Context, l election.Lease) error {
	return d.change(ctx, l.Office, func(t *term) error {
		if !t.held() || t.Fence != l.Fence {
			return election.ErrLost
		}
		t.Expires = time.Now().Add(l.TTL)
		return nil
	})
}

func (d *folder) Release(ctx context.Context, l election.Lease) error {
	return d.change(ctx, l.Office, func(t *term) error {
		if t.Fence == l.Fence {
			t.Expires = time.Time{}
		}
		return nil
	})
}

func (d *folder) Current(_ context.Context, office string) (election.Lease, error) {
	t, err := d.read(office)
	if err != nil {
		return election.Lease{}, fmt.Errorf("read the office %s: %w", office, err)
	}
	if !t.held() {
		return election.Lease{}, election.ErrNone
	}
	t.TTL = time.Until(t.Expires)
	return t.Lease, nil
}
