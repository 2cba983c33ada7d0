// Package s3 lets storage.Open open s3:// URLs: Amazon S3, and what speaks its
// protocol. Import it for that effect.
//
// A URL is s3://bucket?region=eu-west-1&prefix=packages/, for another service
// with endpoint=https://host:9000&use_path_style=true; package s3blob of
// gocloud.dev lists all parameters. Credentials come from where the AWS SDK
// looks for them, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
package s3

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/proget-go/ha/storage"
)

func init() {
	storage.Register(s3blob.Scheme, storage.Service{Uploads: true, SignedURL: signedURL, RemoveLeftovers: removeLeftovers})
}

func signedURL(ctx context.Context, b *blob.Bucket, key string, o storage.SignedURLOptions) (string, error) {
	return b.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: o.TTL, BeforeSign: func(as func(any) bool) error {
		var in *s3.GetObjectInput
		if !as(&in) {
			return errors.New("this is not an S3 request")
		}
		if d := o.Disposition(); d != "" {
			in.ResponseContentDisposition = aws.String(d)
		}
		if o.ContentType != "" {
			in.ResponseContentType = aws.String(o.ContentType)
		}
		return nil
	}})
}

// removeLeftovers aborts multipart uploads that nobody will finish: a process
// that was killed could not.
func removeLeftovers(ctx context.Context, b *blob.Bucket, u *url.URL, idle time.Duration) (removed int, err error) {
	var client *s3.Client
	if !b.As(&client) {
		return 0, errors.New("this is not an S3 bucket")
	}
	bucket, cutoff := aws.String(u.Host), time.Now().Add(-idle)
	in := &s3.ListMultipartUploadsInput{Bucket: bucket}
	if prefix := u.Query().Get("prefix"); prefix != "" {
		in.Prefix = aws.String(prefix)
	}
	for pages := s3.NewListMultipartUploadsPaginator(client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return removed, err
		}
		for _, up := range page.Uploads {
			if up.Initiated == nil || up.Initiated.After(cutoff) {
				continue
			}
			_, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: up.Key, UploadId: up.UploadId})
			if err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}
