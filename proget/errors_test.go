package proget_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

func ExampleErrorf() {
	err := fmt.Errorf("publish: %w", proget.Errorf(proget.ErrInvalid, "The version %q is not one.", "x"))
	fmt.Println(errors.Is(err, proget.ErrInvalid), proget.Message(err))
	// Output: true The version "x" is not one.
}

// TestNewestKindCounts: who wraps an error of some kind in another has judged
// it anew.
func TestNewestKindCounts(t *testing.T) {
	inner := proget.WrapError(proget.ErrNotFound, io.EOF, "no such file")
	require.ErrorIs(t, inner, io.EOF, "a cause without a kind stays visible")
	outer := fmt.Errorf("serve: %w", proget.WrapError(proget.ErrUnavailable, fmt.Errorf("open: %w", inner), "try again"))
	require.ErrorIs(t, outer, proget.ErrUnavailable)
	require.NotErrorIs(t, outer, proget.ErrNotFound)
	require.Equal(t, "try again", proget.Message(outer))
	require.Equal(t, "serve: try again: open: no such file: EOF", outer.Error(), "for the log")
}

// TestEveryKindIsJudgedAnew: an error has one kind, whichever that of its cause is.
func TestEveryKindIsJudgedAnew(t *testing.T) {
	kinds := []error{proget.ErrNotFound, proget.ErrConflict, proget.ErrInvalid, proget.ErrDenied, proget.ErrUnauthenticated, proget.ErrTooLarge,
		proget.ErrUnavailable, proget.ErrNoSpace, proget.ErrCanceled, proget.ErrThrottled, proget.ErrStale, proget.NewKind("a package's own")}
	for _, newest := range kinds {
		for _, former := range kinds {
			err := fmt.Errorf("wrapped: %w", proget.WrapError(newest, fmt.Errorf("wrapped: %w", proget.Errorf(former, "The cause.")), "The error."))
			for _, kind := range kinds {
				require.Equal(t, kind == newest, errors.Is(err, kind), "%v caused by %v is %v", newest, former, kind)
			}
		}
	}
}
