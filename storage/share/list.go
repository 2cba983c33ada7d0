package share

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob/driver"
)

const defaultPageSize = 1000

// ListPaged implements [driver.Bucket]. A page's token is its last key. Each page reads
// only the folders that can hold one of its keys, so a walk over the bucket reads each
// folder once, and those at the border of two pages twice.
func (b *bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	if opts.BeforeList != nil {
		if err := opts.BeforeList(asNothing); err != nil {
			return nil, err
		}
	}
	var l *lister
	err := b.do(ctx, func(root *os.Root) error {
		l = newLister(b, root, opts)
		_, err := l.folder(ctx, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return &l.page, nil
}

// lister walks the folders in the order of keys.
type lister struct {
	b                 *bucket
	root              *os.Root
	prefix, delimiter string
	limit             int
	last              string // the last key listed, on this page or the one before
	skip              string // if last stands for all keys with a common prefix, that prefix
	page              driver.ListPage
}

func newLister(b *bucket, root *os.Root, opts *driver.ListOptions) *lister {
	l := &lister{b: b, root: root, prefix: opts.Prefix, delimiter: opts.Delimiter, limit: opts.PageSize}
	if l.limit == 0 {
		l.limit = defaultPageSize
	}
	l.last = string(opts.PageToken)
	if l.last != "" && l.collapse(l.last) != "" {
		l.skip = l.last
	}
	return l
}

// collapse returns the beginning of key up to the first delimiter after the
// prefix, or "" if there is none.
func (l *lister) collapse(key string) string {
	if l.delimiter == "" || !strings.HasPrefix(key, l.prefix) {
		return ""
	}
	i := strings.Index(key[len(l.prefix):], l.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(l.prefix)+i+len(l.delimiter)]
}

// folder lists what is below the folder dir, which is "" or ends in a slash. It
// reports whether the page is full.
func (l *lister) folder(ctx context.Context, dir string) (full bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	keys, err := l.read(dir)
	if err != nil {
		return false, err
	}
	for _, key := range keys {
		switch {
		case !strings.HasSuffix(key, "/"):
			full, err = l.file(key)
		case l.wants(key):
			full, err = l.folder(ctx, key)
		}
		if full || err != nil {
			return full, err
		}
	}
	return false, nil
}

// read returns the keys in the folder dir, sorted; those of folders end in a slash, so
// that they sort like the keys below them. A missing folder is empty.
func (l *lister) read(dir string) ([]string, error) {
	if err := l.b.step("list", dir); err != nil {
		return nil, err
	}
	f, err := l.root.Open(filepath.FromSlash(dir + "."))
	if errors.Is(err, fs.ErrNotExist) && dir != "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, entry := range entries {
		if key := entryKey(dir, entry); key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// entryKey returns the key of a folder's entry, or "" if it is neither a folder
// nor an object.
func entryKey(dir string, entry fs.DirEntry) string {
	switch {
	case badName(entry.Name()) != "":
		return ""
	case entry.IsDir():
		return dir + entry.Name() + "/"
	case entry.Type().IsRegular():
		return dir + entry.Name()
	}
	return ""
}

// wants reports whether a key below the folder dir can be on this page.
func (l *lister) wants(dir string) bool {
	switch {
	case !strings.HasPrefix(dir, l.prefix) && !strings.HasPrefix(l.prefix, dir):
		return false
	case l.skip != "" && strings.HasPrefix(dir, l.skip):
		return false
	}
	return dir > l.last || strings.HasPrefix(l.last, dir)
}

// file adds an object to the page, or the common prefix that stands for it.
func (l *lister) file(key string) (full bool, err error) {
	if !strings.HasPrefix(key, l.prefix) || key <= l.last || l.skip != "" && strings.HasPrefix(key, l.skip) {
		return false, nil
	}
	object := &driver.ListObject{Key: l.collapse(key), IsDir: true}
	if object.Key == "" {
		object, err = l.stat(key)
	}
	if object == nil || err != nil {
		return false, err
	}
	if len(l.page.Objects) == l.limit {
		l.page.NextPageToken = []byte(l.last)
		return true, nil
	}
	l.add(object)
	return false, nil
}

func (l *lister) add(object *driver.ListObject) {
	l.page.Objects = append(l.page.Objects, object)
	l.last, l.skip = object.Key, ""
	if object.IsDir {
		l.skip = object.Key
	}
}

// stat describes an object, or returns nil if it has just been deleted.
func (l *lister) stat(key string) (*driver.ListObject, error) {
	info, err := l.root.Lstat(filepath.FromSlash(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &driver.ListObject{Key: key, ModTime: info.ModTime(), Size: info.Size()}, nil
}
