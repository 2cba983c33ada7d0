package postgres

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowConnector takes its time.
type slowConnector struct {
	takes    time.Duration
	fails    error
	attempts atomic.Int64
	closed   atomic.Int64
}

type slowConn struct {
	sqldriver.Conn
	of *slowConnector
}

func (c *slowConn) Close() error { c.of.closed.Add(1); return nil }

func (s *slowConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	s.attempts.Add(1)
	select {
	case <-time.After(s.takes):
		return &slowConn{of: s}, s.fails
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (*slowConnector) Driver() sqldriver.Driver { return nil }

// TestDialer: who cannot wait for a connection leaves it to the next.
func TestDialer(t *testing.T) {
	t.Parallel()
	try := func(d *dialer, wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		conn, err := d.Connect(ctx)
		if err == nil {
			return conn.Close()
		}
		return err
	}
	t.Run("left to the next", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowConnector{takes: 3 * time.Second}
			d := newDialer(slow)
			for range 2 {
				require.ErrorIs(t, try(d, time.Second), context.DeadlineExceeded)
			}
			require.NoError(t, try(d, 1100*time.Millisecond), "of the first attempt")
			require.NoError(t, d.Close())
		})
	})
	t.Run("bounded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowConnector{takes: time.Hour}
			d := newDialer(slow)
			var all sync.WaitGroup
			for range 3 * dials {
				all.Go(func() { assert.ErrorIs(t, try(d, time.Second), context.DeadlineExceeded) })
			}
			all.Wait()
			require.NoError(t, d.Close())
			require.EqualValues(t, dials, slow.attempts.Load())
		})
	})
	t.Run("more who wait than places", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDialer(&slowConnector{takes: time.Second})
			var all sync.WaitGroup
			for range 5 * dials {
				all.Go(func() { assert.NoError(t, try(d, time.Minute)) })
			}
			all.Wait()
			require.NoError(t, d.Close())
		})
	})
	t.Run("claimed by nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowConnector{takes: time.Second}
			d := newDialer(slow)
			require.Error(t, try(d, time.Millisecond))
			time.Sleep(time.Second + unclaimed)
			synctest.Wait()
			require.EqualValues(t, 1, slow.closed.Load())
			require.NoError(t, d.Close())
		})
	})
	t.Run("fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			refused := errors.New("refused")
			d := newDialer(&slowConnector{fails: refused})
			require.ErrorIs(t, try(d, time.Second), refused)
			require.NoError(t, sql.OpenDB(d).Close())
		})
	})
	t.Run("closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDialer(&slowConnector{takes: time.Hour})
			var all sync.WaitGroup
			for range 2 * dials {
				all.Go(func() { assert.Error(t, try(d, 2*time.Hour)) })
			}
			synctest.Wait()
			require.NoError(t, d.Close())
			all.Wait()
			require.ErrorIs(t, try(d, time.Hour), errPoolClosed)
		})
	})
	t.Run("closed meanwhile", func(t *testing.T) { // the race detector looks on
		t.Parallel()
		for range 100 {
			d := newDialer(&slowConnector{})
			var all sync.WaitGroup
			for range dials {
				all.Go(func() { _ = try(d, time.Minute) })
			}
			assert.NoError(t, d.Close())
			all.Wait()
		}
	})
}
