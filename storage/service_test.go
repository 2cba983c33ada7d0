//go:build unix

package storage

import (
	"context"
	"errors"
	"net"
	"net/url"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/proget"
)

func TestCutPrefix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, prefix, rest string }{
		{"s3://b", "", "s3://b"},
		{"s3://b/", "", "s3://b"},
		{"s3://b?region=x&prefix=a", "a/", "s3://b?region=x"},
		{"s3://b?prefix=a/b.c/", "a/b.c/", "s3://b"},
		{"s3://b?prefix=a//b", "", ""},
		{"s3://b?prefix=/a", "", ""},
		{"s3://b?prefix=a/../b", "", ""},
		{"s3://b?prefix=%C3%A4", "", ""},
		{"s3://b?%zz", "", ""},
		{"s3://b/folder", "", ""},
		{"s3://user:hidden@b", "", ""},
		{"s3:b", "", ""},
	} {
		u, err := url.Parse(c.url)
		require.NoError(t, err)
		prefix, rest, err := cutPrefix(u)
		if c.rest == "" {
			require.ErrorIs(t, err, proget.ErrInvalid, c.url)
			require.NotContains(t, err.Error(), "hidden")
			continue
		}
		require.NoError(t, err, c.url)
		require.Equal(t, c.prefix, prefix)
		require.Equal(t, c.rest, rest.String())
	}
}

// answer is a service's error.
type answer struct {
	status int
	name   string
}

func (a answer) Error() string { return "hidden" }

func withStatus() *Bucket {
	return &Bucket{Bucket: memblob.OpenBucket(nil), Status: func(err error) (int, string) {
		a, _ := errors.AsType[answer](err)
		return a.status, a.name
	}}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	u := &url.URL{Scheme: "s3", Host: "b"}
	for _, c := range []struct {
		err  error
		says string
	}{
		{answer{404, "NoSuchBucket"}, "the bucket s3://b does not exist (NoSuchBucket): create it, or correct the storage URL"},
		{answer{301, "PermanentRedirect"}, "the bucket s3://b is in another region (PermanentRedirect): correct the storage URL"},
		{answer{400, "AuthorizationHeaderMalformed"}, "the bucket s3://b is in another region (AuthorizationHeaderMalformed): correct the storage URL"},
		{answer{403, "AccessDenied"}, "the bucket s3://b refuses this server (AccessDenied): check THE_KEY, and what they may do"},
		{answer{503, ""}, "the bucket s3://b cannot be used at the moment (HTTP status 503)"},
		{context.DeadlineExceeded, "the bucket s3://b does not answer within 30s: check the storage URL and the network"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, "the bucket s3://b cannot be reached (dial tcp: " + syscall.ECONNREFUSED.Error() + "): check the storage URL and the network"},
		{&net.DNSError{Err: "no such host", Name: "x"}, "the bucket s3://b cannot be reached (lookup x: no such host): check the storage URL and the network"},
		{errors.New("other"), "The bucket s3://b cannot be used: other"},
	} {
		err := withStatus().explain(c.err, Service{Scheme: "s3", Credentials: "THE_KEY"}, u)
		require.ErrorIs(t, err, proget.ErrUnavailable)
		require.EqualError(t, err, c.says)
	}
}

func TestKindOfAnswers(t *testing.T) {
	t.Parallel()
	s := newStore(withStatus(), nil)
	for _, c := range []struct {
		status int
		kind   error
		says   string
	}{
		{401, proget.ErrUnavailable, "Storage does not allow this server to do that: it is read-only, or permission is denied."},
		{403, proget.ErrUnavailable, "Storage does not allow this server to do that: it is read-only, or permission is denied."},
		{404, proget.ErrNotFound, "The file is not in storage."},
		{408, proget.ErrUnavailable, unreachable},
		{429, proget.ErrUnavailable, unreachable},
		{500, proget.ErrUnavailable, unreachable},
		{503, proget.ErrUnavailable, unreachable},
	} {
		err := s.wrap(t.Context(), answer{c.status, ""}, "read object")
		require.ErrorIs(t, err, c.kind)
		require.Equal(t, c.says, proget.Message(err))
	}
	err := s.wrapWrite(t.Context(), answer{404, "NoSuchBucket"}, "put object")
	require.ErrorIs(t, err, proget.ErrUnavailable, "what is missing then is the bucket")
	require.Empty(t, proget.Message(s.wrap(t.Context(), answer{400, "BadDigest"}, "put object")))
	require.Equal(t, gcerrors.Unknown, s.bucket.code(errors.New("other")))
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	require.Empty(t, SignedURLOptions{}.Disposition())
	require.Equal(t, `attachment; filename="a b.zip"`, SignedURLOptions{FileName: "a b.zip"}.Disposition())
	require.NotContains(t, SignedURLOptions{FileName: "a\r\nSet-Cookie: b"}.Disposition(), "\r\n")
}

// TestNamesNeedAService: no URL that saves a file under a wrong name.
func TestNamesNeedAService(t *testing.T) {
	t.Parallel()
	s := New(blob.NewBucket(&faulty{}), nil)
	_, err := s.SignedURL(t.Context(), new(keys).newBlob(), 0, &SignedURLOptions{FileName: "a.zip"})
	require.ErrorIs(t, err, ErrUnsupported)
}
