package node

import "net/http"

// A router is a mux that knows what it was given.
type router struct {
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
