package universal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
)

// Bounds of what is fetched for a client.
const (
	maxFetch     = 4 << 30 // bytes of one file
	fetchTimeout = 10 * time.Minute
	maxRedirects = 5
)

// Options configure universal feeds. The zero value is ready to use.
type Options struct {
	// FetchHosts are the hosts, with or without a port, from which the server fetches
	// files that clients name by URL. "*" means all hosts, including those that only
	// the server can reach. Default: none.
	FetchHosts []string

	// Client fetches the files. Redirects lead only to FetchHosts, whatever its own
	// CheckRedirect says. Default: http.DefaultTransport without cookies.
	Client *http.Client
}

// A fetcher fetches files on behalf of clients.
type fetcher struct {
	hosts  []string
	client http.Client
}

func newFetcher(opts *Options) *fetcher {
	f := &fetcher{}
	if opts != nil {
		for _, host := range opts.FetchHosts {
			f.hosts = append(f.hosts, strings.ToLower(strings.TrimSpace(host)))
		}
		if opts.Client != nil {
			f.client = *opts.Client
		}
	}
	f.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return proget.Errorf(proget.ErrInvalid, "%s redirects more than %d times.", via[0].URL.Redacted(), maxRedirects)
		}
		return f.check(r.URL)
	}
	return f
}

// readURL parses an absolute HTTP URL without credentials.
func readURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, proget.Errorf(proget.ErrInvalid, "%.200q is not an absolute http or https URL without credentials.", text)
	}
	return u, nil
}

func isURL(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}

// check refuses URLs that the administrator has not allowed. Otherwise a client could
// make the server contact hosts that the client itself cannot reach.
func (f *fetcher) check(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return proget.Errorf(proget.ErrInvalid, "%.200q is not an http or https URL without credentials.", u.Redacted())
	}
	for _, host := range []string{"*", strings.ToLower(u.Hostname()), strings.ToLower(u.Host)} {
		if slices.Contains(f.hosts, host) {
			return nil
		}
	}
	return proget.Errorf(proget.ErrInvalid, "This server does not fetch from %.100s: its administrator can allow that host (in the reference server with -fetch-hosts).", u.Host)
}

// fetch opens the resource at a URL. Reading fails if it is too large or takes too
// long.
func (f *fetcher) fetch(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	if err := f.check(u); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	resp, err := f.client.Do(r)
	if err != nil {
		cancel()
		if refused, ok := errors.AsType[*proget.Error](err); ok {
			return nil, refused
		}
		return nil, unfetched(u, err)
	}
	body := &fetched{url: u, body: resp.Body, cancel: cancel, left: maxFetch}
	switch {
	case resp.StatusCode != http.StatusOK:
		err = unfetched(u, fmt.Errorf("status %s", resp.Status))
	case resp.ContentLength > maxFetch:
		err = tooLarge(u)
	}
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	return body, nil
}

// unfetched returns an error that does not reveal how a host answers that the client
// may not be able to reach itself.
func unfetched(u *url.URL, cause error) error {
	return proget.WrapError(proget.ErrInvalid, cause, "%.200s could not be fetched: there was no answer, or one with a status other than 200.", u.Redacted())
}

func tooLarge(u *url.URL) error {
	return proget.Errorf(proget.ErrInvalid, "%.200s is larger than %d GiB.", u.Redacted(), maxFetch>>30)
}

// fetched is a body with bounds.
type fetched struct {
	url    *url.URL
	body   io.ReadCloser
	cancel context.CancelFunc
	left   int64
}

// Read implements [io.Reader].
func (f *fetched) Read(p []byte) (int, error) {
	n, err := f.body.Read(p)
	if f.left -= int64(n); f.left < 0 {
		return 0, tooLarge(f.url)
	}
	if err != nil && err != io.EOF {
		err = unfetched(f.url, err)
	}
	return n, err
}

// Close implements [io.Closer].
func (f *fetched) Close() error {
	defer f.cancel()
	return f.body.Close()
}
