package node

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/proget-go/ha/proget/web"
)

// metrics are one node's metrics. Each node has its own registry, so that several nodes
// can live in one process; the embedder's registry may have the metrics, too.
type metrics struct {
	registry *prometheus.Registry
	all      bundle
	others   prometheus.Registerer // the embedder's registry; nil for none
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	stale    prometheus.Counter
	pages    []string // first segments of the pages' paths
}

func newMetrics(n *Node) *metrics {
	m := &metrics{
		pages:    web.Roots(),
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "proget_http_requests_total", Help: "Requests served, by first path segment, method and status class, or \"aborted\" if the response was cut off."},
			[]string{"mount", "method", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "proget_http_request_seconds", Help: "Time to serve a request, by first path segment.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30, 120}}, []string{"mount"}),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "proget_stale_reads_total", Help: "Requests served from memory because the database could not be reached."}),
	}
	m.all = bundle{m.requests, m.duration, m.stale,
		gauge("proget_http_requests_in_flight", "Requests being served, not counting probes.", func() float64 { return float64(n.flying.Load()) }),
		gauge("proget_ready", "1 if the node takes traffic.", func() float64 { return truth(len(n.unready()) == 0) }),
		counter("proget_damaged_files_total", "Times a file was found to be missing or damaged in storage when it was asked for.",
			func() float64 { return float64(n.files.Damaged()) }),
		gauge("proget_warnings", "Things that do not work as they should, such as storage that is full; /health/ready names them.",
			func() float64 { return float64(len(n.warnings())) }),
		gauge("proget_primary", "1 if this is the primary indexing node.", func() float64 { return truth(n.primary()) }),
		gauge("proget_beacon_watchers", "Connections by which other indexing nodes check that this one is alive; they watch only the primary.", func() float64 {
			if n.cfg.Beacon == nil {
				return 0
			}
			return float64(n.cfg.Beacon.Watchers())
		}),
		gauge("proget_index_lag_entries", "Log entries the search index has yet to apply.", func() float64 { return float64(n.search.Lag()) })}
	m.registry.MustRegister(m.all)
	if n.cfg.Metrics == nil {
		m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return m
}

// register registers the metrics in an embedder's registry; nil for none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	if err := r.Register(m.all); err != nil {
		return fmt.Errorf("register the node's metrics, of which each node in a process needs its own, as prometheus.WrapRegistererWith makes them: %w", err)
	}
	m.others = r
	return nil
}

func (m *metrics) unregister() {
	if m != nil && m.others != nil {
		m.others.Unregister(m.all)
	}
}

// A bundle groups collectors, so that all of them are registered or none.
type bundle []prometheus.Collector

// Describe implements prometheus.Collector.
func (b bundle) Describe(to chan<- *prometheus.Desc) {
	for _, c := range b {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (b bundle) Collect(to chan<- prometheus.Metric) {
	for _, c := range b {
		c.Collect(to)
	}
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func counter(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// mount returns the metric label for a pattern such as "GET /api/feeds". It uses the
// pattern's first segment, which no client can choose.
func (m *metrics) mount(pattern string) string {
	_, path, _ := strings.Cut(pattern, "/")
	first, _, _ := strings.Cut(path, "/")
	if slices.Contains(m.pages, first) {
		return "page"
	}
	return first
}

// instrument counts and times requests, also those that a panic ends: http.ErrAbortHandler
// is how a response is cut off.
func (m *metrics) instrument(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, ended := time.Now(), false
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			label := m.mount(r.Pattern)
			m.requests.WithLabelValues(label, method(r.Method), rec.class(ended)).Inc()
			m.duration.WithLabelValues(label).Observe(time.Since(began).Seconds())
		}()
		mux.ServeHTTP(rec, r)
		ended = true
	})
}

// classes are the labels for the classes of status codes.
var classes = [...]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"}

func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch:
		return m
	}
	return "other"
}

// recorder remembers the status and whether the response has begun. It forwards
// ReadFrom, so that the kernel can send files.
type recorder struct {
	http.ResponseWriter
	status int
	begun  bool
}

// class returns the metric label for how the request ended; ended is false if that was a
// panic.
func (r *recorder) class(ended bool) string {
	switch {
	case ended:
		return classes[min(r.status/100, 5)]
	case r.begun:
		return "aborted"
	}
	return "5xx"
}

func (r *recorder) WriteHeader(status int) {
	r.status, r.begun = status, r.begun || status >= http.StatusOK
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begun = true
	return r.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (r *recorder) FlushError() error {
	r.begun = true
	return http.NewResponseController(r.ResponseWriter).Flush()
}

// ReadFrom implements io.ReaderFrom.
func (r *recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if to, ok := r.ResponseWriter.(io.ReaderFrom); ok {
		n, err = to.ReadFrom(src)
	} else {
		n, err = io.Copy(struct{ io.Writer }{r.ResponseWriter}, src)
	}
	r.begun = r.begun || n > 0 // a failure before the first byte can still be answered
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
