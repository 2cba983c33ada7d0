// Package recurring logs failures that occur again and again.
package recurring

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// every is how often an unchanged failure is logged again.
const every = 5 * time.Minute

// A Failure logs a recurring failure when it begins, when its error changes, and every
// 5 minutes, with its number of occurrences. The zero value has none.
type Failure struct {
	mu    sync.Mutex
	text  string
	said  time.Time
	times int // since it began
}

// Warn counts one more occurrence and logs it if it is due.
func (f *Failure) Warn(ctx context.Context, log *slog.Logger, what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times++
	if err.Error() == f.text && time.Since(f.said) < every {
		return
	}
	f.text, f.said = err.Error(), time.Now()
	if f.times > 1 {
		log = log.With("times", f.times)
	}
	log.WarnContext(ctx, what, "error", err)
}

// End resets f and returns the number of occurrences, 0 if there was no failure.
func (f *Failure) End() (times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	times = f.times
	f.text, f.said, f.times = "", time.Time{}, 0
	return times
}
