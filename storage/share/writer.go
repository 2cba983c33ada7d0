package share

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob/driver"
)

// tempPrefix begins the name of a file that is being written. It starts with a
// dot, as no key's element does.
const tempPrefix = ".tmp-"

// NewTypedWriter implements [driver.Bucket]. BeforeWrite's As gives the
// temporary [*os.File].
func (b *bucket) NewTypedWriter(ctx context.Context, key, _ string, opts *driver.WriterOptions) (driver.Writer, error) {
	if opts.IfNotExist {
		return nil, fmt.Errorf("IfNotExist: %w", errUnimplemented)
	}
	w, err := b.newWriter(ctx, key)
	if err != nil {
		return nil, err
	}
	if opts.BeforeWrite != nil {
		if err := opts.BeforeWrite(w.as); err != nil {
			w.abandon()
			return nil, err
		}
	}
	return w, nil
}

// writer writes an object to a temporary file in the folder of its final name,
// since a rename is one step only within a file system, and the handles that
// other NFS clients hold survive it for certain only within a folder.
type writer struct {
	b          *bucket
	ctx        context.Context // gocloud's contract: a canceled ctx aborts the write
	name, temp string
	folder     *os.Root // of the two, while something is done there
	f          *os.File
	written    int64
	err        error // of a write that failed, after which Close must not succeed
}

// newWriter begins an object.
func (b *bucket) newWriter(ctx context.Context, key string) (*writer, error) {
	name, err := fileName(key)
	if err != nil {
		return nil, err
	}
	w := &writer{b: b, ctx: ctx, name: name, temp: filepath.Join(filepath.Dir(name), tempPrefix+strings.ToLower(rand.Text()))}
	if err := w.create(); err != nil {
		return nil, err
	}
	return w, nil
}

// create opens the temporary file, after making the folder if it is missing, or may be
// that of another process, killed before the folder's name was durable.
func (w *writer) create() error {
	defer w.leave() // the share may be mounted anew while the bytes come: the name is for where it is then
	dir := filepath.Dir(w.name)
	return w.do(w.ctx, func() error {
		if w.b.isDurable(dir) {
			if err := w.createIn(); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			w.leave()
		}
		if err := w.b.in(func(root *os.Root) error { return w.b.makeFolders(root, dir) }); err != nil {
			return err
		}
		return w.createIn()
	})
}

func (w *writer) createIn() (err error) {
	if err := w.b.step("create", w.temp); err != nil {
		return err
	}
	if err := w.enter(); err != nil {
		return err
	}
	w.f, err = w.folder.OpenFile(filepath.Base(w.temp), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	return err
}

// do calls fn, again with a fresh handle of the folder if the error may pass by
// itself.
func (w *writer) do(ctx context.Context, fn func() error) error {
	return retry(ctx, w.b.wait, func() error {
		err := fn()
		if err != nil {
			w.leave()
		}
		return err
	})
}

// enter opens the folder, for all that is done there one after the other: finding
// the way to it takes as long as that.
func (w *writer) enter() error {
	if w.folder != nil {
		return nil
	}
	return w.b.in(func(root *os.Root) (err error) {
		w.folder, err = root.OpenRoot(filepath.Dir(w.name))
		return err
	})
}

func (w *writer) leave() {
	if w.folder != nil {
		_ = w.folder.Close()
		w.folder = nil
	}
}

// Write implements [driver.Writer].
func (w *writer) Write(p []byte) (n int, err error) {
	if w.err == nil {
		w.err = cmp.Or(w.ctx.Err(), w.b.step("write", w.temp))
	}
	if w.err == nil {
		n, w.err = w.f.Write(p)
		w.written += int64(n)
	}
	return n, w.err
}

// Close implements [driver.Writer]: it makes the object durable and visible, in
// that order, or removes what was written. If an error comes after the rename,
// the object may remain; it is complete, and its key is known to the caller
// alone.
func (w *writer) Close() error {
	defer w.leave()
	info, err := w.finish()
	if err != nil {
		w.abandon()
		return err
	}
	if err := w.do(w.ctx, func() error { return w.rename(info) }); err != nil {
		w.abandon()
		return err
	}
	return w.do(w.ctx, w.syncFolder)
}

// finish brings the bytes to the disk. NFS reports what it could not write at
// the sync or at the close.
func (w *writer) finish() (fs.FileInfo, error) {
	if err := cmp.Or(w.err, w.ctx.Err()); err != nil {
		return nil, err
	}
	if err := w.b.step("sync", w.temp); err != nil {
		return nil, err
	}
	if err := w.f.Sync(); err != nil {
		return nil, err
	}
	info, err := w.f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != w.written { // such as by a client that lost its server and opened the file anew
		return nil, &fs.PathError{Op: "sync", Path: w.temp, Err: io.ErrShortWrite}
	}
	return info, w.f.Close()
}

// rename gives the file its final name. When NFS loses the answer to a rename
// and asks again, the second answer is that the temporary file is missing; it
// then has the final name already.
func (w *writer) rename(written fs.FileInfo) error {
	if err := w.enter(); err != nil {
		return err
	}
	err := w.b.step("rename", w.name)
	if err == nil {
		err = w.folder.Rename(filepath.Base(w.temp), filepath.Base(w.name))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, serr := w.folder.Lstat(filepath.Base(w.name)); serr == nil && os.SameFile(info, written) {
		return nil
	}
	return err
}

// syncFolder makes the name durable.
func (w *writer) syncFolder() error {
	if err := w.enter(); err != nil {
		return err
	}
	return w.b.sync(w.folder, ".", filepath.Dir(w.name))
}

// abandon removes the temporary file, also after ctx was canceled. If that
// fails, a sweep removes it.
func (w *writer) abandon() {
	defer w.leave()
	_ = w.f.Close() // it may be closed already
	_ = w.do(context.WithoutCancel(w.ctx), func() error {
		if err := w.enter(); err != nil {
			return err
		}
		return w.folder.Remove(filepath.Base(w.temp))
	})
}

// as lets BeforeWrite see the temporary file.
func (w *writer) as(i any) bool {
	p, ok := i.(**os.File)
	if ok {
		*p = w.f
	}
	return ok
}

// makeFolders makes the folder dir and those above it that are missing, and
// makes the name of each durable, unless this process has done so.
func (b *bucket) makeFolders(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if err := b.makeFolders(root, filepath.Dir(dir)); err != nil {
		return err
	}
	err := root.Mkdir(dir, folderMode)
	if there := errors.Is(err, fs.ErrExist); there && b.isDurable(dir) {
		return nil
	} else if err != nil && !there {
		return err
	}
	if err := b.sync(root, filepath.Dir(dir), filepath.Dir(dir)); err != nil {
		return err
	}
	b.remember(dir)
	return nil
}

// maxDurable bounds what a process remembers of folders: some hundred bytes for each. To
// forget one costs a sync.
const maxDurable = 10_000

// isDurable reports whether this process knows that a folder's name, and those above,
// are on the disk.
func (b *bucket) isDurable(dir string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return dir == "." || b.durable[dir]
}

func (b *bucket) remember(dir string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.durable) == maxDurable {
		clear(b.durable)
	}
	b.durable[dir] = true
}

// sync makes the names in the folder dir of root durable, whose path in the
// bucket is named to tests.
func (b *bucket) sync(root *os.Root, dir, path string) error {
	if err := b.step("sync folder", path); err != nil {
		return err
	}
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncFolder(f)
}
