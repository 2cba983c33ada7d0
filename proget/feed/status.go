package feed

import (
	"context"
	"errors"
	"net/http"

	"github.com/proget-go/ha/proget"
)

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
