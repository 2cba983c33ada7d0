package storage

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/proget-go/ha/proget"
)

// A Set holds the storages of an installation by their ids in the database. Id 0 is the
// storage with which servers are started. The set opens the others when they are first
// needed, without creating missing folders, and keeps them open. It is safe for
// concurrent use.
type Set struct {
	main  *Store
	urlOf func(ctx context.Context, id int64) (string, error)

	mu      sync.Mutex
	closed  bool
	members map[int64]*member
}

// A member is a storage that is open or being opened. If opening fails, it is removed.
type member struct {
	cancel context.CancelFunc // of the opening
	done   chan struct{}      // closed when store and err are set
	store  *Store
	err    error
}

var errSetClosed = errors.New("the storages of this server are closed")

// NewSet returns a set of main, which the set does not close, and of the storages whose
// URLs urlOf returns. A nil urlOf means that there are none. The URL of an id must
// never change.
func NewSet(main *Store, urlOf func(ctx context.Context, id int64) (string, error)) *Set {
	return &Set{main: main, urlOf: urlOf, members: make(map[int64]*member)}
}

// Store returns the storage with the given id. While that is being opened, perhaps on a
// server that does not answer, Store waits until ctx ends and then returns a
// proget.ErrUnavailable.
func (s *Set) Store(ctx context.Context, id int64) (*Store, error) {
	if id == 0 {
		return s.main, nil
	}
	if s.urlOf == nil {
		return nil, fmt.Errorf("there is no storage %d", id)
	}
	m, err := s.member(ctx, id)
	if err != nil {
		return nil, err
	}
	select {
	case <-m.done:
		return m.store, m.err
	case <-ctx.Done():
		return nil, proget.WrapError(proget.ErrUnavailable, fmt.Errorf("open storage %d: %w", id, context.Cause(ctx)), unreachable)
	}
}

// member returns the storage with the given id, and starts to open it if nobody has. It
// does so once for all callers, so the end of one's ctx does not stop it.
func (s *Set) member(ctx context.Context, id int64) (*member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSetClosed
	}
	m := s.members[id]
	if m == nil {
		m = &member{done: make(chan struct{})}
		ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.members[id] = m
		go s.settle(ctx, id, m)
	}
	return m, nil
}

// settle opens a storage and wakes those who wait for it.
func (s *Set) settle(ctx context.Context, id int64, m *member) {
	defer m.cancel()
	st, err := s.open(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.closed {
		st, err = nil, errors.Join(errSetClosed, st.Close())
	}
	if err != nil {
		delete(s.members, id) // the next call tries again
	}
	m.store, m.err = st, err
	close(m.done)
}

func (s *Set) open(ctx context.Context, id int64) (*Store, error) {
	bucketURL, err := s.urlOf(ctx, id)
	if err != nil {
		return nil, err
	}
	st, err := s.main.OpenKnown(ctx, bucketURL)
	if err != nil {
		return nil, s.main.wrapWrite(ctx, err, "open storage "+strconv.FormatInt(id, 10))
	}
	return st, nil
}

// Close closes the storages that the set has opened; it opens no more. It does not wait
// for one that is being opened, since a program cannot end a call to a file server that
// hangs; the set closes such a storage as soon as it is open.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for id, m := range s.members {
		m.cancel()
		if m.store != nil {
			errs = append(errs, m.store.Close())
		}
		delete(s.members, id)
	}
	return errors.Join(errs...)
}
