// Package gcs lets storage.Open open gs:// URLs: Google Cloud Storage. Import it
// for that effect.
//
// A URL is gs://bucket?prefix=packages/; package gcsblob of gocloud.dev lists
// all parameters. Credentials are Google's application default credentials, as
// in the file that GOOGLE_APPLICATION_CREDENTIALS names.
package gcs

import (
	"context"
	"errors"
	"net/url"

	gcstorage "cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"

	"github.com/proget-go/ha/storage"
)

func init() { storage.Register(gcsblob.Scheme, storage.Service{SignedURL: signedURL}) }

// signedURL lets the service answer with a name and a type: the parameters are
// those of its XML API, and part of what is signed.
func signedURL(ctx context.Context, b *blob.Bucket, key string, o storage.SignedURLOptions) (string, error) {
	return b.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: o.TTL, BeforeSign: func(as func(any) bool) error {
		var in *gcstorage.SignedURLOptions
		if !as(&in) {
			return errors.New("this is not a request to Google Cloud Storage")
		}
		in.Scheme = gcstorage.SigningSchemeV4 // the older one cannot sign parameters
		in.QueryParameters = url.Values{}
		if d := o.Disposition(); d != "" {
			in.QueryParameters.Set("response-content-disposition", d)
		}
		if o.ContentType != "" {
			in.QueryParameters.Set("response-content-type", o.ContentType)
		}
		return nil
	}})
}
