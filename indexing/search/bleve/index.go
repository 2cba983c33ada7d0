// Package bleve keeps a search.Index in a folder of this process. It uses the library
// of that name for its segments, which never change once they are written, its
// dictionaries, and its copies of an index in use.
//
// Queries without text, type or tag are answered from a table in memory. The file
// find.go describes how others are.
//
// An index that is damaged, has another format or does not exist is begun anew; only
// its positions show this, which are 0 then. Whoever keeps it current fills it again.
package bleve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"

	"github.com/proget-go/ha/indexing/search"
)

// Format is the version of what this package writes. An index of another format is
// rebuilt, and a copy of another format is unusable.
const Format = "6"

// Folder is the name of the index below the folder that is passed to Open. A copy made
// by CopyTo may replace it while no process has it open.
const Folder = "search"

const (
	formatFile     = "format"
	metaFile       = "index_meta.json" // the library's
	positionPrefix = "position/"
	deleteBatch    = 1000
	writeTime      = 2 * time.Minute // maximum time for a batch
	closeTime      = 5 * time.Second
)

var _ search.Index = (*Index)(nil)

// An Index is an open index. Several goroutines may call its methods at once, but only
// one at a time may call Update and Reset.
type Index struct {
	path   string
	finder *finder

	life     sync.RWMutex // read-locked while text is in use
	text     bleve.Index  // nil if no new index could be created
	readOnly bool         // text was opened read-only, because the disk is
	closed   bool

	mu        sync.RWMutex // held only briefly
	table     table        // nil after Close
	positions map[int64]position
	moved     chan struct{}
}

// A position is the index's position in a feed's log, and the operation of the entry
// there.
type position struct {
	seq       int64
	operation string
}

func (p position) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(p.seq)), p.operation...)
}

func positionOf(value []byte) position {
	return position{int64(binary.BigEndian.Uint64(value)), string(value[8:])}
}

// Open opens the index in a folder that belongs to this process alone, or begins a new
// one if there is none that is usable. It fails only if another process uses the
// folder, something else is in the index's place, or the disk returns an error.
func Open(dir string) (*Index, error) {
	finder, err := newFinder()
	if err != nil {
		return nil, fmt.Errorf("open the search index: %w", err)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open the search index: %s is a file; a folder is needed", dir)
	}
	if err := removeOlder(dir); err != nil {
		return nil, err
	}
	x := &Index{path: filepath.Join(dir, Folder), finder: finder, moved: make(chan struct{})}
	err = x.open()
	if errors.Is(err, errInUse) {
		return nil, fmt.Errorf("open the search index: %s is in use, by another process or this one; give each node a folder of its own for its cache (in the reference server, a name of its own)", x.path)
	}
	if err != nil {
		if err := x.create(); err != nil {
			return nil, err
		}
	}
	return x, nil
}

var (
	errInUse  = errors.New("the search index is in use")
	errMoved  = errors.New("the feed is at another position")
	errClosed = errors.New("the search index is closed")
)

// lockTime limits the wait for a process that is about to end.
const lockTime = 2 * time.Second

// config returns the library's options for opening an index.
func config(readOnly bool) map[string]any {
	return map[string]any{"bolt_timeout": lockTime.String(), "asyncErrorCallbackName": pausing, "read_only": readOnly}
}

// open opens the existing index, if it appears to be intact.
func (x *Index) open() (err error) {
	defer recoverTo(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if err := check(x.path); err != nil {
		return err
	}
	text, err := bleve.OpenUsing(x.path, config(false))
	readOnly := isRefused(err)
	if readOnly {
		text, err = bleve.OpenUsing(x.path, config(true))
	}
	if err != nil {
		if strings.Contains(err.Error(), "timeout") {
			return errInUse
		}
		return err
	}
	if err := x.load(text); err != nil {
		return errors.Join(err, text.Close())
	}
	x.text, x.readOnly = text, readOnly
	return nil
}

// create begins a new index. It writes the format last, so that an incomplete index is
// not taken for one.
func (x *Index) create() error {
	if ours, err := owned(x.path); err != nil || !ours {
		return errors.Join(fmt.Errorf("open the search index: %s is not a search index; move it away, or give the node another folder", x.path), err)
	}
	if err := remove(x.path); err != nil {
		return fmt.Errorf("remove an unusable search index: %w", err)
	}
	text, err := bleve.NewUsing(x.path, bleve.NewIndexMapping(), scorch.Name, scorch.Name, config(false))
	if err == nil {
		err = writeFormat(x.path)
	}
	if isRefused(err) {
		err = fmt.Errorf("%w: %w", search.ErrUnwritable, err)
	}
	if err != nil {
		return fmt.Errorf("create the search index: %w", err)
	}
	x.text, x.readOnly = text, false
	x.replace(make(table), make(map[int64]position))
	return nil
}

func (x *Index) replace(t table, positions map[int64]position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.table, x.positions = t, positions
	x.announce()
}

// announce tells waiting callers that positions have changed.
func (x *Index) announce() {
	close(x.moved)
	x.moved = make(chan struct{})
}

// Close closes the index.
func (x *Index) Close() error {
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	x.mu.Lock()
	x.table = nil
	x.mu.Unlock()
	if x.text == nil {
		return nil
	}
	return x.text.Close()
}

// Position returns the index's position in a feed's log, and a channel that is closed
// when the position of any feed changes.
func (x *Index) Position(feed int64) (int64, <-chan struct{}) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.positions[feed].seq, x.moved
}

// Operation returns the operation at a feed's position, as given to Update.
func (x *Index) Operation(feed int64) string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.positions[feed].operation
}

