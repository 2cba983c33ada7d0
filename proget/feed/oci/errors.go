package oci

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// A code is one of the specification's "Error Codes". As an error's cause, it
// determines the code that the client gets.
type code string

// Error implements error.
func (c code) Error() string { return string(c) }

const (
	blobUnknown         code = "BLOB_UNKNOWN"
	uploadInvalid       code = "BLOB_UPLOAD_INVALID"
	uploadUnknown       code = "BLOB_UPLOAD_UNKNOWN"
	digestInvalid       code = "DIGEST_INVALID"
	manifestBlobUnknown code = "MANIFEST_BLOB_UNKNOWN"
	manifestInvalid     code = "MANIFEST_INVALID"
	manifestUnknown     code = "MANIFEST_UNKNOWN"
	nameInvalid         code = "NAME_INVALID"
	nameUnknown         code = "NAME_UNKNOWN"
	sizeInvalid         code = "SIZE_INVALID"
	unauthorized        code = "UNAUTHORIZED"
	denied              code = "DENIED"
	unsupported         code = "UNSUPPORTED"
	tooManyRequests     code = "TOOMANYREQUESTS"
	unavailable         code = "UNAVAILABLE" // not in the specification, which defines no codes for 5xx
)

// writeError writes the error body that the specification defines.
func writeError(w http.ResponseWriter, r *http.Request, status int, message string, err error) {
	c, ok := errors.AsType[code](err)
	if !ok {
		c = usual(r, status)
	}
	type failure struct {
		Code    code   `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]failure{"errors": {{c, message, nil}}}) // an error means that the client went away
}

// usual returns the code for an error that does not name one.
func usual(r *http.Request, status int) code {
	switch {
	case status == http.StatusUnauthorized:
		return unauthorized
	case status == http.StatusForbidden:
		return denied
	case status == http.StatusTooManyRequests:
		return tooManyRequests
	case status == http.StatusMethodNotAllowed:
		return unsupported
	case status == http.StatusRequestEntityTooLarge:
		return sizeInvalid
	case status >= http.StatusInternalServerError:
		return unavailable
	case status == http.StatusNotFound && strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/blobs/uploads"):
		return nameUnknown // the request would begin an upload, so there is none yet
	case status == http.StatusNotFound && strings.Contains(r.URL.Path, "/blobs/uploads/"):
		return uploadUnknown
	case status == http.StatusNotFound && strings.Contains(r.URL.Path, "/blobs/"):
		return blobUnknown
	case status == http.StatusNotFound && strings.Contains(r.URL.Path, "/manifests/"):
		return manifestUnknown
	case status == http.StatusNotFound:
		return nameUnknown
	case strings.Contains(r.URL.Path, "/blobs/"):
		return uploadInvalid
	case strings.Contains(r.URL.Path, "/manifests/"):
		return manifestInvalid
	}
	return nameInvalid // as what a list begins with
}
