package node

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// newHandler mounts everything under its literal first segment, because the standard
// mux cannot tell /{type}/{feed}/{rest...} from /api/{rest...}.
func (n *Node) newHandler() (http.Handler, error) {
	mux := &router{root: n.cfg.root()}
	defer func() { n.patterns = append(n.patterns, mux.patterns...) }()
	mux.HandleFunc("GET /health", n.health)
	mux.HandleFunc("GET /health/json", n.healthJSON)
	mux.HandleFunc("GET /health/live", n.live)
	mux.HandleFunc("GET /health/ready", n.ready)
	mux.Handle("GET /metrics", n.metrics.handler())
	for _, path := range []string{"/health", "/health/", "/metrics", "/api/"} {
		mux.Handle(path, n.unknown(mux)) // before the pages, which serve all other paths
	}
	if !n.has(RoleWeb) {
		return n.guarded(mux), nil
	}
	if err := n.mountFeeds(mux); err != nil {
		return nil, err
	}
	n.mountAPI(mux.Handle)
	pages, err := n.newPages()
	if err != nil {
		return nil, err
	}
	n.patterns = pages.Patterns()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		r, body := n.boundBody(w, r)
		if body != nil { // a page that refuses the request need not read the body first
			w = &refusing{ResponseWriter: w, refuse: func() { body.abandon(w, r) }}
		}
		pages.ServeHTTP(w, r)
	})
	h := ignoreBadRange(n.metrics.instrument(mux))
	if n.cfg.Tracing != nil {
		h = otelhttp.NewHandler(h, "proget", otelhttp.WithTracerProvider(n.cfg.Tracing),
			otelhttp.WithMeterProvider(noop.NewMeterProvider()), otelhttp.WithPropagators(traceContext{}), otelhttp.WithFilter(traced))
	}
	return n.guarded(n.search.Admit(h)), nil // outermost: tracing reads the matched pattern from the request
}

// mountFeeds mounts the feed types, some of which share mounts.
func (n *Node) mountFeeds(mux *router) error {
	services := n.services()
	mounts := make(map[string]*feedHandler)
	for i := range n.cfg.Feeds {
		t := &n.cfg.Feeds[i]
		s := served{t, t.Handler(services)}
		if s.handler == nil {
			return fmt.Errorf("feed type %s has made no handler", t.Name)
		}
		if v, ok := s.handler.(feed.Vetter); ok {
			n.vetters[t.Name] = v
		}
		for _, mount := range append([]string{t.MountName()}, t.Mounts...) {
			if mounts[mount] == nil {
				mounts[mount] = &feedHandler{node: n, mount: mount}
			}
			mounts[mount].types = append(mounts[mount].types, s)
		}
		if t.Root == nil {
			continue
		}
		for path, serve := range t.Root(services) {
			mux.Handle("/"+t.MountName()+"/"+cmp.Or(path, "{$}"), &rootHandler{n, t, serve})
		}
	}
	for mount, h := range mounts {
		mux.Handle("/"+mount+"/{feed}", h)
		mux.Handle("/"+mount+"/{feed}/{rest...}", h)
	}
	return nil
}

// unknown answers requests that match no pattern with a method.
func (n *Node) unknown(mux *router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := func(method string) bool {
			other := r.WithContext(r.Context())
			other.Method = method
			_, pattern := mux.Handler(other)
			return strings.Contains(pattern, " ") // "GET /path"
		}
		n.answer(w, r, feed.WriteText, func(w http.ResponseWriter, r *http.Request) error {
			err := feed.Unknown(w, r, known, "the API is below /api/, and the state of the server is at /health and /metrics.")
			if strings.HasPrefix(r.URL.Path, "/api/") && errors.Is(err, proget.ErrNotFound) {
				return proget.WrapError(proget.ErrNotFound, err, "This server does not have the call %.20s %.200s; docs/native-api.md of github.com/proget-go/ha lists those that it has.", r.Method, r.URL.Path)
			}
			return err
		})
	})
}

// traced excludes the frequent requests of probes and scrapers.
func traced(r *http.Request) bool { return !probe(r) }

// byteRange matches a well-formed Range header in bytes that asks for at least one
// byte.
var byteRange = regexp.MustCompile(`^bytes=[ \t]*(\d+-\d*|-0*[1-9]\d*)([ \t]*,[ \t]*(\d+-\d*|-0*[1-9]\d*))*[ \t]*$`)

// ignoreBadRange drops an invalid Range header, as RFC 9110 section 14.2 demands;
// http.ServeContent would answer 416.
func ignoreBadRange(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if header := r.Header.Get("Range"); header != "" && !byteRange.MatchString(header) {
			r = r.Clone(r.Context())
			r.Header.Del("Range")
		}
		next.ServeHTTP(w, r)
	})
}

// guardWrite refuses changes if the server cannot be sure that it belongs to the
// cluster: a package stored in another storage than the cluster's would be lost.
func (n *Node) guardWrite(task proget.Task) error {
	if task.Rank() <= proget.TaskView.Rank() {
		return nil
	}
	return n.guardChange()
}

// guardChange is guardWrite for any change.
func (n *Node) guardChange() error {
	if problems := n.registry.Problems(); len(problems) > 0 {
		return proget.Errorf(proget.ErrUnavailable, "This server cannot take changes now. %s", strings.Join(problems, " "))
	}
	return nil
}

// guardSession refuses a change that another site made a browser send. Requests with
// their own key or password cannot be forged that way.
func (n *Node) guardSession(r *http.Request, id auth.Identity) error {
	if !id.Session {
		return nil
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return proget.WrapError(proget.ErrDenied, err, "This request came from another site and was refused.")
	}
	return nil
}

// baseURL returns the URL at which the client reaches the cluster, without a trailing
// slash: the configured one, or what the request and the proxies say.
func (n *Node) baseURL(r *http.Request) string {
	if n.cfg.BaseURL != "" {
		return n.cfg.BaseURL
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if auth.Trusts(n.cfg.TrustedProxies, r) {
		if proto := firstOf(r.Header.Get("X-Forwarded-Proto")); proto == "http" || proto == "https" {
			scheme = proto
		}
		if forwarded := firstOf(r.Header.Get("X-Forwarded-Host")); forwarded != "" && validHost.MatchString(forwarded) {
			host = forwarded
		}
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && host == "" { // HTTP/1.0 requests may have no host
		host = local.String()
	}
	return scheme + "://" + host
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// validHost matches a host with an optional port. It excludes characters that could
// change the meaning of a URL or document that contains the host.
var validHost = regexp.MustCompile(`^([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)
