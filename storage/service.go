package storage

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/proget"
)

// checkTimeout limits the check, at start, whether a bucket exists.
const checkTimeout = 30 * time.Second

// A Service is a kind of object store, such as those of packages storage/s3,
// storage/azure and storage/gcs. [Open] uses the one whose Scheme the URL has.
type Service struct {
	Scheme string // of its URLs
	Form   string // what its URLs look like, for messages

	// Credentials tells, in messages, where the service looks for credentials.
	Credentials string

	// Open opens the bucket at u, from which the prefix parameter has been removed. It
	// need not check that the bucket exists. It returns a [proget.ErrInvalid] for a URL
	// that can never work.
	Open func(ctx context.Context, u *url.URL) (*Bucket, error)
}

// A Bucket is gocloud's bucket with what gocloud's portable API lacks. A function is
// nil if the service cannot do that. A name is a key with the prefix before it.
type Bucket struct {
	*blob.Bucket

	// BeforeWrite adjusts the options of one upload; as gives access to the driver's
	// types.
	BeforeWrite func(opts Options, as func(any) bool) error

	// SignedURL returns a URL, valid for ttl, whose response has the headers that opts
	// describe.
	SignedURL func(ctx context.Context, name string, ttl time.Duration, opts SignedURLOptions) (string, error)

	// Compose concatenates parts, whose Keys are names, into one object within the
	// service, with the properties of an object that is written, or returns
	// [ErrUnsupported].
	Compose func(ctx context.Context, name, contentType string, parts []Object) error

	// RemoveLeftovers removes incomplete uploads below prefix that began longer than
	// idle ago.
	RemoveLeftovers func(ctx context.Context, prefix string, idle time.Duration) (removed int, err error)

	// Status returns the HTTP status of the response that caused err, or 0, and the
	// service's name of the error.
	Status func(err error) (status int, name string)

	// Release frees what the service holds besides the bucket; Close calls it.
	Release func() error
}

// Close closes the bucket and calls Release.
func (b *Bucket) Close() error {
	err := b.Bucket.Close()
	if b.Release != nil {
		err = errors.Join(err, b.Release())
	}
	return err
}

// SignedURLOptions describes the response to a signed URL. Nil is valid.
type SignedURLOptions struct {
	FileName    string // name under which a browser saves it; "" means the key's last part
	ContentType string // "" means PutOptions.ContentType
}

// Disposition returns the value of Content-Disposition, or "" without a FileName.
func (o SignedURLOptions) Disposition() string {
	if o.FileName == "" {
		return ""
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": o.FileName})
}

// openService opens the bucket at u and checks that it can be used.
func openService(ctx context.Context, service Service, u *url.URL, opts *Options) (*Store, error) {
	prefix, u, err := cutPrefix(u)
	if err != nil {
		return nil, err
	}
	b, err := service.Open(context.WithoutCancel(ctx), u) // the service keeps it to renew its credentials
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if prefix != "" {
		b.Bucket = blob.PrefixedBucket(b.Bucket, prefix)
	}
	if _, _, err := b.ListPage(ctx, blob.FirstPageToken, 1, nil); err != nil {
		_ = b.Close()
		return nil, b.explain(err, service, u)
	}
	s := newStore(b, opts)
	s.service, s.prefix = true, prefix
	return s, nil
}

// prefixForm permits only characters that all services accept and that need no escaping
// in a URL.
var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?$`)

// cutPrefix removes the parameter prefix from a URL and returns both. The prefix is
// empty or ends in a slash, so that no key below "a" is one below "ab".
func cutPrefix(u *url.URL) (string, *url.URL, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, proget.Errorf(proget.ErrInvalid, "the part of the storage URL after ? is not key=value&key=value")
	}
	if u.Host == "" || u.User != nil || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", nil, proget.Errorf(proget.ErrInvalid, "%q: write %s://bucket, and a folder in it as ?prefix=folder/", u.Scheme+"://"+u.Host, u.Scheme)
	}
	prefix := query.Get("prefix")
	if prefix != "" && !prefixForm.MatchString(prefix) {
		return "", nil, proget.Errorf(proget.ErrInvalid, "prefix=%s: use letters, digits, '-', '_', '.' and '/', as in prefix=proget/packages/", prefix)
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	query.Del("prefix")
	without := *u
	without.RawQuery, without.Path = query.Encode(), ""
	return prefix, &without, nil
}

// explain says in one sentence why a bucket cannot be used.
func (b *Bucket) explain(err error, s Service, u *url.URL) error {
	where := s.Scheme + "://" + u.Host
	status, name := b.status(err)
	if name == "" && status != 0 {
		name = fmt.Sprintf("HTTP status %d", status)
	}
	say := func(format string, args ...any) error {
		return &proget.Error{Kind: proget.ErrUnavailable, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case status == 404:
		return say("the bucket %s does not exist (%s): create it, or correct the storage URL", where, name)
	case status == 301 || status == 307 || name == "AuthorizationHeaderMalformed":
		return say("the bucket %s is in another region (%s): correct the storage URL", where, name)
	case status == 401 || status == 403:
		return say("the bucket %s refuses this server (%s): check %s, and what they may do", where, name, s.Credentials)
	case status != 0:
		return say("the bucket %s cannot be used at the moment (%s)", where, name)
	case errors.Is(err, context.DeadlineExceeded):
		return say("the bucket %s does not answer within %s: check the storage URL and the network", where, checkTimeout)
	}
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return say("the bucket %s cannot be reached (%v): check the storage URL and the network", where, network)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return say("the bucket %s cannot be reached (%v): check the storage URL and the network", where, dns)
	}
	return proget.WrapError(proget.ErrUnavailable, err, "The bucket %s cannot be used.", where)
}

func (b *Bucket) status(err error) (int, string) {
	if b.Status == nil {
		return 0, ""
	}
	return b.Status(err)
}

// code classifies a bucket's error. The response's status takes precedence: drivers
// leave many errors unknown, and one of them takes "denied" for "not found".
func (b *Bucket) code(err error) gcerrors.ErrorCode {
	switch status, _ := b.status(err); {
	case status == 401 || status == 403:
		return gcerrors.PermissionDenied
	case status == 404:
		return gcerrors.NotFound
	case status == 408 || status == 429 || status >= 500:
		return gcerrors.ResourceExhausted
	}
	return gcerrors.Code(err)
}
