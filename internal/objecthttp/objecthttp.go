// Package objecthttp provides the HTTP client for object stores.
package objecthttp

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Client bounds the waits of requests; the SDKs' own clients wait forever for an
// endpoint that accepts a connection and does not answer. It does not bound how long
// the bytes of an object take.
type Client struct{ client http.Client }

// New returns a client.
func New() *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	transport.TLSHandshakeTimeout = 10 * time.Second
	transport.ResponseHeaderTimeout = time.Minute
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 64
	transport.DisableCompression = true // an object is its bytes
	return &Client{http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a service redirects when the region is wrong
	}}}
}

// Do sends a request. Its error does not contain the query, which can hold a signature
// that gives access to the whole container.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.client.Do(r)
	if e, ok := err.(*url.Error); ok {
		e.URL, _, _ = strings.Cut(e.URL, "?")
	}
	return resp, err
}
