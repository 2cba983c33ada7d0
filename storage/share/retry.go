package share

import (
	"context"
	"time"
)

// Five attempts with pauses of 20, 40, 80 and 160 ms: longer than a virus
// scanner holds a new file or an NFS client needs to look a name up again,
// and short enough for a request to wait.
const (
	attempts   = 5
	firstPause = 20 * time.Millisecond
)

// retry calls fn until its error is not transient, the attempts are used up or
// ctx is done. It returns fn's last error.
func retry(ctx context.Context, wait func(context.Context, time.Duration) error, fn func() error) error {
	pause := firstPause
	for range attempts - 1 {
		err := fn()
		if !isTransient(err) || wait(ctx, pause) != nil {
			return err
		}
		pause *= 2
	}
	return fn()
}

// wait returns after d, or with ctx's error as soon as ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
