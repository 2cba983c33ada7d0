package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/proget-go/ha/storage"
)

// S3's limits for the parts of an object: all but the last have a minimum size, and
// copied ones also a maximum. See UploadPartCopy in its API reference.
const (
	minPart  = 5 << 20
	maxPart  = 5 << 30
	maxParts = 10_000
)

// compose makes S3 copy the parts into one object.
func (b *bucket) compose(ctx context.Context, name, contentType string, parts []storage.Object) (err error) {
	for i, part := range parts {
		if part.Size > maxPart || part.Size < minPart && i < len(parts)-1 || len(parts) > maxParts {
			return storage.ErrUnsupported
		}
	}
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
	for i, part := range parts {
		number := aws.Int32(int32(i + 1))
		copied, err := b.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &b.name, Key: &name, UploadId: upload.UploadId,
			PartNumber: number, CopySource: aws.String(b.name + "/" + part.Key)}) // keys and prefixes need no escaping
		if err != nil {
			return err
		}
		done[i] = types.CompletedPart{PartNumber: number, ETag: copied.CopyPartResult.ETag}
	}
	_, err = b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b.name, Key: &name, UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	return err
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
