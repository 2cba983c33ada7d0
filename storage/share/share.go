package share

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

const (
	folderMode = 0o750
	fileMode   = 0o640

	// contentType is the type of every object, since the folder does not store one.
	contentType = "application/octet-stream"
)

var (
	errRoot          = errors.New("storage folder is not accessible")
	errKey           = errors.New("invalid key")
	errUnimplemented = errors.New("not implemented by shared folders")
)

// OpenBucket opens the folder dir as a bucket. It creates dir if only its last element
// is missing. A missing parent is an error, because it more likely means a share that
// is not mounted than a wish for a deep new path on the local disk.
func OpenBucket(dir string) (*blob.Bucket, error) {
	b, err := open(dir)
	if err != nil {
		return nil, err
	}
	return blob.NewBucket(b), nil
}

// OpenExisting is like OpenBucket for a folder that has been in use. A missing folder
// is an error, since mounting the share would hide what is stored in a new one.
func OpenExisting(dir string) (*blob.Bucket, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("storage folder: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("storage folder: %s is not a folder", dir)
	}
	return OpenBucket(dir)
}

func open(dir string) (*bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("storage folder: %w", err)
	}
	if err := makeRoot(dir); err != nil {
		return nil, fmt.Errorf("storage folder: %w", err)
	}
	return &bucket{dir: dir, wait: wait, durable: make(map[string]bool)}, nil
}

// makeRoot creates dir if it is missing, and makes its name durable.
func makeRoot(dir string) error {
	err := os.Mkdir(dir, folderMode)
	if err == nil {
		return syncPath(filepath.Dir(dir))
	}
	info, serr := os.Stat(dir)
	if serr != nil {
		return err // the reason for the failure says more than that dir is missing
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	_ = syncPath(filepath.Dir(dir)) // another server may have made it and been killed; if this fails, none has made it
	return nil
}

func syncPath(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncFolder(f)
}

// bucket implements [driver.Bucket]. It holds no handle between calls: a handle
// of the root folder would go stale when the share is mounted again.
type bucket struct {
	dir string

	// before, if set, is called before each step that touches the disk, and may make it
	// fail. Only tests set it.
	before func(step, name string) error

	wait func(ctx context.Context, d time.Duration) error

	mu      sync.Mutex
	durable map[string]bool // folders whose names this process has synced
}

// step calls before, if set.
func (b *bucket) step(step, name string) error {
	if b.before == nil {
		return nil
	}
	return b.before(step, name)
}

// do calls fn with the root folder, and again with a fresh handle after a transient
// error. fn must be safe to run again.
func (b *bucket) do(ctx context.Context, fn func(root *os.Root) error) error {
	return retry(ctx, b.wait, func() error { return b.in(fn) })
}

// in calls fn with the root folder.
func (b *bucket) in(fn func(root *os.Root) error) error {
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return fmt.Errorf("%w: %w", errRoot, err)
	}
	defer root.Close()
	return fn(root)
}

// open opens the object's file for reading.
func (b *bucket) open(ctx context.Context, key string) (f *os.File, info fs.FileInfo, err error) {
	name, err := fileName(key)
	if err != nil {
		return nil, nil, err
	}
	err = b.do(ctx, func(root *os.Root) error {
		f, info, err = b.openIn(root, name)
		return err
	})
	return f, info, err
}

func (b *bucket) openIn(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	if err := b.step("open", name); err != nil {
		return nil, nil, err
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Attributes implements [driver.Bucket].
func (b *bucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	f, info, err := b.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return &driver.Attributes{
		ContentType: contentType,
		ModTime:     info.ModTime(),
		Size:        info.Size(),
		ETag:        fmt.Sprintf("%q", fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size())),
	}, nil
}

// Delete implements [driver.Bucket]. It leaves the folder, because removing it would
// race with a writer that has just found it. It syncs nothing, since the next garbage
// collection finds an object whose deletion a power cut undid.
func (b *bucket) Delete(ctx context.Context, key string, opts *driver.DeleteOptions) error {
	name, err := fileName(key)
	if err != nil {
		return err
	}
	if opts.BeforeDelete != nil {
		if err := opts.BeforeDelete(asNothing); err != nil {
			return err
		}
	}
	return b.do(ctx, func(root *os.Root) error {
		if err := b.step("remove", name); err != nil {
			return err
		}
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() { // a folder is no object
			return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
		}
		return root.Remove(name)
	})
}

// Copy implements [driver.Bucket].
func (b *bucket) Copy(context.Context, string, string, *driver.CopyOptions) error {
	return fmt.Errorf("copy: %w", errUnimplemented)
}

// SignedURL implements [driver.Bucket].
func (b *bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", fmt.Errorf("signed URL: %w", errUnimplemented)
}

// Close implements [driver.Bucket].
func (b *bucket) Close() error { return nil }

// As implements [driver.Bucket]; it knows [*Sweeper], [*Space] and [*Composer].
func (b *bucket) As(i any) bool {
	switch p := i.(type) {
	case *Sweeper:
		*p = b.sweep
	case *Space:
		*p = b.space
	case *Composer:
		*p = b.compose
	default:
		return false
	}
	return true
}

// ErrorAs implements [driver.Bucket]; it knows [**fs.PathError].
func (b *bucket) ErrorAs(err error, i any) bool {
	p, ok := i.(**fs.PathError)
	return ok && errors.As(err, p)
}

// ErrorCode implements [driver.Bucket].
func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, errKey):
		return gcerrors.InvalidArgument
	case errors.Is(err, errUnimplemented):
		return gcerrors.Unimplemented
	case errors.Is(err, fs.ErrNotExist), isNotFolder(err):
		return gcerrors.NotFound
	case isNoSpace(err):
		return gcerrors.ResourceExhausted
	case errors.Is(err, fs.ErrPermission):
		return gcerrors.PermissionDenied
	}
	return gcerrors.Unknown
}

// asNothing is an As function that knows no type.
func asNothing(any) bool { return false }
