package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"github.com/proget-go/ha/db/driver"
)

// walIndex reads the header of the write-ahead log's index, which is memory shared by
// all processes that use the database. Its first 48 bytes differ after every commit of
// any of them, and are written before the commit returns: they contain a counter of
// transactions, the number of frames and the checksum of the last one. A copy of them
// follows, by which a reader notices a write in progress
// (https://sqlite.org/walformat.html, section 2.1).
//
// The memory belongs to the engine. A separate connection, which nobody else uses or
// closes, keeps it mapped: if we opened the file ourselves, closing it would release
// this process's locks (https://sqlite.org/howtocorrupt.html, section 2.2).
type walIndex struct {
	tls  *libc.TLS
	db   uintptr // *sqlite3
	head unsafe.Pointer

	mu     sync.RWMutex // the memory is valid until closed
	closed bool
}

// walVersion is the version of the index format that we know.
const walVersion = 3007000

// openWALIndex returns an error if the engine lacks what it needs: the store then asks
// the database instead.
func openWALIndex(path string) (*walIndex, error) {
	w := &walIndex{tls: libc.NewTLS()}
	if err := w.open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("see the index of the write-ahead log: %w", err), w.Close())
	}
	return w, nil
}

func (w *walIndex) open(path string) error {
	const word = int(unsafe.Sizeof(uintptr(0)))
	out := w.tls.Alloc(word)
	defer w.tls.Free(word)
	texts := make([]uintptr, 3)
	for i, text := range []string{filepath.ToSlash(path), "main", "PRAGMA query_only = 1; SELECT 1 FROM sqlite_schema"} {
		var err error
		if texts[i], err = libc.CString(text); err != nil {
			return err
		}
		defer libc.Xfree(w.tls, texts[i])
	}
	rc := lib.Xsqlite3_open_v2(w.tls, texts[0], out, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_FULLMUTEX, 0)
	w.db = *at[uintptr](out)
	if rc != lib.SQLITE_OK {
		return fmt.Errorf("open: code %d", rc)
	}
	_ = lib.Xsqlite3_busy_timeout(w.tls, w.db, 10000)
	if rc := lib.Xsqlite3_exec(w.tls, w.db, texts[2], 0, 0, 0); rc != lib.SQLITE_OK { // joins the index
		return fmt.Errorf("read: code %d", rc)
	}
	if rc := lib.Xsqlite3_file_control(w.tls, w.db, texts[1], lib.SQLITE_FCNTL_FILE_POINTER, out); rc != lib.SQLITE_OK {
		return fmt.Errorf("find the file: code %d", rc)
	}
	file := *at[uintptr](out)
	methods := at[lib.Tsqlite3_io_methods](at[lib.Tsqlite3_file](file).FpMethods)
	if methods.FiVersion < 2 || methods.FxShmMap == 0 {
		return errors.New("there is no shared memory")
	}
	shmMap := *(*func(tls *libc.TLS, file uintptr, region, size, extend int32, out uintptr) int32)(unsafe.Pointer(&struct{ uintptr }{methods.FxShmMap}))
	const region = 32 << 10 // the size that the engine itself asks for
	if rc := shmMap(w.tls, file, 0, region, 0, out); rc != lib.SQLITE_OK || *at[uintptr](out) == 0 {
		return fmt.Errorf("map: code %d", rc)
	}
	w.head = unsafe.Pointer(at[byte](*at[uintptr](out)))
	if version := atomic.LoadUint32((*uint32)(w.head)); version != walVersion {
		return fmt.Errorf("the index has version %d", version)
	}
	return nil
}

// at returns a pointer to the value at an address of the engine's memory, which is not
// Go's.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// Stamp implements driver.Pools.Stamp.
func (w *walIndex) Stamp() (s driver.Stamp, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return s, false
	}
	words := (*[2 * len(s)]uint64)(w.head)
	for i := range s {
		s[i] = atomic.LoadUint64(&words[i])
	}
	for i := range s {
		if atomic.LoadUint64(&words[len(s)+i]) != s[i] {
			return s, false
		}
	}
	return s, true
}

// Close implements io.Closer. Further calls do nothing.
func (w *walIndex) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	defer w.tls.Close()
	if rc := lib.Xsqlite3_close(w.tls, w.db); rc != lib.SQLITE_OK {
		return fmt.Errorf("close the database: code %d", rc)
	}
	return nil
}
