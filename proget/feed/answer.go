package feed

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// JSONType is the media type of JSON for protocols that do not define their own.
const JSONType = "application/json; charset=utf-8"

// ServeJSON answers a GET or HEAD request with v as JSON, with an ETag. For what many
// clients ask for, prefer Package.Document, which keeps the result.
func ServeJSON(w http.ResponseWriter, r *Request, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	NewDocument(contentType, body).Serve(w, r.Request)
	return nil
}

// WriteJSON answers with a status and with v as JSON, which clients must not cache.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", JSONType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the client went away
}

// WebURL returns text if it is an absolute http or https URL, otherwise "". Authors
// write anything; pages link to it, and some clients fail on an invalid URL, which
// would make all versions of the package unusable.
func WebURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return text
}

// WriteText is a Type.WriteError for protocols that do not define an error body.
func WriteText(w http.ResponseWriter, _ *http.Request, status int, message string, _ error) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, message+"\n") // an error means that the client went away
}
