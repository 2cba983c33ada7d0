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

// folder keeps each office in a file. To change it, folder writes another file and
// renames that, so that every reader finds the old or the new file, whole, even after a
// process was killed.
type folder struct {
	path string
	lock chan struct{} // within this process, since file locks belong to a process on some systems
}

// A term is a file's content. It remains when the term is over, because its number
// counts.
type term struct {
	election.Lease
	Expires time.Time
}

func (t term) held() bool { return time.Now().Before(t.Expires) }

// newFolder returns a driver for an existing folder. It does not create one, since a
// mistyped name or an unmounted share would then become a separate election.
func newFolder(path string) (election.Driver, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", path)
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

// write replaces the file of an office. The caller holds the lock.
func (d *folder) write(office string, t term) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	f, err := os.Create(d.file(office) + ".new") // creates it or truncates what a killed process has left
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), d.file(office))
}

// change changes an office's term under a lock that excludes everybody else. The kernel
// releases the lock of a process that is killed.
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
