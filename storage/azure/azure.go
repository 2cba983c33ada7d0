// Package azure lets a [storage.Store] use Azure Blob Storage: main passes [Service] to
// [storage.Open].
package azure

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"gocloud.dev/blob/azureblob"

	"github.com/proget-go/ha/internal/objecthttp"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

const (
	retries  = 4                      // retries of each request, with growing, jittered waits
	minDelay = 200 * time.Millisecond // approximate first wait
	maxDelay = 5 * time.Second        // longest wait

	credentials = "AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING or an identity"
)

// Service returns a service that opens URLs like azblob://container, with the
// parameters of [azureblob.URLOpener].
func Service() storage.Service {
	return storage.Service{Scheme: azureblob.Scheme, Form: "azblob://container", Credentials: credentials, Open: open}
}

// bucket is a container and the means to reach it.
type bucket struct {
	name   string
	client *container.Client
	key    *azblob.SharedKeyCredential // key to sign with, or nil
}

func open(ctx context.Context, u *url.URL) (*storage.Bucket, error) {
	b := &bucket{name: u.Host}
	opener := &azureblob.URLOpener{MakeClient: b.connect, ServiceURLOptions: *azureblob.NewDefaultServiceURLOptions()}
	opened, err := opener.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, proget.Errorf(proget.ErrInvalid, "%s: %v; set %s", u.Scheme+"://"+u.Host, err, credentials)
	}
	bucket := &storage.Bucket{Bucket: opened, Status: status}
	if b.key != nil {
		bucket.SignedURL = b.signedURL
	}
	return bucket, nil
}

// connect makes a client with the credentials that gocloud's own opener would find, but
// with bounds, and remembers the key to sign URLs with.
func (b *bucket) connect(service azureblob.ServiceURL, name azureblob.ContainerName) (*container.Client, error) {
	at, err := url.JoinPath(string(service), string(name))
	if err != nil {
		return nil, errors.New("the address of the account is not a URL")
	}
	b.client, err = b.authenticate(at, &container.ClientOptions{ClientOptions: bounds()})
	return b.client, err
}

func (b *bucket) authenticate(at string, opts *container.ClientOptions) (client *container.Client, err error) {
	connection := os.Getenv("AZURE_STORAGE_CONNECTION_STRING")
	if connection == "" {
		connection = os.Getenv("AZURE_STORAGEBLOB_CONNECTIONSTRING")
	}
	account, key := os.Getenv("AZURE_STORAGE_ACCOUNT"), os.Getenv("AZURE_STORAGE_KEY")
	switch {
	case account != "" && key != "":
		if b.key, err = sharedKey(account, key); err != nil {
			return nil, err
		}
		return container.NewClientWithSharedKeyCredential(at, b.key, opts)
	case os.Getenv("AZURE_STORAGE_SAS_TOKEN") != "":
		return container.NewClientWithNoCredential(at, opts)
	case connection != "":
		parts := parse(connection)
		if parts["AccountKey"] != "" {
			if b.key, err = sharedKey(parts["AccountName"], parts["AccountKey"]); err != nil {
				return nil, err
			}
		}
		client, err = container.NewClientFromConnectionString(connection, b.name, opts)
		if err != nil {
			err = errors.New("the connection string is not of the form AccountName=…;AccountKey=…;…")
		}
		return client, err
	}
	identity, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: bounds()})
	if err != nil {
		return nil, errors.New("there are no credentials")
	}
	return container.NewClient(at, identity, opts)
}

// sharedKey makes a credential. It replaces the error, whose text would show the key.
func sharedKey(account, key string) (*azblob.SharedKeyCredential, error) {
	k, err := azblob.NewSharedKeyCredential(account, key)
	if err != nil {
		return nil, errors.New("the account's key is not valid base64")
	}
	return k, nil
}

// parse splits a connection string. Values may contain equals signs, as keys end in
// them.
func parse(connection string) map[string]string {
	parts := map[string]string{}
	for part := range strings.SplitSeq(connection, ";") {
		name, value, _ := strings.Cut(part, "=")
		parts[strings.TrimSpace(name)] = value
	}
	return parts
}

// bounds returns options so that no request waits or is repeated endlessly.
func bounds() policy.ClientOptions {
	return policy.ClientOptions{
		Transport: objecthttp.New(),
		Retry:     policy.RetryOptions{MaxRetries: retries, RetryDelay: minDelay, MaxRetryDelay: maxDelay},
	}
}

// signedURL signs the URL itself, since gocloud's signed URLs cannot specify the
// response headers. It sets no start time, since clocks differ.
func (b *bucket) signedURL(_ context.Context, name string, ttl time.Duration, opts storage.SignedURLOptions) (string, error) {
	query, err := sas.BlobSignatureValues{
		Version:            sas.Version,
		ContainerName:      b.name,
		BlobName:           name,
		Permissions:        (&sas.BlobPermissions{Read: true}).String(),
		ExpiryTime:         time.Now().Add(ttl).UTC(),
		ContentDisposition: opts.Disposition(),
		ContentType:        opts.ContentType,
	}.SignWithSharedKey(b.key)
	if err != nil {
		return "", err
	}
	return b.client.NewBlobClient(name).URL() + "?" + query.Encode(), nil
}

// status returns the HTTP status and Azure's name of an error. It reports a missing or
// rejected identity as 401.
func status(err error) (int, string) {
	if response, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return response.StatusCode, response.ErrorCode
	}
	if _, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		return http.StatusUnauthorized, "AuthenticationFailed"
	}
	var unavailable interface{ NonRetriable() }
	if errors.As(err, &unavailable) {
		return http.StatusUnauthorized, "no credentials"
	}
	return 0, ""
}
