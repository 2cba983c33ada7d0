// Package statistics limits the number of daily download counts by adding up old ones.
package statistics

import (
	"context"
	"fmt"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/proget"
)

// Kind is the kind of job that rolls download counts up.
const Kind = "statistics"

const (
	daysKept = 90
	window   = 1000 // versions in one transaction
)

// A Worker adds up the daily download counts of each month that ended more than 90 days
// ago into one for the month. It implements [indexing.Worker].
type Worker struct{ db *db.Store }

// NewWorker returns a Worker.
func NewWorker(store *db.Store) *Worker { return &Worker{store} }

// Kind implements [indexing.Worker].
func (*Worker) Kind() string { return Kind }

// Work implements [indexing.Worker].
func (w *Worker) Work(ctx context.Context, j *proget.Job, p *indexing.Progress) error {
	now, err := w.db.Clock(ctx)
	if err != nil {
		return err
	}
	last, err := w.db.LastCounted(ctx)
	if err != nil {
		return err
	}
	before := now.AddDate(0, 0, -daysKept)
	var days int64
	for after := int64(0); after < last; after += window {
		n, err := w.db.RollUpDownloads(ctx, j, before, after, after+window)
		if err != nil {
			return err
		}
		days += n
		p.Set(min(after+window, last), last, said(days, before))
	}
	p.Set(last, last, said(days, before))
	return nil
}

func said(days int64, before time.Time) string {
	return fmt.Sprintf("Daily counts from before %s combined into monthly ones: %d", before.Format("January 2006"), days)
}
