package etcd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// New returns a driver whose keys begin with prefix, which must belong to one
// installation. The caller remains responsible for closing client.
func New(client *clientv3.Client, prefix string) election.Driver {
	return &driver{client, strings.TrimRight(prefix, "/") + "/"}
}

type driver struct {
	client *clientv3.Client
	prefix string
}

const (
	patience = 600 * time.Millisecond // how long to wait for a member of etcd; a renewal is two calls
	writing  = time.Second            // how long to wait for a write
	tries    = 3                      // tries of a call that is not answered
	attempts = 5                      // attempts at a transaction that others keep overtaking
)

// ask makes an idempotent call. If a member of etcd does not answer, the client sends
// the next try to another, so that one that hangs does not use up a leader's lease.
func ask[T any](ctx context.Context, call func(context.Context) (T, error)) (got T, err error) {
	for range tries {
		limited, cancel := context.WithTimeout(ctx, patience)
		got, err = call(limited)
		unanswered := limited.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !unanswered {
			break
		}
	}
	return got, err
}

func (d *driver) folder(office string) string { return d.prefix + url.PathEscape(office) + "/" }
func (d *driver) term(office string) string   { return d.folder(office) + "term" }
func (d *driver) number(office string) string { return d.folder(office) + "number" }

// A state is what etcd holds about an office at one moment.
type state struct {
	lease          *election.Lease // nil if nobody holds it
	id             clientv3.LeaseID
	number         int64
	termRevision   int64 // 0 if the key is missing
	numberRevision int64
}

// read reads both keys at once. A quorum answers, so the answer cannot be old.
func (d *driver) read(ctx context.Context, office string) (s state, err error) {
	got, err := ask(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return d.client.Get(ctx, d.folder(office), clientv3.WithPrefix())
	})
	if err != nil {
		return s, err
	}
	for _, kv := range got.Kvs {
		switch string(kv.Key) {
		case d.term(office):
			s.id, s.termRevision = clientv3.LeaseID(kv.Lease), kv.ModRevision
			s.lease, err = decode(kv)
		case d.number(office):
			s.numberRevision = kv.ModRevision
			s.number, err = strconv.ParseInt(string(kv.Value), 10, 64)
		}
		if err != nil {
			return s, fmt.Errorf("the key %s holds something else: %w", kv.Key, err)
		}
	}
	return s, nil
}

func decode(kv *mvccpb.KeyValue) (*election.Lease, error) {
	l := new(election.Lease)
	return l, json.Unmarshal(kv.Value, l)
}

func (d *driver) Acquire(ctx context.Context, c election.Candidacy) (election.Lease, error) {
	l, err := d.acquire(ctx, c)
	if err != nil && !errors.Is(err, election.ErrHeld) {
		err = fmt.Errorf("acquire the office %s at etcd: %w", c.Office, err)
	}
	return l, err
}

func (d *driver) acquire(ctx context.Context, c election.Candidacy) (l election.Lease, err error) {
	var id clientv3.LeaseID
	for range attempts {
		s, err := d.read(ctx, c.Office)
		if err != nil {
			return l, err
		}
		if s.lease != nil && s.lease.Holder != c.Holder && s.lease.Fence != c.Over {
			d.discard(ctx, id)
			return l, election.ErrHeld
		}
		if id == 0 { // granted only now, so that asking for a held office costs one read
			if id, err = d.grant(ctx, c.TTL); err != nil {
				return l, err
			}
		}
		l = election.Lease{Office: c.Office, Holder: c.Holder, Address: c.Address, TTL: granted(c.TTL),
			Fence: proget.Fence{Number: next(s, c), Term: newTerm(id)}}
		won, err := d.begin(ctx, s, l, id)
		if err != nil {
			return election.Lease{}, err
		}
		if won {
			return l, nil // the lease of a term that this one replaces no longer has a key, and runs out
		}
	}
	d.discard(ctx, id)
	return election.Lease{}, fmt.Errorf("others were quicker, or etcd did not answer, %d times", attempts)
}

// slack is how long etcd may take to notice that a lease has run out: it looks every
// half second, and counts in whole seconds.
const slack = time.Second

// granted returns the TTL to request from etcd, so that the office is free when ttl has
// passed: whole seconds, at least one.
func granted(ttl time.Duration) time.Duration {
	return max((ttl - slack).Truncate(time.Second), time.Second)
}

// grant returns a lease for a new term. If it gets no key, because the candidate dies
// or its context ends, it runs out by itself.
func (d *driver) grant(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	lease, err := ask(ctx, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return d.client.Grant(ctx, int64(granted(ttl)/time.Second))
	})
	if err != nil {
		return 0, err
	}
	return lease.ID, nil
}

