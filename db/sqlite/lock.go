package sqlite

import (
	"fmt"
	"path/filepath"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"github.com/proget-go/ha/proget"
)

// fileLock is the engine's exclusive lock on a database file. Every process that has
// the database open with a write-ahead log always holds the shared lock, so none has it
// open while this lock is held. The file's content is not read, because it may be
// damaged.
type fileLock struct {
	tls     *libc.TLS
	db      uintptr // *sqlite3
	file    uintptr // *sqlite3_file
	methods *lib.Tsqlite3_io_methods
}

// lockFile locks a database. It returns proget.ErrConflict if the database is in use.
func lockFile(path string) (*fileLock, error) {
	l := &fileLock{tls: libc.NewTLS()}
	if err := l.open(path); err != nil {
		l.release()
		return nil, fmt.Errorf("lock the database %s: %w", path, err)
	}
	for _, level := range []int32{lib.SQLITE_LOCK_SHARED, lib.SQLITE_LOCK_EXCLUSIVE} {
		if rc := method(l.methods.FxLock)(l.tls, l.file, level); rc != lib.SQLITE_OK {
			l.release()
			return nil, proget.Errorf(proget.ErrConflict, "The database %s is in use: stop every server and every other command on it first.", path)
		}
	}
	return l, nil
}

func (l *fileLock) open(path string) error {
	out := l.tls.Alloc(int(unsafe.Sizeof(uintptr(0))))
	defer l.tls.Free(int(unsafe.Sizeof(uintptr(0))))
	texts := make([]uintptr, 2)
	for i, text := range []string{filepath.ToSlash(path), "main"} {
		var err error
		if texts[i], err = libc.CString(text); err != nil {
			return err
		}
		defer libc.Xfree(l.tls, texts[i])
	}
	rc := lib.Xsqlite3_open_v2(l.tls, texts[0], out, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_FULLMUTEX, 0)
	l.db = *at[uintptr](out)
	if rc != lib.SQLITE_OK {
		return fmt.Errorf("open: code %d", rc)
	}
	if rc := lib.Xsqlite3_file_control(l.tls, l.db, texts[1], lib.SQLITE_FCNTL_FILE_POINTER, out); rc != lib.SQLITE_OK {
		return fmt.Errorf("find the file: code %d", rc)
	}
	l.file = *at[uintptr](out)
	l.methods = at[lib.Tsqlite3_io_methods](at[lib.Tsqlite3_file](l.file).FpMethods)
	return nil
}

// method returns one of the engine's functions that lock and unlock.
func method(p uintptr) func(tls *libc.TLS, file uintptr, level int32) int32 {
	return *(*func(tls *libc.TLS, file uintptr, level int32) int32)(unsafe.Pointer(&struct{ uintptr }{p}))
}

// release ends the lock. Further calls do nothing.
func (l *fileLock) release() {
	if l.tls == nil {
		return
	}
	if l.methods != nil {
		_ = method(l.methods.FxUnlock)(l.tls, l.file, lib.SQLITE_LOCK_NONE)
	}
	_ = lib.Xsqlite3_close(l.tls, l.db) // does nothing for 0
	l.tls.Close()
	l.tls = nil
}
