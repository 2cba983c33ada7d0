package feed

import (
	"context"
	"errors"
	"net/http"

	"github.com/proget-go/ha/proget"
)

// ErrPrecondition is the kind of error for a request with a condition, such as If-Match,
// that does not hold.
var ErrPrecondition = proget.NewKind("precondition failed")

// ErrMediaType is the kind of error for a body of a media type, or in an encoding, that
// the server does not take.
var ErrMediaType = proget.NewKind("unsupported media type")

// statuses is the one table that maps kinds of error to HTTP statuses.
var statuses = []struct {
	kind   error
	status int
}{
	{proget.ErrNotFound, http.StatusNotFound},
	{proget.ErrConflict, http.StatusConflict},
	{proget.ErrInvalid, http.StatusBadRequest},
	{proget.ErrUnauthenticated, http.StatusUnauthorized},
	{proget.ErrDenied, http.StatusForbidden},
	{proget.ErrThrottled, http.StatusTooManyRequests},
	{ErrMethod, http.StatusMethodNotAllowed},
	{ErrPrecondition, http.StatusPreconditionFailed},
	{ErrMediaType, http.StatusUnsupportedMediaType},
	{proget.ErrTooLarge, http.StatusRequestEntityTooLarge},
	{proget.ErrNoSpace, http.StatusInsufficientStorage},
	{proget.ErrUnavailable, http.StatusServiceUnavailable},
	{proget.ErrStale, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, http.StatusServiceUnavailable},
}

// Status returns the HTTP status for an error: 500 if the error is of no known kind.
func Status(err error) int {
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}
