package auth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// Sign-ins with passwords are slowed down by what failed before, on all nodes
// together: see docs/decisions.md. A subject has so many failures free; from then
// on each doubles the time until the next attempt is looked at.
const (
	freePerAccount = 5
	freePerClient  = 20 // many people may share an address
	firstDelay     = time.Second
	longestDelay   = time.Minute // so that nobody keeps an account's owner out for longer
	forgotten      = time.Hour   // after the last failure
	clientKnown    = 30 * 24 * time.Hour
	refreshKnown   = 24 * time.Hour
	countPatience  = 10 * time.Second // with the database
)

// The subjects of strangers are gathered in so many buckets, which bounds the rows.
const (
	nameBuckets   = 1 << 12
	clientBuckets = 1 << 16
)

// A ThrottledError says that an attempt to sign in was not looked at, because too
// many have failed.
type ThrottledError struct {
	After time.Duration // when to try again
}

// Error implements error.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many sign-ins have failed: the next is looked at in %s", e.After)
}

// Unwrap gives the error its kind and its message.
func (e *ThrottledError) Unwrap() error {
	return proget.Errorf(proget.ErrThrottled, "Too many sign-ins have failed. Try again in %d seconds.", seconds(e.After))
}

// RetryAfter returns the seconds for the header Retry-After of an answer to an
// attempt that was not looked at.
func RetryAfter(err error) int {
	if e, ok := errors.AsType[*ThrottledError](err); ok {
		return seconds(e.After)
	}
	return seconds(longestDelay)
}

func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// delay is how long after so many failures the next attempt is looked at.
func delay(failures, free int64) time.Duration {
	if failures < free {
		return 0
	}
	return min(firstDelay<<min(failures-free, 16), longestDelay)
}

// attempt is somebody's attempt to sign in.
type attempt struct {
	account, client string // what its failure counts against
	known           string // the account from this client, of which there is a row if it has signed in from there
}

func newAttempt(u db.User, unknown bool, name string, from netip.Addr) attempt {
	account := fmt.Sprintf("user %d", u.ID)
	if unknown { // and has never signed in from anywhere, which is asked nevertheless
		account = fmt.Sprintf("nobody %d", bucket(strings.ToLower(name), nameBuckets))
	}
	client := fmt.Sprintf("client %d", bucket(from.String(), clientBuckets))
	return attempt{account, client, account + " " + client}
}

func bucket(text string, buckets uint32) uint32 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint32(sum[:]) % buckets
}

// admission is what was found about an attempt before its password was looked at.
type admission struct {
	attempt
	past map[string]db.SignIn
}

// admit returns a *ThrottledError for an attempt that comes too early. Where an
// account has signed in from before, its owner is not slowed down by what others do
// elsewhere.
func (a *Authority) admit(ctx context.Context, at attempt) (*admission, error) {
	past, err := a.db.FindSignIns(ctx, at.account, at.client, at.known)
	if err != nil {
		return nil, err
	}
	ad := &admission{at, past}
	var wait time.Duration
	for _, subject := range ad.counted() {
		free := int64(freePerAccount)
		if subject == at.client {
			free = freePerClient
		}
		wait = max(wait, delay(past[subject].Failures, free)-past[subject].Age)
	}
	if wait > 0 {
		return nil, &ThrottledError{wait}
	}
	return ad, nil
}

// counted are the subjects whose failures count.
func (ad *admission) counted() []string {
	if _, ok := ad.past[ad.known]; ok {
		return []string{ad.known}
	}
	return []string{ad.account, ad.client}
}

// failed counts the failure, also of a client that has hung up: it may have left
// the way open by which the answer comes. That it could not be counted is an error:
// who guesses must not gain by a database that is away.
func (a *Authority) failed(ctx context.Context, ad *admission) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countPatience)
	defer cancel()
	for _, subject := range ad.counted() {
		kept := forgotten
		if subject == ad.known {
			kept = clientKnown
		}
		if err := a.db.CountSignInFailure(ctx, subject, kept); err != nil {
			return fmt.Errorf("count a failed sign-in: %w", err)
		}
	}
	return nil
}

// succeeded remembers that the account has signed in from here, once a day.
func (a *Authority) succeeded(ctx context.Context, ad *admission) {
	past, ok := ad.past[ad.known]
	if ok && past.Failures == 0 && past.Age < refreshKnown {
		return
	}
	if err := a.db.ResetSignIn(ctx, ad.known, clientKnown); err != nil {
		slog.DebugContext(ctx, "a sign-in could not be remembered", "error", err)
	}
}

// ClientAddress returns from where a request comes: the peer or, if that is one of
// the trusted proxies, the last address in X-Forwarded-For that is not. An IPv6
// address stands for its network, which is what one client is given.
func ClientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	client := parseAddress(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, client); i-- {
		hop := parseAddress(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			break
		}
		client = hop
	}
	if client.Is6() {
		network, err := client.Prefix(64)
		if err == nil {
			return network.Addr()
		}
	}
	return client
}

// Trusts reports whether the peer is one of the trusted proxies, or none is known, so
// that what a request says of the address by which its client called may be believed.
func Trusts(trusted []netip.Prefix, r *http.Request) bool {
	return len(trusted) == 0 || contains(trusted, parseAddress(r.RemoteAddr))
}

// parseAddress reads an address with or without a port; the zero one if it is none.
func parseAddress(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, _ := netip.ParseAddr(strings.Trim(text, "[]"))
	return address.Unmap().WithZone("")
}

func contains(all []netip.Prefix, address netip.Addr) bool {
	for _, p := range all {
		if p.Contains(address) {
			return true
		}
	}
	return false
}
