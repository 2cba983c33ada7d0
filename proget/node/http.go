package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
	"github.com/proget-go/ha/proget/feed"
)

// newHandler mounts everything under its literal first segment: the standard
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
		mux.Handle(path, n.unknown(mux)) // before the pages, which take what is left
	}
	if !n.has(RoleWeb) {
		return n.guarded(mux), nil
	}
	if err := n.mountFeeds(mux); err != nil {
		return nil, err
	}
	n.mountAPI(mux)
	pages, err := n.newPages()
	if err != nil {
		return nil, err
	}
	n.patterns = pages.Patterns()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		r, body := n.boundBody(w, r)
		if body != nil { // a page that refuses it need not read it first
			w = &refusing{ResponseWriter: w, refuse: func() { body.abandon(w, r) }}
		}
		pages.ServeHTTP(w, r)
	})
	h := ignoreBadRange(n.metrics.instrument(mux))
	if n.cfg.Tracing != nil {
		h = otelhttp.NewHandler(h, "proget", otelhttp.WithTracerProvider(n.cfg.Tracing),
			otelhttp.WithMeterProvider(noop.NewMeterProvider()), otelhttp.WithPropagators(traceContext{}), otelhttp.WithFilter(traced))
	}
	return n.guarded(n.searcher.admit(h)), nil // outermost: what names a span asks the request which pattern matched
}

// mountFeeds mounts the feed types, some of which share their mounts.
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

// unknown answers what no pattern with a method matches.
func (n *Node) unknown(mux *router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := func(method string) bool {
			other := r.WithContext(r.Context())
			other.Method = method
			_, pattern := mux.Handler(other)
			return strings.Contains(pattern, " ") // "GET /path"
		}
		n.answer(w, r, feed.WriteText, func(w http.ResponseWriter, r *http.Request) error {
			err := feed.Unknown(w, r, known, "what is not a feed or a page is below /api/, /health and /metrics.")
			if strings.HasPrefix(r.URL.Path, "/api/") && errors.Is(err, proget.ErrNotFound) {
				return proget.WrapError(proget.ErrNotFound, err, "This server has no call %.20s %.200s; docs/native-api.md lists those of ProGet that it has.", r.Method, r.URL.Path)
			}
			return err
		})
	})
}

// traced leaves out what probes and scrapers ask all the time.
func traced(r *http.Request) bool { return !probe(r) }

// byteRange matches a Range header that is well-formed, in the unit of bytes, and asks
// for any.
var byteRange = regexp.MustCompile(`^bytes=[ \t]*(\d+-\d*|-0*[1-9]\d*)([ \t]*,[ \t]*(\d+-\d*|-0*[1-9]\d*))*[ \t]*$`)

// ignoreBadRange drops a Range header that means nothing here, as RFC 9110
// section 14.2 has it; http.ServeContent would answer 416.
func ignoreBadRange(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if header := r.Header.Get("Range"); header != "" && !byteRange.MatchString(header) {
			r = r.Clone(r.Context())
			r.Header.Del("Range")
		}
		next.ServeHTTP(w, r)
	})
}

// feedHandler serves all feeds below one mount. It does what every request needs,
// in one place and one order; see package feed.
type feedHandler struct {
	node  *Node
	mount string
	types []served // the first writes the errors: types that share a mount write them alike
}

// served is a feed type with its handler.
type served struct {
	*feed.Type
	handler feed.Handler
}

func (h *feedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.node.answer(w, r, h.node.errorWriter(h.types[0].Type), h.serve)
}

// of returns the type of a feed, which must be one of the mount's.
func (h *feedHandler) of(f *proget.Feed) (served, error) {
	for _, s := range h.types {
		if s.Name == f.Type {
			return s, nil
		}
	}
	return served{}, proget.Errorf(proget.ErrNotFound, "Feed %s is not a %s feed.", f.Name, h.types[0].Title)
}

// errorWriter returns the type's, which asks for credentials as the type does.
func (n *Node) errorWriter(t *feed.Type) errorWriter {
	if t.Challenge == nil {
		return t.WriteError
	}
	return func(w http.ResponseWriter, r *http.Request, status int, message string, err error) {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", t.Challenge(n.baseURL(r), r))
		}
		t.WriteError(w, r, status, message, err)
	}
}

// rootHandler serves what lies beside all feeds of one type.
type rootHandler struct {
	node  *Node
	typ   *feed.Type
	serve func(w http.ResponseWriter, r *feed.Request) error
}

