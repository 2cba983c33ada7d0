// Package s3 lets a [storage.Store] use Amazon S3 or any service with its protocol:
// main passes [Service] to [storage.Open].
package s3

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob/s3blob"

	"github.com/proget-go/ha/internal/objecthttp"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

const (
	attempts = 5                      // attempts for each request, with growing, jittered waits
	minDelay = 400 * time.Millisecond // approximate first wait

	// abortTimeout limits the time in which a failed upload removes its parts.
	abortTimeout = 10 * time.Second

	credentials = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role"
)

// Service returns a service that opens URLs like s3://bucket?region=eu-west-1, with the
// parameters of [s3blob.URLOpener].
func Service() storage.Service {
	return storage.Service{Scheme: s3blob.Scheme, Form: "s3://bucket?region=…", Credentials: credentials, Open: open}
}

// bucket is a bucket and the means to reach it.
type bucket struct {
	name   string
	client *s3.Client
	opts   s3blob.Options // what the URL says besides the client
}

func open(ctx context.Context, u *url.URL) (*storage.Bucket, error) {
	opener := &s3blob.URLOpener{}
	opened, err := opener.OpenBucketURL(ctx, u)
	if err != nil {
		said := strings.TrimPrefix(err.Error(), "open bucket "+u.String()+": ")
		return nil, proget.Errorf(proget.ErrInvalid, "%s: %s", u.Scheme+"://"+u.Host, said)
	}
	if e := u.Query().Get("endpoint"); e != "" && !strings.HasPrefix(e, "http://") && !strings.HasPrefix(e, "https://") {
		return nil, proget.Errorf(proget.ErrInvalid, "endpoint=%s: write https://host or http://host:port", e)
	}
	b := &bucket{name: u.Host, opts: opener.Options}
	opened.As(&b.client)
	if b.client.Options().Region == "" {
		return nil, proget.Errorf(proget.ErrInvalid, "%s: add region=… (any, if the endpoint is not Amazon's), or set AWS_REGION", u.Scheme+"://"+u.Host)
	}
	if _, err := b.client.Options().Credentials.Retrieve(ctx); err != nil {
		return nil, proget.Errorf(proget.ErrUnavailable, "s3://%s: there are no credentials; set %s", b.name, credentials)
	}
	b.client = s3.New(b.client.Options(), bound)
	again, err := s3blob.OpenBucket(ctx, b.client, b.name, &b.opts)
	if err != nil {
		return nil, err
	}
	return &storage.Bucket{Bucket: again, BeforeWrite: b.beforeWrite, SignedURL: b.signedURL, Compose: b.compose,
		RemoveLeftovers: b.removeLeftovers, Status: status}, nil
}

// bound sets options so that no request waits or is repeated endlessly.
func bound(o *s3.Options) {
	o.HTTPClient = objecthttp.New()
	o.DisableLogOutputChecksumValidationSkipped = true // it logs for every object that was uploaded in parts
	o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
		so.MaxAttempts, so.Backoff = attempts, retry.BackoffDelayerFunc(delay)
	})
}

// delay returns a wait that doubles with each attempt and is randomly reduced by up to
// a half, so that nodes do not retry at the same time.
func delay(attempt int, _ error) (time.Duration, error) {
	longest := minDelay << (attempt - 1)
	return longest - rand.N(longest/2), nil
}

// beforeWrite replaces the transfer manager. gocloud's own aborts an upload with the
// canceled context, so that the parts stay and are billed; and it collects 16 MiB
// before it sends the first part.
func (b *bucket) beforeWrite(opts storage.Options, as func(any) bool) error {
	var manager *transfermanager.Client
	if !as(&manager) {
		return errors.New("s3: the driver has no transfer manager")
	}
	*manager = *transfermanager.New(b.client, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.Concurrency = int64(opts.PartSize), opts.Concurrency
		o.MultipartUploadThreshold = int64(opts.PartSize)
		o.RequestChecksumCalculation = b.opts.RequestChecksumCalculation
		o.FailTimeout = abortTimeout
	})
	return nil
}

func (b *bucket) signedURL(ctx context.Context, name string, ttl time.Duration, opts storage.SignedURLOptions) (string, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &name}
	if d := opts.Disposition(); d != "" {
		in.ResponseContentDisposition = &d
	}
	if opts.ContentType != "" {
		in.ResponseContentType = &opts.ContentType
	}
	signed, err := s3.NewPresignClient(b.client, s3.WithPresignExpires(ttl)).PresignGetObject(ctx, in)
	if err != nil {
		return "", err
	}
	return signed.URL, nil
}

// removeLeftovers aborts uploads whose process was killed. S3 reports only when they
// began, so it also aborts one that takes longer than idle.
func (b *bucket) removeLeftovers(ctx context.Context, prefix string, idle time.Duration) (removed int, err error) {
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return removed, err
		}
		for _, upload := range page.Uploads {
			if time.Since(aws.ToTime(upload.Initiated)) < idle {
				continue
			}
			_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: upload.Key, UploadId: upload.UploadId})
			if code, _ := status(err); err != nil && code != http.StatusNotFound { // another node was faster
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// status returns the HTTP status and S3's name of an error. It maps S3's errors about
// temporary credentials, which have status 400, to 403.
func status(err error) (code int, name string) {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		code = response.HTTPStatusCode()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		name = api.ErrorCode()
	}
	switch name {
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		code = http.StatusForbidden
	case "SlowDown", "RequestTimeout":
		code = http.StatusServiceUnavailable
	case "", "NotFound", "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "UnknownError":
	default:
		if code == http.StatusNotFound { // a gateway that does not know the user
			code = http.StatusForbidden
		}
	}
	return code, strings.TrimPrefix(name, "UnknownError")
}
