package upkeep_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/indexing/upkeep"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

// claim queues a job that inspects, and claims it.
func (in *installation) claim(t *testing.T) *proget.Job {
	t.Helper()
	require.NoError(t, in.db.Tx(t.Context(), func(tx *db.Tx) error { return tx.Enqueue(t.Context(), db.NewJob{Kind: upkeep.KindIntegrity}) }))
	j, err := in.db.ClaimJob(t.Context(), "test", "", time.Hour)
	require.NoError(t, err)
	require.NotNil(t, j)
	return j
}

func (in *installation) inspector(log *testenv.LogBuffer) *upkeep.Inspector {
	opts := &upkeep.InspectorOptions{Logger: dark}
	if log != nil {
		opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	return upkeep.NewInspector(in.db, in.stores, opts)
}

// damage overwrites a file's object with other bytes of the same length.
func (in *installation) damage(t *testing.T, f proget.File) {
	t.Helper()
	path := filepath.Join(in.folder, filepath.FromSlash(f.StorageKey))
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", int(f.Size))), 0o600))
}

// TestInspect: what is missing or damaged is named with the versions that suffer.
func TestInspect(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	log := new(testenv.LogBuffer)
	damaged, missing := in.mustPush(t, "1", "a one"), in.mustPush(t, "2", "a two")
	in.mustPush(t, "3", "a three")
	said, err := run(t, in.inspector(log), "")
	require.NoError(t, err)
	require.Equal(t, "3 files read, 0 missing or damaged, of which 0 repaired", said)
	require.Empty(t, log.String())

	in.damage(t, damaged.Files[0])
	require.NoError(t, in.blobs.Delete(t.Context(), missing.Files[0].StorageKey))
	said, err = run(t, in.inspector(log), "")
	require.ErrorContains(t, err, "stored files missing or damaged: 2 of 3")
	require.Equal(t, "3 files read, 2 missing or damaged, of which 0 repaired", said)
	for _, version := range []string{"main/a 1", "main/a 2"} {
		require.Contains(t, log.String(), version)
	}
	require.NotContains(t, log.String(), "main/a 3")
}

// TestMend: a damaged file whose bytes are stored a second time, even in an
// object that is about to be collected, is made whole.
func TestMend(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, in *installation, f proget.File){
		"damaged": func(t *testing.T, in *installation, f proget.File) { in.damage(t, f) },
		"missing": func(t *testing.T, in *installation, f proget.File) {
			require.NoError(t, in.blobs.Delete(t.Context(), f.StorageKey))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newInstallation(t)
			in.mustPush(t, "1", "a same")
			require.NoError(t, in.delete(t.Context(), "a", "1"))
			_, err := in.db.MarkBlobs(t.Context(), 0, 10, noGrace)
			require.NoError(t, err)
			second := in.mustPush(t, "2", "a same")
			harm(t, in, second.Files[0])
			said, err := run(t, in.inspector(nil), "")
			require.NoError(t, err)
			require.Equal(t, "1 file read, 1 missing or damaged, of which 1 repaired", said)
			mended := in.versions(t, "a")["2"].Files[0]
			require.NotEqual(t, second.Files[0].StorageKey, mended.StorageKey)
			in.requireWhole(t, mended)
			_, err = run(t, in.collector(noGrace), "")
			require.NoError(t, err)
			in.requireWhole(t, mended)
		})
	}
}

// TestInspectionGoesOn: a job that is interrupted goes on where it was, and a
// new one begins at the beginning.
func TestInspectionGoesOn(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	const files = 20
	for n := range files {
		v := in.mustPush(t, fmt.Sprint(n), fmt.Sprintf("a %d", n))
		if n == files/2 {
			in.damage(t, v.Files[0])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reports atomic.Int64
	log := slog.New(slog.NewTextHandler(writer(func() { // of the damaged file, in the middle
		reports.Add(1)
		cancel()
	}), nil))
	work := func(ctx context.Context, j *proget.Job) (*indexing.Progress, error) {
		p := new(indexing.Progress)
		return p, upkeep.NewInspector(in.db, in.stores, &upkeep.InspectorOptions{Logger: log}).Work(ctx, j, p)
	}
	job, another := in.claim(t), in.claim(t)
	_, err := work(ctx, job)
	require.ErrorIs(t, err, context.Canceled)
	p, err := work(t.Context(), job)
	require.ErrorContains(t, err, "stored files missing or damaged: 1 of 20")
	done, total, _ := p.Get()
	require.Equal(t, []int64{files, files}, []int64{done, total})
	require.EqualValues(t, 1, reports.Load(), "what was read is not read again")
	_, err = work(t.Context(), job)
	require.Error(t, err)
	require.EqualValues(t, 2, reports.Load(), "it was finished, and is run anew")
	_, err = work(t.Context(), another)
	require.Error(t, err)
	require.EqualValues(t, 3, reports.Load())
}

// TestLateInspector: a worker that has lost its claim does not say where its successor is.
func TestLateInspector(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	for n := range 5 {
		in.damage(t, in.mustPush(t, fmt.Sprint(n), fmt.Sprintf("a %d", n)).Files[0])
	}
	job := in.claim(t)
	late := *job
	late.Attempt-- // as it was claimed before
	reports := 0
	work := func(j *proget.Job, reported func(stop func())) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		log := slog.New(slog.NewTextHandler(writer(func() { reported(cancel) }), nil))
		require.Error(t, upkeep.NewInspector(in.db, in.stores, &upkeep.InspectorOptions{Logger: log}).Work(ctx, j, new(indexing.Progress)))
	}
	work(&late, func(stop func()) { // after one file, where it stands still
		work(job, func(stop func()) {
			if reports++; reports == 3 {
				stop()
			}
		})
		stop()
	})
	require.Equal(t, 3, reports)
	work(job, func(func()) { reports++ })
	require.Equal(t, 5, reports, "it goes on where it was")
}

// TestInspectionFails: a damaged file that could not be named for a failure of the
// database's is named when the job goes on.
func TestInspectionFails(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.damage(t, in.mustPush(t, "1", "a one").Files[0])
	raw, err := sql.Open("sqlite", filepath.Join(in.dir, "test.db"))
	require.NoError(t, err)
	defer raw.Close()
	rename := func(from, to string) {
		_, err := raw.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to)
		require.NoError(t, err)
	}
	log := new(testenv.LogBuffer)
	job := in.claim(t)
	work := func() error { return in.inspector(log).Work(t.Context(), job, new(indexing.Progress)) }
	rename("package_file", "away")
	require.ErrorContains(t, work(), "package_file")
	require.Empty(t, log.String())
	rename("away", "package_file")
	require.ErrorContains(t, work(), "stored files missing or damaged: 1 of 1")
	require.Contains(t, log.String(), "main/a 1")
}

type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }
