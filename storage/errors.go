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

// wrap says what was being done when the bucket failed, and turns its error
// into the kind that callers act on. A canceled ctx stays what it is.
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

// wrapWrite is wrap for what creates an object: if something is missing then,
// it is not the object but the bucket.
func (s *Store) wrapWrite(ctx context.Context, err error, doing string) error {
	if ctx.Err() == nil && s.kindOf(err) == proget.ErrNotFound {
		return proget.WrapError(proget.ErrUnavailable, fmt.Errorf("%s: %w", doing, err), unreachable)
	}
	return s.wrap(ctx, err, doing)
}

// kindOf maps what drivers report to a kind, or to nil if nobody can act on it.
// gocloud has no code for "unreachable", so the error's own type must tell.
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

// isServerError reports that an HTTP service answered 5xx. The AWS SDK's errors
// have this method.
func isServerError(err error) bool {
	var status interface{ HTTPStatusCode() int }
	return errors.As(err, &status) && status.HTTPStatusCode() >= 500
}
