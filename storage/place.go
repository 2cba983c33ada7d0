package storage

import (
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A Place tells where a store keeps its objects, as far as its URL says. The zero value
// overlaps no other: it stands for memory or a bucket that the program opened.
type Place struct {
	bucket string // of an object store, with its endpoint
	path   string // the folder, or the prefix in the bucket
}

// PlaceOf returns the place that a URL names, or the zero Place if [Open] refuses it.
func PlaceOf(bucketURL string) Place {
	u, err := url.Parse(bucketURL)
	if err != nil || u.Scheme == "mem" {
		return Place{}
	}
	if u.Scheme == "file" {
		dir, err := folderOf(u, runtime.GOOS == "windows")
		if err != nil {
			return Place{}
		}
		return placeOfFolder(dir)
	}
	prefix, u, err := cutPrefix(u)
	if err != nil {
		return Place{}
	}
	return Place{bucket: bucketOf(u), path: prefix}
}

func placeOfFolder(dir string) Place {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Place{}
	}
	return Place{path: dir}
}

// Place returns where the store keeps its objects.
func (s *Store) Place() Place { return s.place }

// Overlaps reports whether two places are equal or one lies inside the other, so that
// one store would find unknown objects among its own.
func (p Place) Overlaps(q Place) bool {
	switch {
	case p == Place{} || q == Place{} || p.bucket != q.bucket:
		return false
	case p.bucket != "":
		return strings.HasPrefix(p.path, q.path) || strings.HasPrefix(q.path, p.path)
	}
	a, b := resolve(p.path), resolve(q.path)
	return within(a, b) || within(b, a)
}

// bucketOf returns the parts of u that distinguish a bucket from those of the same name
// elsewhere. The other parameters say how to reach it.
func bucketOf(u *url.URL) string {
	query, where := u.Query(), u.Scheme+"://"+u.Host
	for _, name := range []string{"endpoint", "storage_account", "domain"} {
		if value := query.Get(name); value != "" {
			where += " " + strings.ToLower(strings.TrimRight(value, "/"))
		}
	}
	return where
}

// resolve follows the symbolic links in the part of path that exists.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolve(parent), filepath.Base(path))
}

// within reports whether dir is root or lies below it. It also asks the system, which
// may see one folder in names that differ in case, or in two mounts.
func within(dir, root string) bool {
	if dir == root || sameFile(dir, root) {
		return true
	}
	parent := filepath.Dir(dir)
	return parent != dir && within(parent, root)
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
