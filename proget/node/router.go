package node

import (
	"net/http"
	"path"
	"strings"
)

// A router is a mux that knows what it was given.
type router struct {
	root string // of the URLs by which clients know what is here; see Config.BaseURL
	http.ServeMux
	patterns []string
}

// Handle is http.ServeMux's.
func (r *router) Handle(pattern string, h http.Handler) {
	r.ServeMux.Handle(pattern, h)
	r.patterns = append(r.patterns, pattern)
}

// HandleFunc is http.ServeMux's.
func (r *router) HandleFunc(pattern string, serve func(http.ResponseWriter, *http.Request)) {
	r.Handle(pattern, http.HandlerFunc(serve))
}

// ServeHTTP is http.ServeMux's, which would redirect to a cleaned path whose escapes it
// has escaped once more.
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if strings.Contains(req.URL.Path, "//") || strings.Contains(req.URL.Path, "/.") { // no other needs to be looked at twice
		escaped := req.URL.EscapedPath()
		if cleaned := clean(escaped); cleaned != escaped && req.Method != http.MethodConnect {
			if req.URL.RawQuery != "" {
				cleaned += "?" + req.URL.RawQuery
			}
			http.Redirect(w, req, r.root+cleaned, http.StatusTemporaryRedirect)
			return
		}
	}
	r.ServeMux.ServeHTTP(w, req)
}

// clean returns a path without empty and dotted segments.
func clean(escaped string) string {
	cleaned := path.Clean("/" + escaped)
	if cleaned != "/" && strings.HasSuffix(escaped, "/") {
		cleaned += "/"
	}
	return cleaned
}
