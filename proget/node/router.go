package node

import (
	"net/http"
	"path"
	"strings"
)

// A router is a mux that remembers its patterns.
type router struct {
	root string // path prefix of the URLs that clients use; see Config.BaseURL
	http.ServeMux
	patterns []string
}

// Handle is like http.ServeMux.Handle and remembers the pattern.
func (r *router) Handle(pattern string, h http.Handler) {
	r.ServeMux.Handle(pattern, h)
	r.patterns = append(r.patterns, pattern)
}

// HandleFunc is like http.ServeMux.HandleFunc and remembers the pattern.
func (r *router) HandleFunc(pattern string, serve func(http.ResponseWriter, *http.Request)) {
	r.Handle(pattern, http.HandlerFunc(serve))
}

// ServeHTTP is like http.ServeMux.ServeHTTP, except that a redirect to a cleaned path
// does not escape the path twice.
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if strings.Contains(req.URL.Path, "//") || strings.Contains(req.URL.Path, "/.") { // other paths are clean
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