// Search answers a query.
func (x *Index) Search(ctx context.Context, q search.Query) (hits search.Hits, err error) {
	q = q.Bounded()
	if strings.TrimSpace(q.Text) == "" && q.Type == "" && q.Tag == "" {
		return x.list(q)
	}
	err = x.use(func(text bleve.Index) error {
		snapshot, err := snapshot(text)
		if err != nil {
			return err
		}
		defer snapshot.Close()
		hits, err = x.finder.find(ctx, snapshot, q)
		return err
	})
	return hits, err
}

// list answers from the table, independently of the library.
func (x *Index) list(q search.Query) (search.Hits, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.table == nil {
		return search.Hits{}, errClosed
	}
	return x.table.page(q), nil
}

// Update applies changes of one feed and moves its position, both or neither.
func (x *Index) Update(_ context.Context, feed int64, changes []search.Change, from, to int64, operation string) error {
	return x.use(func(text bleve.Index) error {
		if seq, _ := x.Position(feed); seq != from {
			return errMoved
		}
		return x.write(text, feed, changes, position{to, operation})
	})
}

func (x *Index) write(text bleve.Index, feed int64, changes []search.Change, at position) error {
	if x.readOnly {
		return errReadOnly
	}
	batch := text.NewBatch()
	for _, c := range changes {
		if c.Document == nil {
			batch.Delete(feedPrefix(feed) + c.Key)
		} else if err := batch.IndexAdvanced(newDocument(feed, c.Document)); err != nil {
			return err
		}
	}
	batch.SetInternal(positionKey(feed), at.bytes())
	if err := within(writeTime, func() error { return text.Batch(batch) }); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range changes {
		x.table.set(feed, c.Key, c.Document)
	}
	x.positions[feed] = at
	x.announce()
	return nil
}

// Reset forgets a feed. It first resets its position: if it ends early, what is left is
// ignored.
func (x *Index) Reset(ctx context.Context, feed int64) error {
	x.mu.RLock()
	keys := x.table.keys(feed)
	_, known := x.positions[feed]
	x.mu.RUnlock()
	if !known {
		return nil
	}
	return x.use(func(text bleve.Index) error {
		if err := x.write(text, feed, nil, position{}); err != nil {
			return err
		}
		for some := range slices.Chunk(keys, deleteBatch) {
			changes := make([]search.Change, len(some))
			for i, key := range some {
				changes[i].Key = key
			}
			if err := errors.Join(ctx.Err(), x.write(text, feed, changes, position{})); err != nil {
				return err
			}
		}
		return x.forget(text, feed)
	})
}

func (x *Index) forget(text bleve.Index, feed int64) error {
	if err := text.DeleteInternal(positionKey(feed)); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.positions, feed)
	delete(x.table, feed)
	x.announce()
	return nil
}

func positionKey(feed int64) []byte {
	return []byte(positionPrefix + strconv.FormatInt(feed, 10))
}

// use calls work with the library's index. An error, unless the caller went away or the
// disk accepts no writes, means that the index can no longer be trusted: use replaces
// it by a new one.
func (x *Index) use(work func(text bleve.Index) error) error {
	text, err := x.attempt(work)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errClosed):
		return err
	case errors.Is(err, errMoved):
		return fmt.Errorf("%w: %w", search.ErrRebuilding, err)
	case isRefused(err):
		return errors.Join(fmt.Errorf("%w: %w", search.ErrUnwritable, err), x.reopen(text))
	}
	return errors.Join(fmt.Errorf("%w: %w", search.ErrRebuilding, err), x.discard(text))
}

func (x *Index) attempt(work func(text bleve.Index) error) (text bleve.Index, err error) {
	x.life.RLock()
	defer x.life.RUnlock()
	defer recoverTo(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	text = x.text // is known even if work panics
	if x.closed {
		return text, errClosed
	}
	if text == nil {
		return nil, errors.New("there is no index")
	}
	return text, work(text)
}

// recoverTo turns a panic into an error, because the library trusts what it reads from
// its files. If a file has become shorter since it was mapped into memory, reading it
// is a fault, which would end the process if it were not turned into a panic.
func recoverTo(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the search index is damaged: %v", r)
	}
}

// discard replaces a damaged index by a new one, unless another caller has already done
// so.
func (x *Index) discard(damaged bleve.Index) error {
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed || x.text != damaged {
		return nil
	}
	x.drop()
	x.replace(make(table), make(map[int64]position))
	return x.create()
}

// reopen returns to the state on the disk, unless another caller has already done so:
// the library keeps in memory what it could not write, and would continue to try.
func (x *Index) reopen(text bleve.Index) error {
	x.life.Lock()
	defer x.life.Unlock()
	if x.closed || x.text != text {
		return nil
	}
	x.drop()
	err := x.open()
	if err == nil {
		return nil
	}
	x.replace(make(table), make(map[int64]position))
	return errors.Join(err, x.create())
}

// drop closes the library's index, whatever its state.
func (x *Index) drop() {
	if x.text != nil {
		_ = closeDamaged(x.text)
		x.text = nil
	}
}

// closeDamaged closes an index that may be stuck, and does not wait forever. If it
// stays open, nobody uses it any longer: its files are removed.
func closeDamaged(text bleve.Index) error { return within(closeTime, text.Close) }

// within runs work that may panic, or wait forever for a background task of the library
// that panicked, and returns an error after limit.
func within(limit time.Duration, work func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recoverTo(&err)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // this is a setting of each goroutine
		err = work()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("the search index did not answer within %s", limit)
	}
}