// discard revokes a lease that is not needed after all; id 0 is none.
func (d *driver) discard(ctx context.Context, id clientv3.LeaseID) {
	if id != 0 {
		_ = d.revoke(ctx, id) // otherwise it runs out
	}
}

func (d *driver) revoke(ctx context.Context, id clientv3.LeaseID) error {
	_, err := ask(ctx, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) { return d.client.Revoke(ctx, id) })
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}

func next(s state, c election.Candidacy) int64 {
	last := max(s.number, c.Above)
	if s.lease != nil {
		last = max(last, s.lease.Fence.Number)
	}
	return last + 1
}

// begin writes a term if nothing has changed since s was read. It also returns false if
// the outcome is unknown; reading again tells.
func (d *driver) begin(ctx context.Context, s state, l election.Lease, id clientv3.LeaseID) (bool, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return false, err
	}
	limited, cancel := context.WithTimeout(ctx, writing)
	defer cancel()
	written, err := d.client.Txn(limited).
		If(clientv3.Compare(clientv3.ModRevision(d.term(l.Office)), "=", s.termRevision),
			clientv3.Compare(clientv3.ModRevision(d.number(l.Office)), "=", s.numberRevision)).
		Then(clientv3.OpPut(d.term(l.Office), string(text), clientv3.WithLease(id)),
			clientv3.OpPut(d.number(l.Office), strconv.FormatInt(l.Fence.Number, 10))).
		Commit()
	switch {
	case err == nil:
		return written.Succeeded, nil
	case limited.Err() != nil && ctx.Err() == nil:
		return false, nil
	}
	return false, err
}

// newTerm returns a random term id that contains its lease's id.
func newTerm(id clientv3.LeaseID) string {
	return strconv.FormatInt(int64(id), 16) + "-" + rand.Text()
}

// leaseOf returns the lease of a term, and false if another driver began the term.
func leaseOf(f proget.Fence) (clientv3.LeaseID, bool) {
	id, _, ok := strings.Cut(f.Term, "-")
	n, err := strconv.ParseInt(id, 16, 64)
	return clientv3.LeaseID(n), ok && err == nil
}

// Renew extends the lease and checks that it is still the office's: a lease lives on
// when its key is replaced.
func (d *driver) Renew(ctx context.Context, l election.Lease) error {
	id, ours := leaseOf(l.Fence)
	if !ours {
		return election.ErrLost
	}
	_, err := ask(ctx, func(ctx context.Context) (*clientv3.LeaseKeepAliveResponse, error) {
		return d.client.KeepAliveOnce(ctx, id)
	})
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return election.ErrLost
	}
	var s state
	if err == nil {
		s, err = d.read(ctx, l.Office)
	}
	if err != nil {
		return fmt.Errorf("renew the office %s at etcd: %w", l.Office, err)
	}
	if s.lease == nil || s.lease.Fence != l.Fence || s.id != id {
		return election.ErrLost
	}
	return nil
}

// Release revokes the lease, with which etcd deletes the key. If another term has
// replaced the key, that is under its own lease and stays.
func (d *driver) Release(ctx context.Context, l election.Lease) error {
	id, ours := leaseOf(l.Fence)
	if !ours {
		return nil
	}
	if err := d.revoke(ctx, id); err != nil {
		return fmt.Errorf("release the office %s at etcd: %w", l.Office, err)
	}
	return nil
}

// least is the TTL that Current returns in the last second of a lease. etcd rounds
// down; a candidate that looks too early looks again.
const least = time.Second / 4

func (d *driver) Current(ctx context.Context, office string) (election.Lease, error) {
	s, err := d.read(ctx, office)
	if err != nil {
		return election.Lease{}, fmt.Errorf("look up the office %s at etcd: %w", office, err)
	}
	if s.lease == nil {
		return election.Lease{}, election.ErrNone
	}
	left, err := ask(ctx, func(ctx context.Context) (*clientv3.LeaseTimeToLiveResponse, error) {
		return d.client.TimeToLive(ctx, s.id)
	})
	if err != nil {
		return election.Lease{}, fmt.Errorf("look up the lease of the office %s at etcd: %w", office, err)
	}
	if left.TTL < 0 { // it ran out a moment ago
		return election.Lease{}, election.ErrNone
	}
	l := *s.lease
	l.TTL = max(time.Duration(left.TTL)*time.Second, least)
	return l, nil
}
