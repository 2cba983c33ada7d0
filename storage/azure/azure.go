// Package azure lets storage.Open open azblob:// URLs: Azure Blob Storage.
// Import it for that effect.
//
// A URL is azblob://container?prefix=packages/; package azureblob of gocloud.dev
// lists all parameters. The account and its credentials come from
// AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, from
// AZURE_STORAGE_CONNECTION_STRING, or from the machine's identity. Downloads can
// be redirected only with the first.
//
// Parts of uploads that were never finished disappear by themselves after a week.
package azure

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/proget-go/ha/storage"
)

func init() { storage.Register(azureblob.Scheme, storage.Service{Uploads: true, SignedURL: signedURL}) }

// signedURL signs anew what the bucket has signed, since gocloud cannot have the
// name and the type be part of it.
func signedURL(ctx context.Context, b *blob.Bucket, key string, o storage.SignedURLOptions) (string, error) {
	account, secret := os.Getenv("AZURE_STORAGE_ACCOUNT"), os.Getenv("AZURE_STORAGE_KEY")
	if account == "" || secret == "" {
		return "", storage.ErrUnsupported
	}
	plain, err := b.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: o.TTL})
	if err != nil {
		return "", err
	}
	parts, err := sas.ParseURL(plain)
	if err != nil {
		return "", fmt.Errorf("read the URL of a blob: %w", err)
	}
	credential, err := azblob.NewSharedKeyCredential(account, secret)
	if err != nil {
		return "", fmt.Errorf("read AZURE_STORAGE_KEY: %w", err)
	}
	now := time.Now().UTC()
	parts.SAS, err = sas.BlobSignatureValues{
		StartTime: now.Add(-time.Minute), ExpiryTime: now.Add(o.TTL), // Azure's clock may be behind
		Permissions:   (&sas.BlobPermissions{Read: true}).String(),
		ContainerName: parts.ContainerName, BlobName: parts.BlobName,
		ContentDisposition: o.Disposition(), ContentType: o.ContentType,
	}.SignWithSharedKey(credential)
	if err != nil {
		return "", err
	}
	return parts.String(), nil
}
