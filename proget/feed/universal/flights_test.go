package universal

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// TestFlights: those who ask while a package is being assembled get what comes of it,
// unless whoever it was assembled for has left.
func TestFlights(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{"assembled": nil, "refused": errors.New("refused")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, landed := newFlights(), make(chan struct{})
				made := 0
				var all sync.WaitGroup
				for range 5 {
					all.Go(func() {
						file, err := f.do(t.Context(), 1, func() (proget.File, error) {
							made++
							<-landed
							return proget.File{Name: "a"}, end
						})
						assert.ErrorIs(t, err, end)
						assert.Equal(t, "a", file.Name)
					})
				}
				synctest.Wait()
				close(landed)
				all.Wait()
				require.Equal(t, 1, made)
				require.Empty(t, f.all)
			})
		})
	}
	t.Run("abandoned", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFlights()
			ctx, leave := context.WithCancel(t.Context())
			var all sync.WaitGroup
			all.Go(func() {
				_, err := f.do(ctx, 1, func() (proget.File, error) { <-ctx.Done(); return proget.File{}, ctx.Err() })
				assert.ErrorIs(t, err, context.Canceled)
			})
			synctest.Wait()
			all.Go(func() {
				file, err := f.do(t.Context(), 1, func() (proget.File, error) { return proget.File{Name: "b"}, nil })
				assert.NoError(t, err)
				assert.Equal(t, "b", file.Name)
			})
			synctest.Wait()
			leave()
			all.Wait()
		})
	})
}
