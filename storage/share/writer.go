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

// writer writes an object to a temporary file in the folder of its final name, since a
// rename is atomic only within a file system, and the handles of other NFS clients are
// certain to survive it only within a folder.
type writer struct {
	b          *bucket
	ctx        context.Context // gocloud's contract: a canceled ctx aborts the write
	name, temp string
	folder     *os.Root // the folder of both, while in use
	f          *os.File
	written    int64
	err        error // error of a failed write, after which Close must not succeed
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

// create opens the temporary file. It first makes the folder if that is missing, or
// syncs its name if another process may have been killed before it did so.
func (w *writer) create() error {
	defer w.leave() // the share may be remounted during the upload, and the final name belongs to the new mount
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

// do calls fn, and again with a fresh handle of the folder after a transient error.
func (w *writer) do(ctx context.Context, fn func() error) error {
	return retry(ctx, w.b.wait, func() error {
		err := fn()
		if err != nil {
			w.leave()
		}
		return err
	})
}

// enter opens the folder once for several consecutive operations, since finding the way
// to it takes as long as one of them.
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

// Close implements [driver.Writer]. It makes the object durable and then visible, or
// removes what was written. If an error occurs after the rename, the object may remain;
// it is complete, and only the caller knows its key.
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

// finish syncs and closes the file. NFS reports what it could not write at either.
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
	if info.Size() != w.written { // for example because a client lost its server and reopened the file
		return nil, &fs.PathError{Op: "sync", Path: w.temp, Err: io.ErrShortWrite}
	}
	return info, w.f.Close()
}

// rename gives the file its final name. When NFS loses the answer to a rename and asks
// again, the second answer is that the temporary file is missing; the file then has its
// final name already.
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

// abandon removes the temporary file, even after ctx was canceled. If that fails, a
// sweep will remove it.
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

// as gives BeforeWrite the temporary file.
func (w *writer) as(i any) bool {
	p, ok := i.(**os.File)
	if ok {
		*p = w.f
	}
	return ok
}

// makeFolders creates dir and its missing parents, and makes the name of each durable
// unless this process has done so.
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

// maxDurable limits the number of folders that a process remembers, at some hundred
// bytes each. Forgetting one costs a sync.
const maxDurable = 10_000

// isDurable reports whether this process knows that the names of a folder and of its
// parents are on the disk.
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

// sync makes the names in the folder dir of root durable. path is its path in the
// bucket, for tests.
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
