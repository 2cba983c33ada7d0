package share

import (
	"errors"
	"io"
	"io/fs"

	"github.com/proget-go/ha/proget"
)

// Kind returns the error kind of package proget that err amounts to, or nil if err does
// not concern the state of the shared folder. It also knows errors of an [os.File] that
// a reader's As gave away.
//
// Kind reports a refused access as unavailable, not as denied, because it is the
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

// IsReadOnly reports whether err means that the folder does not permit the operation to
// this server's account, for example because the share is mounted read-only.
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
