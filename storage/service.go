package storage

import (
	"context"
	"errors"
	"mime"
	"net/url"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// A Service is what one kind of object store can do beside what gocloud offers
// for all of them. The packages s3, azure and gcs register theirs; main imports
// those it wants, so that nobody else links a vendor's SDK.
type Service struct {
	// Uploads says that the bucket's driver reads an upload by itself, and removes
	// what it has sent when that fails.
	Uploads bool

	// SignedURL is [Store.SignedURL]. nil: the bucket's own, by which the client
	// learns neither a file's name nor its type.
	SignedURL func(ctx context.Context, b *blob.Bucket, key string, o SignedURLOptions) (string, error)

	// RemoveLeftovers ends uploads in parts that began longer ago than idle and
	// were neither finished nor given up; u is what the bucket was opened with.
	// nil: the service does that by itself.
	RemoveLeftovers func(ctx context.Context, b *blob.Bucket, u *url.URL, idle time.Duration) (removed int, err error)
}

// services are the kinds of object stores by URL scheme. They are registered by
// init functions only.
var services = make(map[string]*Service)

// Register makes a service known for the URLs with a scheme. It is for init
// functions.
func Register(scheme string, s Service) { services[scheme] = &s }

// SignedURLOptions say how a client may fetch an object by itself.
type SignedURLOptions struct {
	TTL         time.Duration // how long the URL is valid
	FileName    string        // under which a browser saves it; optional
	ContentType string        // optional
}

// Disposition is the Content-Disposition that goes with the options, or "".
func (o SignedURLOptions) Disposition() string {
	if o.FileName == "" {
		return ""
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": o.FileName})
}

// SignedURL returns a URL from which a client can fetch the object itself, or
// [ErrUnsupported]. It does not check that the object exists.
func (s *Store) SignedURL(ctx context.Context, key string, o SignedURLOptions) (*url.URL, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	sign := plainURL
	if s.service != nil && s.service.SignedURL != nil {
		sign = s.service.SignedURL
	}
	signed, err := sign(ctx, s.bucket, key, o)
	if errors.Is(err, ErrUnsupported) || gcerrors.Code(err) == gcerrors.Unimplemented {
		return nil, ErrUnsupported
	}
	if err != nil {
		return nil, wrap(ctx, err, "sign URL")
	}
	return url.Parse(signed)
}

func plainURL(ctx context.Context, b *blob.Bucket, key string, o SignedURLOptions) (string, error) {
	return b.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: o.TTL})
}
