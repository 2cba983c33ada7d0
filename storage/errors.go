package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"gocloud.dev/gcerrors"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage/share"
)

// ErrUnsupported means that the bucket can never do what the caller asked for.
var ErrUnsupported = errors.New("not supported by this storage")

// ErrReadOnly means that storage does not permit the operation to this server, for
// example because it is mounted read-only. A proget.ErrUnavailable wraps it.
var ErrReadOnly = errors.New("storage does not allow this to this server")

const unreachable = "Storage cannot be reached at the moment."

// wrap adds to err what was being done when the bucket failed, and gives it the kind
// that callers act on. It leaves the kind of an error alone if ctx has ended.
func (s *Store) wrap(ctx context.Context, err error, doing string) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if ctx.Err() != nil {
		return err
	}
	if s.bucket.code(err) == gcerrors.PermissionDenied || share.IsReadOnly(err) {
		return proget.WrapError(proget.ErrUnavailable, fmt.Errorf("%w: %w", ErrReadOnly, err), "Storage does not allow this server to do that: it is read-only, or permission is denied.")
	}
	switch kind := s.kindOf(err); kind {
	case proget.ErrNotFound:
		return proget.WrapError(kind, err, "The file is not in storage.")
	case proget.ErrNoSpace:
		return proget.WrapError(kind, err, "Storage is full.")
	case proget.ErrUnavailable:
		return proget.WrapError(kind, err, unreachable)
	}
	return err
}

// wrapWrite is wrap for calls that create an object: "not found" then means that the
// bucket is missing, not the object.
func (s *Store) wrapWrite(ctx context.Context, err error, doing string) error {
	if ctx.Err() == nil && s.kindOf(err) == proget.ErrNotFound {
		return proget.WrapError(proget.ErrUnavailable, fmt.Errorf("%s: %w", doing, err), unreachable)
	}
	return s.wrap(ctx, err, doing)
}

// kindOf maps a driver's error to a kind, or to nil if nobody can act on it. gocloud
// has no code for "unreachable", so kindOf also looks at the error's type.
func (s *Store) kindOf(err error) error {
	if kind := share.Kind(err); kind != nil {
		return kind
	}
	switch s.bucket.code(err) {
	case gcerrors.NotFound:
		return proget.ErrNotFound
	case gcerrors.ResourceExhausted, gcerrors.DeadlineExceeded, gcerrors.Internal:
		return proget.ErrUnavailable // throttled, too slow, or the service's own fault
	}
	if _, ok := errors.AsType[net.Error](err); ok || isServerError(err) || errors.Is(err, io.ErrUnexpectedEOF) {
		return proget.ErrUnavailable
	}
	return nil
}

// isServerError reports whether an HTTP service answered with 5xx. The AWS SDK's errors
// have this method.
func isServerError(err error) bool {
	var status interface{ HTTPStatusCode() int }
	return errors.As(err, &status) && status.HTTPStatusCode() >= 500
}
