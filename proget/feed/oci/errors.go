package oci

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// A code is one of the specification's section "Error Codes". As a cause, it
// says which one the client gets.
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
	unavailable         code = "UNAVAILABLE" // not of the specification, which is silent on 5xx
)

// writeError writes the error body of the specification.
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

// usual is the code of an error that does not name its own.
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
		return nameUnknown // an upload is to begin: there is none yet
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
	}
	return manifestInvalid
}
