package node

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

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
