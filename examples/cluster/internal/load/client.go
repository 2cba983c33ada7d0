package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

// A Client is one client of a cluster, with its own connections.
type Client struct {
	Base   string // URL of the load balancer or of a node
	APIKey string // key with the permissions to publish and manage

	// Password is the password of the user Admin.
	Password string

	http http.Client
}

// NewClient returns a client that waits at most a minute for an answer.
func NewClient(base, apiKey, password string) *Client {
	return &Client{Base: base, APIKey: apiKey, Password: password, http: http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 4, ResponseHeaderTimeout: time.Minute},
		Timeout:   time.Minute,
		// The client does not follow redirects of a sign-in.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends the client's connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ServedBy is the header in which the load balancer names the node to which it sent a
// request.
const ServedBy = "X-Served-By"

// maxAnswer is how many bytes of an answer are read; nothing that the load stores or
// requests is as large.
const maxAnswer = 8 << 20

// An answer is the result of a request.
type answer struct {
	read   bool // the request was a read
	status int  // 0 if there was no complete answer; -1 if it made no sense
	header http.Header
	body   []byte
	err    error
}

// do sends a request with the API key and reads the whole answer.
func (c *Client) do(ctx context.Context, method, path string, body []byte, header ...string) answer {
	target := path
	if !strings.HasPrefix(path, "http://") {
		target = c.Base + path
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("X-ApiKey", c.APIKey)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a := answer{read: method == http.MethodGet, status: resp.StatusCode, header: resp.Header}
	if a.body, a.err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); a.err != nil {
		a.status = 0
	}
	return a
}

func (c *Client) get(ctx context.Context, path string, header ...string) answer {
	return c.do(ctx, http.MethodGet, path, nil, header...)
}

// json decodes the body of a successful answer.
func (a *answer) json(into any) {
	if a.err == nil && a.status == http.StatusOK {
		if err := json.Unmarshal(a.body, into); err != nil {
			a.status, a.body = -1, fmt.Appendf(nil, "not the JSON that was asked for: %v: %.200s", err, a.body)
		}
	}
}

// outcome returns the meaning of an answer. A cluster in trouble is honest if it says
// so in time: refused for now, no room, a node that went away.
func (a *answer) outcome() history.Outcome {
	var late net.Error
	switch {
	case errors.As(a.err, &late) && late.Timeout():
		return history.Wrong
	case a.err != nil:
		return history.Failed // there was no complete answer
	case a.status >= 200 && a.status < 400:
		if a.read && strings.HasPrefix(a.header.Get("Warning"), "111 ") { // changes are never stale
			return history.Stale
		}
		return history.OK
	case a.status == http.StatusConflict:
		return history.Conflict
	case a.status == http.StatusNotFound:
		return history.Missing
	case a.status == http.StatusInsufficientStorage, a.status == http.StatusTooManyRequests:
		return history.Declined
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		return history.Failed
	}
	return history.Wrong
}

// message returns the answer's text for people.
func (a *answer) message() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%.300s", strings.Join(strings.Fields(string(a.body)), " "))
}

// remove deletes a version by the native API.
func (c *Client) remove(ctx context.Context, feed, name, version string) answer {
	return c.do(ctx, http.MethodPost, "/api/packages/"+feed+"/delete?"+url.Values{"name": {name}, "version": {version}}.Encode(), nil)
}

// setStatus changes the status of a version by the native API.
func (c *Client) setStatus(ctx context.Context, feed, name, version, status string) answer {
	return c.do(ctx, http.MethodPost, "/api/packages/"+feed+"/status?"+url.Values{"name": {name}, "version": {version}}.Encode(), []byte(status), "Content-Type", "application/json")
}

// session signs in and returns the cookie of the session.
func (c *Client) session(ctx context.Context) (cookie string, a answer) {
	form := url.Values{"user": {"Admin"}, "password": {c.Password}, "return": {"/feeds"}}.Encode()
	a = c.do(ctx, http.MethodPost, "/sign-in", []byte(form), "Content-Type", "application/x-www-form-urlencoded", "X-ApiKey", "")
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	return cookie, a
}

// signIn signs in, and asks for a page that only the user can see.
func (c *Client) signIn(ctx context.Context) answer {
	cookie, a := c.session(ctx)
	if a.outcome() != history.OK {
		return a
	}
	page := c.get(ctx, "/administration", "X-ApiKey", "", "Cookie", cookie) // perhaps by another node
	if page.outcome() == history.OK && page.status != http.StatusOK {
		return unreadable("the session is not known: %s", page.header.Get("Location"))
	}
	return page
}

// RunTask runs a scheduled task now, as its page does.
func (c *Client) RunTask(ctx context.Context, name string) error {
	cookie, a := c.session(ctx)
	if a.outcome() == history.OK {
		a = c.do(ctx, http.MethodPost, "/administration/scheduled-jobs/run", []byte(url.Values{"name": {name}}.Encode()),
			"Content-Type", "application/x-www-form-urlencoded", "X-ApiKey", "", "Cookie", cookie)
	}
	if a.outcome() != history.OK && a.outcome() != history.Conflict {
		return fmt.Errorf("run the task %s: %d %s", name, a.status, a.message())
	}
	return nil
}
