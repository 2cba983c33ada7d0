package storage

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage/share"
)

// Open opens the bucket at bucketURL:
//
//   - file:///srv/packages: a folder, preferably one that several machines mount. Open
//     creates it if its parent exists, unless opts.Existing is set. On Windows, use
//     file:///D:/packages, or file://server/share/packages for a UNC path.
//   - mem: or mem://: memory, for tests and trials.
//   - s3://bucket?region=eu-west-1, azblob://container, gs://bucket: an object store,
//     if opts.Services has its service. With &prefix=folder/, the store uses only that
//     part of the bucket. Open checks that the bucket exists.
//
// For any other gocloud bucket, use [New] or write a [Service].
//
// Open returns a proget.ErrInvalid for a URL that can never work.
func Open(ctx context.Context, bucketURL string, opts *Options) (*Store, error) {
	s, err := open(ctx, bucketURL, opts)
	if err != nil {
		return nil, err
	}
	s.place = PlaceOf(bucketURL)
	return s, nil
}

func open(ctx context.Context, bucketURL string, opts *Options) (*Store, error) {
	var services []Service
	if opts != nil {
		services = opts.Services
	}
	u, err := url.Parse(bucketURL)
	if err != nil {
		return nil, proget.Errorf(proget.ErrInvalid, "this is not a URL; use %s", accepted(services))
	}
	for _, service := range services {
		if service.Scheme == u.Scheme && service.Open == nil {
			return nil, fmt.Errorf("the storage service for %s: has no Open", u.Scheme)
		}
		if service.Scheme == u.Scheme {
			return openService(ctx, service, u, opts)
		}
	}
	bucket, err := openPlain(u, services, opts != nil && opts.Existing)
	if err != nil {
		return nil, fmt.Errorf("open storage: %w", err)
	}
	return New(bucket, opts), nil
}

// OpenAnother opens the storage at bucketURL with the options of s, except that it
// creates a missing folder if the parent exists.
func (s *Store) OpenAnother(ctx context.Context, bucketURL string) (*Store, error) {
	opts := s.opts
	opts.Existing = false
	return Open(ctx, bucketURL, &opts)
}

// OpenKnown is like OpenAnother for a storage that has been in use: it does not create
// a missing folder.
func (s *Store) OpenKnown(ctx context.Context, bucketURL string) (*Store, error) {
	opts := s.opts
	opts.Existing = true
	return Open(ctx, bucketURL, &opts)
}

// OpenFolder opens the folder dir as Open does for its file URL. A relative dir is
// relative to the working directory. An empty dir is a proget.ErrInvalid.
func OpenFolder(dir string, opts *Options) (*Store, error) {
	if dir == "" {
		return nil, proget.Errorf(proget.ErrInvalid, "The name of the folder is missing.")
	}
	bucket, err := share.OpenBucket(dir)
	if err != nil {
		return nil, fmt.Errorf("open storage: %w", err)
	}
	s := New(bucket, opts)
	s.place = placeOfFolder(dir)
	return s, nil
}

// openPlain opens a bucket that needs no service.
func openPlain(u *url.URL, services []Service, existing bool) (*blob.Bucket, error) {
	switch u.Scheme {
	case "file":
		dir, err := folderOf(u, runtime.GOOS == "windows")
		if err != nil {
			return nil, err
		}
		if existing {
			return share.OpenExisting(dir)
		}
		return share.OpenBucket(dir)
	case "mem":
		if strings.TrimRight(u.String(), "/") != "mem:" {
			return nil, proget.Errorf(proget.ErrInvalid, "%q: write mem: with nothing after it", u.Redacted())
		}
		// The MD5 that memblob would compute is of no use here.
		return memblob.OpenBucket(&memblob.Options{NoMD5: true}), nil
	}
	if name := map[string]string{"s3": "s3", "azblob": "azure", "gs": "gcs"}[u.Scheme]; name != "" {
		return nil, proget.Errorf(proget.ErrInvalid, "%q: this program cannot open such URLs; its developer can add the service of package storage/%s to Options.Services", u.Scheme+":", name)
	}
	if u.Scheme == "" && strings.HasPrefix(u.Path, "/") && u.Host == "" {
		return nil, proget.Errorf(proget.ErrInvalid, "%q is a path: write it as a URL, %s", u.Path, "file://"+u.EscapedPath())
	}
	return nil, proget.Errorf(proget.ErrInvalid, "%q: there is no driver for such a URL; use %s", u.Scheme+":", accepted(services))
}

// accepted lists the forms of URLs that this program understands, for messages. It
// leaves out mem:, which keeps nothing.
func accepted(services []Service) string {
	forms := []string{"file:///folder"}
	for _, s := range services {
		forms = append(forms, s.Form)
	}
	return strings.Join(forms, " or ")
}

// folderOf returns the path that a file URL names.
func folderOf(u *url.URL, windows bool) (string, error) {
	path, local := u.Path, u.Host == "" || u.Host == "localhost"
	switch {
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", proget.Errorf(proget.ErrInvalid, "%q: a file URL has nothing but a path", u.Scheme+"://"+u.Host+u.Path)
	case u.Opaque != "" || path == "" || path == "/":
		return "", proget.Errorf(proget.ErrInvalid, "%q: write file:///folder with an absolute path", u.Redacted())
	case windows && !local:
		path = "//" + u.Host + path
	case windows:
		path = strings.TrimPrefix(path, "/") // "/D:/packages"
	case !local:
		return "", proget.Errorf(proget.ErrInvalid, "%q: mount the share and write file:///folder, with three slashes", u.Redacted())
	}
	return filepath.FromSlash(path), nil
}
