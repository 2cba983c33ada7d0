package asset

import (
	"cmp"
	"context"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// pageSize is how many items walk loads at once.
const pageSize = 100

// An entry is an item: a file or a folder.
type entry struct {
	path    path
	dir     bool
	version *proget.Version // nil for a folder without its own package
	first   *proget.Version // for such a folder: the first file in it
}

// find returns the item at a path, or proget.ErrNotFound.
func (h *handler) find(ctx context.Context, f *proget.Feed, p path) (entry, error) {
	v, err := h.version(ctx, f, p.key())
	if p != "" && err == nil {
		return entry{path: path(v.Name), version: v}, nil
	}
	if err != nil && !isNotFound(err) {
		return entry{}, err
	}
	e, found, err := h.folder(ctx, f, p)
	if err == nil && !found {
		err = proget.Errorf(proget.ErrNotFound, "There is no file or folder %q in %s.", p, f.Name)
	}
	return e, err
}

// version returns the version of the package with a key.
func (h *handler) version(ctx context.Context, f *proget.Feed, key string) (*proget.Version, error) {
	p, err := h.services.Packages.Package(ctx, f, key)
	if err != nil {
		return nil, err
	}
	return p.Version(fixedVersion)
}

// file returns a file, or an error that says why there is none.
func (h *handler) file(ctx context.Context, f *proget.Feed, p path) (*proget.Version, error) {
	if p != "" {
		v, err := h.version(ctx, f, p.key())
		if err == nil || !isNotFound(err) {
			return v, err
		}
	}
	_, found, err := h.folder(ctx, f, p)
	switch {
	case err != nil:
		return nil, err
	case found || p == "":
		return nil, isFolder(p)
	}
	return nil, proget.Errorf(proget.ErrNotFound, "There is no file %q in %s.", p, f.Name)
}

func isFolder(p path) error {
	return proget.Errorf(proget.ErrInvalid, "%q is a folder, not a file.", "/"+p)
}

// folder returns a folder, if it exists.
func (h *handler) folder(ctx context.Context, f *proget.Feed, p path) (e entry, found bool, err error) {
	e = entry{path: p, dir: true}
	e.version, err = h.version(ctx, f, strings.ToLower(p.folder()))
	if err == nil {
		e.path = path(strings.TrimSuffix(e.version.Name, "/"))
		return e, true, nil
	}
	if !isNotFound(err) {
		return e, false, err
	}
	page, err := h.services.Packages.List(ctx, f, p.folderKey(), 1)
	if err != nil || len(page) == 0 || !strings.HasPrefix(page[0].Key, p.folderKey()) {
		return e, false, err
	}
	e.first = page[0].Versions[0]
	e.path = path(strings.TrimSuffix(upTo(e.first.Name, strings.Count(p.folderKey(), "/")), "/"))
	return e, true, nil
}

// checkPlace returns an error if a path cannot be a file or, with dir, a folder. It is
// called before the client has sent the file; publication checks again.
func (h *handler) checkPlace(ctx context.Context, f *proget.Feed, p path, dir bool) error {
	if err := p.checkNew(); err != nil {
		return err
	}
	name := string(p)
	if dir {
		name = p.folder()
	}
	return fits(ctx, name, present{h, f})
}

// fits is feed.Type's Fits. It refuses a file in place of a folder and vice versa, and
// anything below a file.
func fits(ctx context.Context, name string, in feed.Present) error {
	p, dir := path(strings.TrimSuffix(name, "/")), strings.HasSuffix(name, "/")
	switch {
	case p == "" && dir:
		return nil
	case p == "":
		return isFolder(p)
	case dir:
		if there, err := in.Has(ctx, p.key()); err != nil || there {
			return cmp.Or(err, proget.Errorf(proget.ErrInvalid, "%q is a file, not a folder.", p))
		}
	default:
		if there, err := in.HasPrefix(ctx, p.folderKey()); err != nil || there {
			return cmp.Or(err, isFolder(p))
		}
	}
	for parent := range p.above {
		if there, err := in.Has(ctx, parent.key()); err != nil || there {
			return cmp.Or(err, proget.Errorf(proget.ErrInvalid, "%q is a file, so nothing can be below it.", parent))
		}
	}
	return nil
}

// present implements feed.Present outside a transaction.
type present struct {
	*handler
	feed *proget.Feed
}

func (p present) Has(ctx context.Context, key string) (bool, error) {
	_, err := p.version(ctx, p.feed, key)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (p present) HasPrefix(ctx context.Context, folderKey string) (bool, error) {
	_, found, err := p.folder(ctx, p.feed, path(strings.TrimSuffix(folderKey, "/")))
	return found, err
}

// walk calls visit for the contents of a folder, ordered by key. With recursive, the
// contents of each subfolder follow it. The folder itself is not visited.
func (h *handler) walk(ctx context.Context, f *proget.Feed, p path, recursive bool, visit func(entry) error) error {
	w := &walk{prefix: p.folderKey(), depth: strings.Count(p.folderKey(), "/"), recursive: recursive, visit: visit}
	for after := w.prefix; ; {
		page, err := h.services.Packages.List(ctx, f, after, pageSize)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for _, pkg := range page {
			if !strings.HasPrefix(pkg.Key, w.prefix) {
				return nil
			}
			if err := w.next(pkg); err != nil {
				return err
			}
		}
		after = w.resume(page[len(page)-1].Key)
	}
}

// A walk is the state of walking through the keys below a folder.
type walk struct {
	prefix    string // prefix of the keys
	depth     int    // number of slashes in prefix
	recursive bool
	visit     func(entry) error

	last   string // key
	skip   string // prefix of the keys to skip; "" for none
	leaped bool   // it has tried to leap over those keys
}

// beyond is greater than every character in a path, in UTF-8 and, where it matters, in
// UTF-16: see resume.
const beyond = "\U0010FFFF"

// resume returns the key after which the next page begins. It leaps over the keys to
// skip. A database that compares UTF-16 sorts some characters after beyond; walk pages
// through those.
func (w *walk) resume(key string) string {
	if w.skip != "" && !w.leaped && strings.HasPrefix(key, w.skip) {
		w.leaped = true
		return w.skip + beyond
	}
	return key
}

// next handles the next package. It first visits the package's folders that are new.
func (w *walk) next(pkg *feed.Package) error {
	key := pkg.Key
	defer func() { w.last = key }()
	if w.skip != "" && strings.HasPrefix(key, w.skip) {
		return nil
	}
	v := pkg.Versions[0]
	dirs := strings.Count(key[len(w.prefix):], "/")
	if !w.recursive {
		dirs = min(dirs, 1)
	}
	for i := range dirs {
		dirKey := upTo(key, w.depth+i+1)
		if strings.HasPrefix(w.last, dirKey) || dirKey == "/" {
			continue
		}
		e := entry{path: path(strings.TrimSuffix(upTo(v.Name, w.depth+i+1), "/")), dir: true, first: v}
		if key == dirKey {
			e.version = v
		}
		if err := w.visit(e); err != nil {
			return err
		}
		if !w.recursive {
			w.skip, w.leaped = dirKey, false
		}
	}
	if strings.HasSuffix(key, "/") || dirs > 0 && !w.recursive {
		return nil
	}
	return w.visit(entry{path: path(v.Name), version: v})
}

// upTo returns the part of a text up to its n-th slash.
func upTo(text string, n int) string {
	at := 0
	for range n {
		at += strings.IndexByte(text[at:], '/') + 1
	}
	return text[:at]
}
