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

// Open opens the bucket that bucketURL names:
//
//   - file:///srv/packages: a folder, best one that several machines mount; it
//     is made if its parent exists. On Windows, file:///D:/packages, or
//     file://server/share/packages for a UNC path.
//   - mem: or mem://: memory, for tests and trials.
//   - s3://bucket, azblob://container and gs://bucket, if main imports package
//     s3, azure or gcs. With prefix=packages/ the store keeps to a part of the
//     bucket; the prefix must end in a slash.
//   - anything else goes to gocloud, if main imports its driver.
//
// A URL that can never work is proget.ErrInvalid.
func Open(ctx context.Context, bucketURL string, opts *Options) (*Store, error) {
	bucket, err := openBucket(ctx, bucketURL)
	if err != nil {
		return nil, fmt.Errorf("open storage: %w", err)
	}
	s := New(bucket, opts)
	if s.url, err = url.Parse(bucketURL); err == nil {
		s.service = services[s.url.Scheme]
	}
	return s, nil
}

// OpenFolder opens the folder dir, as Open does for its file URL; a relative
// path is one below the working directory.
func OpenFolder(dir string, opts *Options) (*Store, error) {
	bucket, err := share.OpenBucket(dir)
	if err != nil {
		return nil, fmt.Errorf("open storage: %w", err)
	}
	return New(bucket, opts), nil
}

func openBucket(ctx context.Context, bucketURL string) (*blob.Bucket, error) {
	u, err := url.Parse(bucketURL)
	if err != nil {
		return nil, proget.Errorf(proget.ErrInvalid, "this is no URL; use %s", accepted())
	}
	switch u.Scheme {
	case "file":
		dir, err := folderOf(u, runtime.GOOS == "windows")
		if err != nil {
			return nil, err
		}
		return share.OpenBucket(dir)
	case "mem":
		if strings.TrimRight(bucketURL, "/") != "mem:" {
			return nil, proget.Errorf(proget.ErrInvalid, "%q: write mem: with nothing after it", bucketURL)
		}
		// The MD5 that memblob would compute is of no use here.
		return memblob.OpenBucket(&memblob.Options{NoMD5: true}), nil
	}
	if !blob.DefaultURLMux().ValidBucketScheme(u.Scheme) {
		return nil, proget.Errorf(proget.ErrInvalid, "%q: there is no driver for such a URL; use %s", u.Redacted(), accepted())
	}
	if prefix := u.Query().Get("prefix"); prefix != "" && !strings.HasSuffix(prefix, "/") {
		return nil, proget.Errorf(proget.ErrInvalid, "%q: the prefix must end in a slash", u.Redacted())
	}
	return blob.OpenBucket(ctx, bucketURL)
}

// accepted names the URLs that this program understands.
func accepted() string {
	names := []string{"file:///folder", "mem:"}
	for _, scheme := range blob.DefaultURLMux().BucketSchemes() {
		if scheme != "file" && scheme != "mem" {
			names = append(names, scheme+"://…")
		}
	}
	return strings.Join(names, " or ")
}

// folderOf returns the path that a file URL names.
func folderOf(u *url.URL, windows bool) (string, error) {
	path, local := u.Path, u.Host == "" || u.Host == "localhost"
	switch {
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", proget.Errorf(proget.ErrInvalid, "%q: a file URL has nothing but a path", u.Redacted())
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
