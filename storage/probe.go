package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
)

// ErrNotShared means that another server's probe is missing from this server's storage,
// or differs from what was written: the two servers use different storages.
var ErrNotShared = errors.New("storage is not shared")

// A Probe is a small object with which servers find out whether they share their
// storage: each writes one, publishes it to the others through the database, and looks
// for theirs.
type Probe struct {
	Key   string
	Value string
}

// NewProbe writes a new probe for node. The caller, when it has published it, removes
// the one it replaces with [Store.Delete].
func (s *Store) NewProbe(ctx context.Context, node string) (Probe, error) {
	p := Probe{Key: newProbeKey(node), Value: newID()}
	src, err := newSource(strings.NewReader(p.Value), &PutOptions{})
	if err != nil {
		return Probe{}, err
	}
	if err := s.write(ctx, p.Key, src, "text/plain"); err != nil {
		return Probe{}, fmt.Errorf("write probe: %w", err)
	}
	return p, nil
}

// CheckProbe returns nil if p is in storage as it was written, [ErrNotShared] if not,
// and another error if it cannot tell.
func (s *Store) CheckProbe(ctx context.Context, p Probe) error {
	r, err := s.Open(ctx, p.Key)
	if errors.Is(err, proget.ErrNotFound) {
		return fmt.Errorf("%w: probe %s is missing", ErrNotShared, p.Key)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	value, err := io.ReadAll(io.LimitReader(r, int64(len(p.Value))+1))
	if err != nil {
		return err
	}
	if string(value) != p.Value {
		return fmt.Errorf("%w: probe %s has another value", ErrNotShared, p.Key)
	}
	return nil
}

// CheckWritable writes, reads and deletes a probe for node, and returns the first
// error.
func (s *Store) CheckWritable(ctx context.Context, node string) error {
	p, err := s.NewProbe(ctx, node)
	if err != nil {
		return err
	}
	if err := s.CheckProbe(ctx, p); err != nil {
		_ = s.Discard(ctx, p.Key)
		return err
	}
	return s.Delete(ctx, p.Key)
}

// Clock returns the time of the storage's clock, from which objects get their ModTime.
// It writes and discards an object to find out.
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	p, err := s.NewProbe(ctx, "clock")
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = s.Discard(ctx, p.Key) }()
	r, err := s.Open(ctx, p.Key)
	if err != nil {
		return time.Time{}, err
	}
	defer r.Close()
	return r.ModTime(), nil
}
