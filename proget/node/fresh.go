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

// reads reports whether a request cannot change anything.
func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// writes reports whether a request may change something.
func writes(r *http.Request) bool { return !reads(r) }

// refused reports whether a request failed because of something that may have been
// added meanwhile: a package, a user, a permission. It excludes wrong credentials:
// failures are counted, so they must not be tried twice.
func refused(err error) bool {
	return errors.Is(err, proget.ErrNotFound) || errors.Is(err, proget.ErrDenied) ||
		errors.Is(err, proget.ErrUnauthenticated) && !errors.Is(err, auth.ErrCredentials)
}

// refresh retries until memory is up to date, so that clients that make a change need
// not notice a failover.
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

// authenticate returns the sender of a request. If memory is stale, it limits the wait
// for the database to a second, since only changes may wait longer.
func (n *Node) authenticate(r *http.Request, stale bool) (auth.Identity, error) {
	if !stale {
		return n.authority.Authenticate(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	return n.authority.Authenticate(r.WithContext(ctx))
}

// sync brings memory up to date with the request, before anybody reads the sender or
// its permissions from it. If the database cannot be reached, a change waits, since it
// must not build upon old state; any other request is served with a warning, as RFC
// 7234 section 5.5.2 describes it.
func (n *Node) sync(w http.ResponseWriter, r *http.Request, changes func(*http.Request) bool) (stale bool, err error) {
	err = n.tail.Sync(r.Context())
	if err != nil && changes(r) {
		return false, n.refresh(r.Context())
	}
	return n.outdated(w, r, err), nil
}

// syncPage is sync for a page, which writes its own warning.
func (n *Node) syncPage(ctx context.Context, change bool) error {
	err := n.tail.Sync(ctx)
	if err != nil && change {
		return n.refresh(ctx)
	}
	return err
}

// outdated reports whether memory could not be brought up to date, given the error of
// the attempt, and if so sets the Warning header.
func (n *Node) outdated(w http.ResponseWriter, r *http.Request, err error) (stale bool) {
	if err == nil || r.Context().Err() != nil {
		return false
	}
	w.Header().Set("Warning", `111 proget "Revalidation Failed"`)
	n.metrics.stale.Inc()
	return true
}

// doubt replaces "not found" by "try again": what stale memory does not know may have
// been published meanwhile, and the client must not believe that it was not.
func doubt(err error) error {
	if errors.Is(err, proget.ErrNotFound) {
		return proget.WrapError(proget.ErrUnavailable, err, "The database cannot be reached, so it is not known whether this exists. Try again shortly.")
	}
	return err
}
