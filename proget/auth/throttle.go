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
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
)

// Failed sign-ins with passwords delay the next ones, on all nodes together: see
// docs/decisions.md. A subject has some free failures; each further one doubles the
// time until the next attempt is checked.
const (
	freePerAccount = 5
	freePerClient  = 20 // many people may share an address
	firstDelay     = time.Second
	longestDelay   = time.Minute // so that nobody can keep an account's owner out for longer
	forgotten      = time.Hour   // after the last failure
	clientKnown    = 30 * 24 * time.Hour
	refreshKnown   = 24 * time.Hour
	countPatience  = 10 * time.Second // how long to wait for the database
)

// Unknown subjects are hashed into so many buckets, which bounds the number of rows.
const (
	nameBuckets   = 1 << 12
	clientBuckets = 1 << 16
)

// A ThrottledError says that an attempt to sign in was not checked, because too many
// have failed.
type ThrottledError struct {
	After time.Duration // how long to wait before the next attempt
}

// Error implements error.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many sign-ins have failed: the next is looked at in %s", e.After)
}

// Unwrap returns the error for the client, of kind proget.ErrThrottled.
func (e *ThrottledError) Unwrap() error {
	return proget.Errorf(proget.ErrThrottled, "Too many sign-ins have failed. Try again in %s.", quantity.Of(seconds(e.After), "second"))
}

// RetryAfter returns the number of seconds for the Retry-After header of the response
// to a throttled attempt.
func RetryAfter(err error) int {
	if e, ok := errors.AsType[*ThrottledError](err); ok {
		return seconds(e.After)
	}
	return seconds(longestDelay)
}

func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// delay returns how long after so many failures the next attempt is checked.
func delay(failures, free int64) time.Duration {
	if failures < free {
		return 0
	}
	return min(firstDelay<<min(failures-free, 16), longestDelay)
}

// attempt is an attempt to sign in.
type attempt struct {
	account, client string // the subjects against which a failure counts
	known           string // the account at this client; has a row if the account has signed in from there
}

func newAttempt(u db.User, unknown bool, name string, from netip.Addr) attempt {
	account := fmt.Sprintf("user %d", u.ID)
	if unknown { // it has never signed in from anywhere, but the query is made anyway
		account = fmt.Sprintf("nobody %d", bucket(strings.ToLower(name), nameBuckets))
	}
	client := fmt.Sprintf("client %d", bucket(from.String(), clientBuckets))
	return attempt{account, client, account + " " + client}
}

func bucket(text string, buckets uint32) uint32 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint32(sum[:]) % buckets
}

// admission is the history of an attempt, read before its password is checked.
type admission struct {
	attempt
	past map[string]db.SignIn
}

// admit returns a *ThrottledError for an attempt that comes too early. At a client
// where an account has signed in before, failures elsewhere do not delay its owner.
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

// counted returns the subjects whose failures count.
func (ad *admission) counted() []string {
	if _, ok := ad.past[ad.known]; ok {
		return []string{ad.known}
	}
	return []string{ad.account, ad.client}
}

// failed counts the failure, even if the client seems to have hung up: it may have
// closed its sending side only, and still receive the answer. If the failure cannot be
// counted, failed returns an error: guessing must not become easier while the database
// is gone.
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

// succeeded records, at most once a day, that the account has signed in from this
// client.
func (a *Authority) succeeded(ctx context.Context, ad *admission) {
	past, ok := ad.past[ad.known]
	if ok && past.Failures == 0 && past.Age < refreshKnown {
		return
	}
	if err := a.db.ResetSignIn(ctx, ad.known, clientKnown); err != nil {
		slog.DebugContext(ctx, "a sign-in could not be remembered", "error", err)
	}
}

// ClientAddress returns the sender's address: the peer's or, if the peer is a trusted
// proxy, the last address in X-Forwarded-For that is not. For an IPv6 address it
// returns the /64 network, which is what a single client is assigned.
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

// Trusts reports whether the headers in which a request states the client's view of the
// address can be trusted: the peer is a trusted proxy, or trusted is empty.
func Trusts(trusted []netip.Prefix, r *http.Request) bool {
	return len(trusted) == 0 || contains(trusted, parseAddress(r.RemoteAddr))
}

// parseAddress parses an address with or without a port; it returns the zero Addr for
// anything else.
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
