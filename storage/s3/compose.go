package s3

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/storage"
)

// S3's limits for the parts of an object: all but the last have a minimum size, and
// copied ones also a maximum. See UploadPartCopy in its API reference.
const (
	minPart  = 5 << 20
	maxPart  = 5 << 30
	maxParts = 10_000
)

// copying limits how many parts of an object are copied at once. S3 takes about 100 ms
// for each, and there may be 10,000.
const copying = 16

// compose makes S3 copy the parts into one object. Some services with S3's protocol cannot
// do that.
func (b *bucket) compose(ctx context.Context, name, contentType string, parts []storage.Object) error {
	for i, part := range parts {
		if part.Size > maxPart || part.Size < minPart && i < len(parts)-1 || len(parts) > maxParts {
			return storage.ErrUnsupported
		}
	}
	err := b.join(ctx, name, contentType, parts)
	if code, said := status(err); code == http.StatusNotImplemented || code == http.StatusMethodNotAllowed || said == "NotImplemented" {
		return fmt.Errorf("%w: %w", storage.ErrUnsupported, err)
	}
	return err
}

// join creates an object of copies of the parts, or leaves nothing.
func (b *bucket) join(ctx context.Context, name, contentType string, parts []storage.Object) (err error) {
	upload, err := b.client.CreateMultipartUpload(ctx, b.create(name, contentType))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
			defer cancel()
			_, _ = b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &name, UploadId: upload.UploadId})
		}
	}()
	done := make([]types.CompletedPart, len(parts))
	g, copies := errgroup.WithContext(ctx)
	g.SetLimit(copying)
	for i, part := range parts {
		g.Go(func() (err error) {
			done[i], err = b.copyPart(copies, upload.UploadId, name, int32(i+1), part)
			return err
		})
	}
	if err = g.Wait(); err != nil {
		return err
	}
	_, err = b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b.name, Key: &name, UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	return err
}

func (b *bucket) copyPart(ctx context.Context, upload *string, name string, number int32, part storage.Object) (types.CompletedPart, error) {
	copied, err := b.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &b.name, Key: &name, UploadId: upload,
		PartNumber: &number, CopySource: aws.String(b.name + "/" + part.Key)}) // keys and prefixes need no escaping
	if err != nil {
		return types.CompletedPart{}, err
	}
	if copied.CopyPartResult == nil { // the service took it for a part without bytes
		return types.CompletedPart{}, storage.ErrUnsupported
	}
	return types.CompletedPart{PartNumber: &number, ETag: copied.CopyPartResult.ETag}, nil
}

// create describes an object as gocloud does for any other: a bucket's policy may refuse
// one without the encryption that the storage's URL names.
func (b *bucket) create(name, contentType string) *s3.CreateMultipartUploadInput {
	in := &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &name, ContentType: &contentType, ServerSideEncryption: b.opts.EncryptionType}
	if b.opts.KMSEncryptionID != "" {
		in.SSEKMSKeyId = &b.opts.KMSEncryptionID
	}
	return in
}
