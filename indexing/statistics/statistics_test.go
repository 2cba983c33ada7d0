package statistics_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/db/sqlite"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/statistics"
	"github.com/proget-go/ha/proget"
)

// TestRollUp: the days of the last three months stay, those of older ones become
// months. Who has lost the job does nothing more.
func TestRollUp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "test.db"), &db.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	f := &proget.Feed{Name: "main", Type: "test"}
	err = s.Administer(ctx, "test", func(tx *db.Tx) error { return tx.CreateFeed(ctx, f) })
	require.NoError(t, err)
	v := &proget.Version{Name: "a", Version: "1", Key: "1", Manifest: []byte("{}"), Files: []proget.File{{Name: "f", StorageKey: "k", Digests: proget.Digests{proget.SHA256: "d"}}}}
	_, err = s.Change(ctx, &db.Change{FeedID: f.ID, Operation: "publish"}, func(tx *db.Tx) error {
		_, err := tx.AddVersion(ctx, f.ID, "a", v, nil, nil)
		return err
	})
	require.NoError(t, err)
	today, err := s.Clock(ctx)
	require.NoError(t, err)
	const days = 200
	for n := range days {
		require.NoError(t, s.AddDownloads(ctx, today.AddDate(0, 0, -n), map[int64]int64{v.ID: 1}))
	}
	require.NoError(t, s.Tx(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.NewJob{Kind: statistics.Kind}) }))
	j, err := s.ClaimJob(ctx, "w", "", time.Minute)
	require.NoError(t, err)
	former := *j
	former.Attempt--
	require.ErrorIs(t, statistics.NewWorker(s).Work(ctx, &former, new(indexing.Progress)), proget.ErrStale)
	work := func() string {
		p := new(indexing.Progress)
		require.NoError(t, statistics.NewWorker(s).Work(ctx, j, p))
		_, _, said := p.Get()
		return said
	}
	require.NotRegexp(t, "^0 ", work())
	all, err := s.DailyDownloads(ctx, v.PackageID, days+31)
	require.NoError(t, err)
	var sum int64
	for i, n := range all {
		day := today.AddDate(0, 0, 1-len(all)+i)
		switch {
		case today.Sub(day) <= 90*24*time.Hour:
			require.EqualValues(t, 1, n, day)
		case today.Sub(day) > 125*24*time.Hour && day.Day() > 1:
			require.Zero(t, n, day)
		}
		sum += n
	}
	require.EqualValues(t, days, sum)
	require.Regexp(t, "^Daily counts from before .* combined into monthly ones: 0$", work())
}