func (h *rootHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := h.node
	n.answer(w, r, n.errorWriter(h.typ), func(w http.ResponseWriter, r *http.Request) error {
		stale := n.outdated(w, r, n.tail.Sync(r.Context()))
		id, err := n.authenticate(r, stale)
		if err != nil {
			return err
		}
		if err := n.guardSession(r, id); err != nil {
			return err
		}
		seen, err := n.visible(&call{Request: r, id: id})
		if err != nil {
			return err
		}
		seen = slices.DeleteFunc(seen, func(f *proget.Feed) bool { return f.Type != h.typ.Name || !f.Active })
		base := n.baseURL(r) + "/" + h.typ.MountName()
		return h.serve(w, &feed.Request{Request: r, Feeds: seen, Mount: h.typ.MountName(), Base: base, Path: strings.TrimPrefix(r.URL.Path, "/"+h.typ.MountName()+"/"), Principal: id.Principal})
	})
}

func (h *feedHandler) serve(w http.ResponseWriter, r *http.Request) error {
	n := h.node
	if n.cfg.Staleness > 0 && reads(r) {
		return h.serveOld(w, r)
	}
	stale, err := n.sync(w, r, h.changes)
	if err != nil {
		return err
	}
	return h.serveFrom(w, r, stale)
}

// serveOld answers from what may be somewhat old. What is refused then may have come
// to be meanwhile: it is looked at again if anything has.
func (h *feedHandler) serveOld(w http.ResponseWriter, r *http.Request) error {
	n := h.node
	moved := n.tail.Changed()
	stale := n.outdated(w, r, n.tail.SyncWithin(r.Context(), n.cfg.Staleness))
	refusal := h.serveFrom(w, r, stale)
	if stale || !refused(refusal) {
		return refusal
	}
	stale, err := n.sync(w, r, h.changes)
	if err != nil {
		return err
	}
	if !stale {
		select {
		case <-moved:
		default:
			return refusal
		}
	}
	return h.serveFrom(w, r, stale)
}

// changes reports whether a request does more than to view, by what memory has of its
// feed; where that does not tell, by its method.
func (h *feedHandler) changes(r *http.Request) bool {
	f, err := h.node.catalog.Feed(r.Context(), r.PathValue("feed"))
	if err != nil {
		return writes(r)
	}
	t, err := h.of(f)
	if err != nil {
		return writes(r)
	}
	task, err := t.Operations.Task(t.handler.Operation(h.request(r, t, f)))
	return err == nil && task.Rank() > proget.TaskView.Rank()
}

// request is a request as the type of its feed sees it.
func (h *feedHandler) request(r *http.Request, t served, f *proget.Feed) *feed.Request {
	return &feed.Request{Request: r, Feed: f, Mount: h.mount, Base: t.URL(h.node.baseURL(r), f), Path: rest(r.URL.EscapedPath())}
}

// reads reports whether a request changes nothing.
func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// writes reports whether a request may change something.
func writes(r *http.Request) bool { return !reads(r) }

// refused reports whether a request failed for want of something that may have come
// to be meanwhile: a package, a user, a permission. Wrong credentials are counted, so
// they are not tried twice.
func refused(err error) bool {
	return errors.Is(err, proget.ErrNotFound) || errors.Is(err, proget.ErrDenied) ||
		errors.Is(err, proget.ErrUnauthenticated) && !errors.Is(err, auth.ErrCredentials)
}

func (h *feedHandler) serveFrom(w http.ResponseWriter, r *http.Request, stale bool) (err error) {
	n := h.node
	defer func() {
		if stale {
			err = doubt(err)
		}
	}()
	id, err := n.authenticate(r, stale)
	if err != nil {
		return err
	}
	if err := n.guardSession(r, id); err != nil {
		return err
	}
	f, err := n.openFeed(r, id, r.PathValue("feed"))
	if err != nil {
		return err
	}
	t, err := h.of(f)
	if err != nil {
		return cmp.Or(n.authority.Authorize(id, proget.TaskView, f), err)
	}
	req := h.request(r, t, f)
	req.Principal = id.Principal
	task, err := t.Operations.Task(t.handler.Operation(req))
	if err != nil {
		return err
	}
	if err := n.authority.AuthorizeIn(id, task, f); err != nil {
		return err
	}
	if err := n.guardWrite(task); err != nil {
		return err
	}
	return t.handler.ServeFeed(w, req)
}

