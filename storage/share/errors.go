package share

import (
	"errors"
	"io"
	"io/fs"

	"github.com/proget-go/ha/proget"
)

// Kind returns the kind of error that err is to the rest of the program, or nil
// if that is not a matter of the shared folder's state. It also knows errors
// that come from an [os.File] that a reader gave away.
//
// A refused access is reported as unavailable, not as denied: it is the
// server's account that lacks the permission, not the client.
func Kind(err error) error {
	switch {
	case isNoSpace(err):
		return proget.ErrNoSpace
	case errors.Is(err, errRoot), isUnavailable(err), errors.Is(err, fs.ErrPermission), errors.Is(err, io.ErrShortWrite):
		return proget.ErrUnavailable
	}
	return nil
}

// IsReadOnly reports that the folder, or the account that this server uses,
// does not allow what was asked, as a share that was mounted read-only.
func IsReadOnly(err error) bool {
	return isReadOnly(err) || errors.Is(err, fs.ErrPermission)
}

// isAny reports whether err is one of targets.
func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
