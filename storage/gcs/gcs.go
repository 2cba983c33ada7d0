// Package gcs lets a [storage.Store] use Google Cloud Storage: main passes [Service] to
// [storage.Open].
package gcs

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/googleapi"

	"github.com/proget-go/ha/proget"
	store "github.com/proget-go/ha/storage"
)

const (
	attempts   = 5               // attempts for each request, with growing, jittered waits
	maxBackoff = 5 * time.Second // longest wait

	credentials = "GOOGLE_APPLICATION_CREDENTIALS or the machine's service account"
)

// Service returns a service that opens URLs like gs://bucket, with the parameters of
// [gcsblob.URLOpener].
func Service() store.Service {
	return store.Service{Scheme: gcsblob.Scheme, Form: "gs://bucket", Credentials: credentials, Open: open}
}

func open(ctx context.Context, u *url.URL) (*store.Bucket, error) {
	if err := findCredentials(ctx, u); err != nil {
		return nil, err
	}
	opened, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		said := strings.TrimPrefix(err.Error(), "open bucket "+u.String()+": ")
		return nil, proget.Errorf(proget.ErrInvalid, "%s: %s", u.Scheme+"://"+u.Host, said)
	}
	var client *storage.Client
	if opened.As(&client) {
		bound(client)
	}
	// The store may put a prefix before the keys, which closes the bucket that it was
	// given.
	signer, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return &store.Bucket{Bucket: opened, BeforeWrite: beforeWrite, SignedURL: (&bucket{signer}).signedURL, Status: status, Release: signer.Close}, nil
}

// findCredentials returns an error if there are no credentials, since gocloud would
// continue without.
func findCredentials(ctx context.Context, u *url.URL) error {
	query := u.Query()
	if os.Getenv("STORAGE_EMULATOR_HOST") != "" || query.Get("anonymous") == "true" || query.Get("access_id") == "-" {
		return nil
	}
	if _, err := gcp.DefaultCredentials(ctx); err != nil {
		return proget.Errorf(proget.ErrUnavailable, "gs://%s: there are no credentials; set %s", u.Host, credentials)
	}
	return nil
}

// bound limits the attempts of each request, and allows retries of all of them, which
// are harmless since keys are never used twice.
func bound(client *storage.Client) {
	client.SetRetry(storage.WithPolicy(storage.RetryAlways), storage.WithMaxAttempts(attempts), storage.WithBackoff(backoff))
}

var backoff = gax.Backoff{Initial: 400 * time.Millisecond, Max: maxBackoff, Multiplier: 2}

// beforeWrite limits the attempts of an upload, to which the client's limit does not
// apply.
func beforeWrite(_ store.Options, as func(any) bool) error {
	var object **storage.ObjectHandle
	if !as(&object) {
		return errors.New("gcs: the driver has no object")
	}
	*object = (*object).Retryer(storage.WithErrorFunc((&series{}).again))
	return nil
}

// series counts the consecutive failures of one upload.
type series struct {
	failed int
	last   time.Time
}

func (s *series) again(err error) bool {
	if time.Since(s.last) > time.Minute { // bytes got through meanwhile
		s.failed = 0
	}
	s.failed++
	s.last = time.Now()
	return s.failed < attempts && storage.ShouldRetry(err)
}

type bucket struct{ bucket *blob.Bucket }

func (b *bucket) signedURL(ctx context.Context, name string, ttl time.Duration, opts store.SignedURLOptions) (string, error) {
	return b.bucket.SignedURL(ctx, name, &blob.SignedURLOptions{Expiry: ttl, BeforeSign: func(as func(any) bool) error {
		var sign *storage.SignedURLOptions
		if !as(&sign) {
			return errors.New("gcs: the driver has no options for signing")
		}
		sign.Scheme = storage.SigningSchemeV4 // the one that covers the parameters
		sign.QueryParameters = url.Values{}
		if d := opts.Disposition(); d != "" {
			sign.QueryParameters.Set("response-content-disposition", d)
		}
		if opts.ContentType != "" {
			sign.QueryParameters.Set("response-content-type", opts.ContentType)
		}
		return nil
	}})
}

// status returns the HTTP status of an error, and Google's name of it.
func status(err error) (int, string) {
	if errors.Is(err, storage.ErrBucketNotExist) || errors.Is(err, storage.ErrObjectNotExist) {
		return http.StatusNotFound, "notFound"
	}
	answer, ok := errors.AsType[*googleapi.Error](err)
	if !ok {
		return 0, ""
	}
	if len(answer.Errors) > 0 {
		return answer.Code, answer.Errors[0].Reason
	}
	return answer.Code, ""
}