// openFeed returns the feed that somebody asks for.
func (n *Node) openFeed(r *http.Request, id auth.Identity, name string) (*proget.Feed, error) {
	f, err := n.catalog.Feed(r.Context(), name)
	return f, n.authority.Disclose(id, err)
}

// refresh waits until memory, which could not be brought up to date at once, is: who
// makes a change need not notice a failover.
func (n *Node) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.DB.Patience())
	defer cancel()
	for {
		err := n.tail.Sync(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, db.ErrClosed) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return proget.WrapError(proget.ErrUnavailable, err, "The database did not answer in time. Try again shortly.")
		}
	}
}

// authenticate tells who a request is from. If memory is stale, a question to
// the database would wait for as long as one of a change may, and this is none.
func (n *Node) authenticate(r *http.Request, stale bool) (auth.Identity, error) {
	if !stale {
		return n.authority.Authenticate(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	return n.authority.Authenticate(r.WithContext(ctx))
}

// Feed implements feed.Feeds.
func (n *Node) Feed(r *http.Request, name string, task proget.Task) (*proget.Feed, error) {
	id, err := n.authority.Authenticate(r)
	if err != nil {
		return nil, err
	}
	f, err := n.openFeed(r, id, name)
	if err != nil {
		return nil, err
	}
	return f, n.authority.AuthorizeIn(id, task, f)
}

// vet asks the feed's type about an upload that does not come by its protocol.
func (n *Node) vet(ctx context.Context, f *proget.Feed, name string) error {
	if v := n.vetters[f.Type]; v != nil {
		return v.Vet(ctx, f, name)
	}
	return nil
}

// guardWrite refuses changes on a server that is not sure of belonging to the
// cluster: a package in another storage than the cluster's would be lost.
func (n *Node) guardWrite(task proget.Task) error {
	if task.Rank() <= proget.TaskView.Rank() {
		return nil
	}
	return n.guardChange()
}

// guardChange is guardWrite for what changes anything.
func (n *Node) guardChange() error {
	if problems := n.registry.Problems(); len(problems) > 0 {
		return proget.Errorf(proget.ErrUnavailable, "This server cannot take changes now. %s", strings.Join(problems, " "))
	}
	return nil
}

// guardSession refuses a change that a browser was led to by another site.
// Requests with a key or a password of their own cannot be forged that way.
func (n *Node) guardSession(r *http.Request, id auth.Identity) error {
	if !id.Session {
		return nil
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return proget.WrapError(proget.ErrDenied, err, "This request came from another site.")
	}
	return nil
}

// sync makes what is in memory at least as new as the request, before anybody asks
// there who it is from and what they may. If the database cannot be asked, a change
// waits, since what it builds upon must not be old; anything else is served with a
// warning, as RFC 7234 section 5.5.2 describes it.
func (n *Node) sync(w http.ResponseWriter, r *http.Request, changes func(*http.Request) bool) (stale bool, err error) {
	err = n.tail.Sync(r.Context())
	if err != nil && changes(r) {
		return false, n.refresh(r.Context())
	}
	return n.outdated(w, r, err), nil
}

// syncPage is sync for a page, which writes its warning itself.
func (n *Node) syncPage(ctx context.Context, change bool) error {
	err := n.tail.Sync(ctx)
	if err != nil && change {
		return n.refresh(ctx)
	}
	return err
}

// outdated reports, by the error of a question, whether memory could not be brought up
// to date, and says so in the answer.
func (n *Node) outdated(w http.ResponseWriter, r *http.Request, err error) (stale bool) {
	if err == nil || r.Context().Err() != nil {
		return false
	}
	w.Header().Set("Warning", `111 proget "Revalidation Failed"`)
	n.metrics.stale.Inc()
	return true
}

// doubt turns "not found" into "ask again": what a stale memory does not know
// may have been published since, and a client would believe that it was not.
func doubt(err error) error {
	if errors.Is(err, proget.ErrNotFound) {
		return proget.WrapError(proget.ErrUnavailable, err, "The database cannot be reached, so whether this exists is not known. Try again shortly.")
	}
	return err
}

// rest returns what follows /{mount}/{feed}/ of an escaped path.
func rest(path string) string {
	_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	_, path, _ = strings.Cut(path, "/")
	return path
}

// baseURL returns the URL under which the client reaches the cluster, without
// a trailing slash: the configured one, or what the request and the proxies in
// front say.
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
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && host == "" { // HTTP/1.0 needs none
		host = local.String()
	}
	return scheme + "://" + host
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// validHost matches a host with an optional port and nothing that could change the
// meaning of a URL or a document it is put into.
var validHost = regexp.MustCompile(`^([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// linger is how long a client may go on sending a body that nobody reads.
const linger = 5 * time.Second

// answer runs what serves a request and answers the error that it returns.
func (n *Node) answer(w http.ResponseWriter, r *http.Request, write errorWriter, serve func(http.ResponseWriter, *http.Request) error) {
	r, body := n.boundBody(w, r)
	if err := serve(w, r); err != nil {
		body.abandon(w, r)
		n.fail(w, r, err, write)
	}
}

// boundBody returns the request with its body bounded, and that body, or nil
// if it has none. The request is a copy: net/http must find the body that it
// made, or it takes an unread one for something that it has to read.
func (n *Node) boundBody(w http.ResponseWriter, r *http.Request) (*http.Request, *idleReader) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	body := &idleReader{ReadCloser: r.Body, conn: http.NewResponseController(w), idle: n.cfg.UploadIdle, rate: n.cfg.UploadRate}
	r = r.WithContext(r.Context())
	r.Body = body
	return r, body
}

// idleReader ends an upload that stands still, or is so slow that its client does
// not mean it to end: it moves the connection's read deadline ahead with every
// read. What the server does between reads is not the client's time.
type idleReader struct {
	io.ReadCloser
	conn  *http.ResponseController
	idle  time.Duration
	rate  int64 // bytes a second
	pace  pace
	ended bool // the body was read to its end
}

func (b *idleReader) Read(p []byte) (int, error) {
	if b.ended { // a deadline set from here on would be the next request's, and end this one's context
		return 0, io.EOF
	}
	began := time.Now()
	_ = b.conn.SetReadDeadline(began.Add(b.pace.left(b.idle, b.rate))) // unsupported in tests only
	n, err := b.ReadCloser.Read(p)
	b.pace.spent += time.Since(began)
	b.pace.bytes += int64(n)
	b.ended = b.ended || err == io.EOF
	return n, err
}

// abandon lets a refusal be sent at once. A server that means to keep the
// connection reads what is left of a body first, for as long as that takes to
// come; over HTTP/2 there is nothing to keep.
func (b *idleReader) abandon(w http.ResponseWriter, r *http.Request) {
	if b == nil || b.ended || r.ProtoMajor > 1 {
		return
	}
	w.Header().Set("Connection", "close")
	_ = b.conn.SetReadDeadline(time.Now().Add(linger)) // unsupported in tests only
}

// refusing lets a page's refusal be sent at once.
type refusing struct {
	http.ResponseWriter
	refuse func()
}

// WriteHeader implements http.ResponseWriter.
func (w *refusing) WriteHeader(status int) {
	if status >= http.StatusBadRequest || status == http.StatusSeeOther { // to sign in, or after all was read
		w.refuse()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *refusing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// errorWriter writes a protocol's own error body.
type errorWriter func(w http.ResponseWriter, r *http.Request, status int, message string, err error)

// fail answers a request that returned an error. What is not meant for clients
// goes to the log alone.
func (n *Node) fail(w http.ResponseWriter, r *http.Request, err error, write errorWriter) {
	code := feed.Status(err)
	if r.Context().Err() != nil || errors.Is(err, net.ErrClosed) {
		n.cfg.Logger.DebugContext(r.Context(), "the client went away", "method", r.Method, "path", r.URL.Path, "error", err)
	} else if code >= http.StatusInternalServerError {
		n.cfg.Logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", code, "error", err, indexing.Stack(err))
	} else if errors.Is(err, auth.ErrCredentials) {
		n.cfg.Logger.WarnContext(r.Context(), "credentials were refused", "path", r.URL.Path, "remote", r.RemoteAddr, "forwarded", r.Header.Get("X-Forwarded-For"))
	} else {
		n.cfg.Logger.DebugContext(r.Context(), "request refused", "method", r.Method, "path", r.URL.Path, "status", code, "error", err)
	}
	if rec, ok := w.(*recorder); ok && rec.begun {
		panic(http.ErrAbortHandler) // or the text of the error would end what was begun
	}
	message := proget.Message(err)
	if message == "" {
		message = "The server failed to answer; its log says why."
	}
	message = strings.ToValidUTF8(message, "\uFFFD") // it may quote what the client sent
	switch code {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="ProGet", charset="UTF-8"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(2))
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(auth.RetryAfter(err)))
	}
	write(w, r, code, message, err)
}
