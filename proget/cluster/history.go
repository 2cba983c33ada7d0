package cluster

import (
	"context"
	"strconv"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// Past is how far back the cluster's history goes.
const Past = time.Hour

// Lags are the greatest lags of a server's search index in each of the last minutes, by
// the database's clock.
type Lags struct {
	Minute int64   `json:"minute"` // minute of the last of Peaks, counted from 1970-01-01 UTC
	Peaks  []int64 `json:"peaks"`  // in log entries, one per minute, the newest last; -1 if unknown
}

// add records a lag. It never changes Peaks in place, because announced values must
// stay.
func (l Lags) add(minute, lag int64) Lags {
	const minutes = int64(Past / time.Minute)
	ahead := minute - l.Minute
	if ahead < 0 || ahead > minutes || len(l.Peaks) == 0 { // a clock was set, or this is the first lag
		return Lags{minute, []int64{lag}}
	}
	peaks := append([]int64(nil), l.Peaks...)
	for range ahead {
		peaks = append(peaks, -1)
	}
	last := len(peaks) - 1
	peaks[last] = max(peaks[last], lag)
	return Lags{minute, peaks[max(0, len(peaks)-int(minutes)):]}
}

// At returns the lag in a minute, or -1 if it is unknown.
func (l Lags) At(minute int64) int64 {
	i := int64(len(l.Peaks)) - 1 - (l.Minute - minute)
	if i < 0 || i >= int64(len(l.Peaks)) {
		return -1
	}
	return l.Peaks[i]
}

// A History says who led when.
type History struct {
	Now   time.Time // by the database's clock, like all times here
	Terms []db.Term // oldest first
}

// History returns what is known about the last hour.
func (r *Registry) History(ctx context.Context) (h History, err error) {
	if h.Now, err = r.db.Clock(ctx); err != nil {
		return h, err
	}
	h.Terms, err = r.db.Terms(ctx, r.opts.Office, Past)
	return h, err
}

// StepDown asks the server that leads in a term to hand over leadership. It returns
// proget.ErrConflict if that term is over.
func (r *Registry) StepDown(ctx context.Context, term int64, by proget.Principal) error {
	members, err := r.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Primary && m.Term == term {
			return r.db.Administer(ctx, by.String(), func(tx *db.Tx) error { return tx.SetSetting(ctx, settingStepDown, strconv.FormatInt(term, 10)) })
		}
	}
	return proget.Errorf(proget.ErrConflict, "That server is no longer the primary. Check which server is, and ask it to step down if necessary.")
}

// AskedToStepDown reports whether StepDown was called for a term.
func AskedToStepDown(ctx context.Context, tx *db.Tx, term int64) (bool, error) {
	asked, _, err := tx.Setting(ctx, settingStepDown)
	return asked == strconv.FormatInt(term, 10), err
}
