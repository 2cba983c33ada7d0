package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/proget-go/ha/proget"
)

// AddDownloads adds download counts of a day, keyed by version id; a count of 0 only
// marks the version as used. It ignores versions that no longer exist. If the error
// matches ErrUncertain, the counts may have been added: adding them again may count
// them twice.
func (s *Store) AddDownloads(ctx context.Context, day time.Time, counts map[int64]int64) error {
	return s.TxOnce(ctx, func(tx *Tx) error {
		for _, id := range sortedKeys(counts) { // the same order on all nodes avoids deadlocks
			if err := tx.addDownloads(ctx, day, id, counts[id]); err != nil {
				return err
			}
		}
		return nil
	})
}

// addDownloads updates the version first: its lock ensures that only one node inserts
// its day.
func (tx *Tx) addDownloads(ctx context.Context, day time.Time, versionID, n int64) error {
	named := []sql.NamedArg{arg("version_id", versionID), arg("downloads", n)}
	if found, err := tx.run(ctx, "AddDownloads", named...); err != nil || found == 0 || n == 0 {
		return err
	}
	named = append(named, arg("day", dayNumber(day)))
	found, err := tx.run(ctx, "AddDayDownloads", named...)
	if err == nil && found == 0 {
		_, err = tx.run(ctx, "InsertDayDownloads", named...)
	}
	return err
}

// dayNumber returns a day in UTC as a number that people can read and from which SQL
// can derive the month: 20261231.
func dayNumber(t time.Time) int64 {
	y, m, d := t.UTC().Date()
	return int64(y)*10_000 + int64(m)*100 + int64(d)
}

// DailyDownloads returns the downloads of a package's present versions on each of the
// last days, oldest first and ending with today by the database's clock. The numbers
// may be a moment old.
func (s *Store) DailyDownloads(ctx context.Context, packageID int64, days int) ([]int64, error) {
	today, err := s.Clock(ctx)
	if err != nil {
		return nil, err
	}
	first := today.UTC().AddDate(0, 0, 1-days)
	byDay, err := table(ctx, s.readOld, "DailyDownloads", columns[int64, int64], arg("package_id", packageID), arg("since", dayNumber(first)))
	counts := make([]int64, days)
	for i := range counts {
		counts[i] = byDay[dayNumber(first.AddDate(0, 0, i))]
	}
	return counts, err
}

// LastCounted returns the greatest id of a version that has downloads by day.
func (s *Store) LastCounted(ctx context.Context) (id int64, err error) {
	err = one(ctx, s.read, "LastCounted", nil, &id)
	return id, err
}

// RollUpDownloads sums the daily downloads of all months before the one of before into
// the first day of each month, for the versions with ids greater than after, up to
// upto. It returns how many days it removed, or proget.ErrStale if the job's claim is
// lost. It locks the job first: of two transactions at once, such as a retry and the
// commit whose outcome was lost, the later must not add days that the earlier has
// already added.
func (s *Store) RollUpDownloads(ctx context.Context, j *proget.Job, before time.Time, after, upto int64) (days int64, err error) {
	named := []sql.NamedArg{arg("after", after), arg("upto", upto), arg("before", dayNumber(before)/100*100)}
	err = s.Tx(ctx, func(tx *Tx) error {
		if err := tx.HoldJob(ctx, j); err != nil {
			return err
		}
		for _, name := range []string{"SumMonths", "InsertMonths"} {
			if _, err := tx.run(ctx, name, named...); err != nil {
				return err
			}
		}
		days, err = tx.run(ctx, "DeleteDays", named...)
		return err
	})
	return days, err
}
