package storage

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"golang.org/x/sync/singleflight"
)

// A Set is the storages of an installation by the ids that its database gives
// them. Id 0 is the one that servers are started with; the others are opened
// when they are first needed, and stay open; a folder that is missing then is not made. It is safe for concurrent use.
type Set struct {
	main    *Store
	urlOf   func(ctx context.Context, id int64) (string, error)
	opening singleflight.Group

	mu     sync.Mutex
	opened map[int64]*Store
}

// NewSet returns a set of main, which it does not close, and of the storages
// whose URLs urlOf knows; nil if there are none. The URL of an id never changes.
func NewSet(main *Store, urlOf func(ctx context.Context, id int64) (string, error)) *Set {
	return &Set{main: main, urlOf: urlOf, opened: make(map[int64]*Store)}
}

// Store returns the storage of an id.
func (s *Set) Store(ctx context.Context, id int64) (*Store, error) {
	if id == 0 {
		return s.main, nil
	}
	s.mu.Lock()
	st := s.opened[id]
	s.mu.Unlock()
	if st != nil {
		return st, nil
	}
	if s.urlOf == nil {
		return nil, fmt.Errorf("there is no storage %d", id)
	}
	opened, err, _ := s.opening.Do(strconv.FormatInt(id, 10), func() (any, error) {
		return s.open(context.WithoutCancel(ctx), id) // for all who wait for it
	})
	if err != nil {
		return nil, err
	}
	return opened.(*Store), nil
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.opened[id]; first != nil { // by a call that ended just before this one began
		return first, st.Close()
	}
	s.opened[id] = st
	return st, nil
}

// Close closes the storages that the set has opened.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for id, st := range s.opened {
		errs = append(errs, st.Close())
		delete(s.opened, id)
	}
	return errors.Join(errs...)
}
