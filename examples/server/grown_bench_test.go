package main_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	_ "github.com/proget-go/ha/db/sqlite" // for its driver
	"github.com/proget-go/ha/internal/testenv"
)

// growing adds packages "grown.N" of ten versions each, which are like the one
// version of "model" and have its file.
const growing = `
CREATE TEMP TABLE model AS SELECT p.feed_id, v.*, f.blob_id, f.name AS file, f.name_key AS file_key, f.data
FROM package p JOIN package_version v ON v.package_id = p.package_id JOIN package_file f ON f.version_id = v.version_id WHERE p.name_key = 'model';
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d / 10)
INSERT INTO package (feed_id, name_key) SELECT m.feed_id, 'grown.' || i FROM n, model m;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
INSERT INTO package_version (package_id, name, version, version_key, prerelease, listed, deprecated, blocked, manifest, published, published_by, downloads, last_used)
SELECT p.package_id, p.name_key, '1.0.' || n.i, '1.0.' || n.i, 0, 1, '', 0, m.manifest, m.published, 'test', 0, 0
FROM package p, n, model m WHERE p.name_key LIKE 'grown.%%' AND NOT EXISTS (SELECT 1 FROM package_version o WHERE o.package_id = p.package_id);
INSERT INTO package_file (version_id, blob_id, name, name_key, data, aliases, added)
SELECT v.version_id, m.blob_id, m.file, m.file_key, m.data, '', 0
FROM package_version v, model m WHERE v.published_by = 'test' AND NOT EXISTS (SELECT 1 FROM package_file f WHERE f.version_id = v.version_id);
DROP TABLE model`

// BenchmarkGrown compares servers whose feeds have ten thousand, a hundred
// thousand and a million versions, in turns: what requests cost, and of the
// largest when it is ready after its start, and how much memory it takes. They
// are web nodes: what an indexing node makes of a million versions, which came by
// no push, would be measured with them.
func BenchmarkGrown(b *testing.B) {
	data := b.TempDir()
	p := start(b, "-data", data)
	nuget := workloads["/nuget/nuget"]
	r := &rival{Process: p, base: p.URL + "/nuget/nuget", key: apiKey, b: b}
	require.NoError(b, nuget.publish(r, "model", "1.0.0"))
	require.NoError(b, nuget.fill(r, 50))
	stop(b, p)
	sizes := []int{10_000, 100_000, 1_000_000}
	rivals, folders := make([]*rival, len(sizes)), make([]string, len(sizes))
	for i, versions := range sizes {
		at := filepath.Join(b.TempDir(), "data")
		require.NoError(b, os.CopyFS(at, os.DirFS(data)))
		grow(b, at, versions)
		folders[i] = at
		p := start(b, "-data", at, "-roles", "web", "-cache", "1MB") // else the small feed is in memory, and the others are not
		settle(b, p)
		rivals[i] = &rival{Process: p, base: p.URL + "/nuget/nuget", key: apiKey, b: b}
	}
	for _, measure := range []struct {
		name            string
		clients, pieces int
		do              func(r *rival, packages, n int64) error
	}{
		{"a document in memory", 16, 10_000, func(r *rival, _, _ int64) error {
			_, err := r.send(http.MethodGet, nuget.document("lib50"), nil)
			return err
		}},
		{"a document not in memory", 16, 900, func(r *rival, packages, n int64) error { // each once, all over the feed
			_, err := r.send(http.MethodGet, nuget.document(fmt.Sprintf("grown.%d", 1+n*997%packages)), nil)
			return err
		}},
		{"publishing", 8, 600, func(r *rival, _, n int64) error {
			return nuget.publish(r, fmt.Sprintf("new-%d", n), "1.0.0")
		}},
	} {
		b.Run(measure.name, func(b *testing.B) {
			for _, r := range rivals {
				r.cpu, r.times = 0, nil
			}
			for range turns {
				for i, r := range rivals {
					r.turn(b, measure.clients, measure.pieces/turns, true, func(n int64) error { return measure.do(r, int64(sizes[i]/10), n) })
				}
			}
			for i, r := range rivals {
				r.report(b, fmt.Sprintf("%d-", sizes[i]))
				if i > 0 {
					testenv.Target(b, fmt.Sprintf("%d versions: processor time of %s", sizes[i], measure.name), r.cpu.Seconds()/rivals[0].cpu.Seconds(), "times that of 10,000", true, 1.25)
				}
			}
		})
	}
	for _, r := range rivals {
		stop(b, r.Process)
	}
	again(b, folders[len(folders)-1])
}

// settle waits until a server is idle after its start.
func settle(b *testing.B, p *testenv.Process) {
	require.Eventually(b, func() bool {
		before := p.CPU(b)
		time.Sleep(time.Second)
		return p.CPU(b)-before < 50*time.Millisecond
	}, 5*time.Minute, time.Millisecond)
}

// again starts a server with a large feed again.
func again(b *testing.B, data string) {
	const name = "1,000,000 versions: "
	began := time.Now()
	p := start(b, "-data", data, "-roles", "web")
	testenv.Target(b, name+"ready after", time.Since(began).Seconds(), "s", true, 2)
	settle(b, p)
	time.Sleep(10 * time.Second) // some seconds after its start, a server gives back what that took
	testenv.Target(b, name+"memory of an idle node", float64(p.Memory(b)>>20), "MiB", true, 60)
	r := &rival{Process: p, base: p.URL + "/nuget/nuget", key: apiKey, b: b}
	r.turn(b, 256, 20_000, false, func(n int64) error {
		_, err := r.send(http.MethodGet, workloads["/nuget/nuget"].document(fmt.Sprintf("grown.%d", 1+n%5000)), nil)
		return err
	})
	testenv.Target(b, name+"memory, serving 256 connections", float64(p.PeakMemory(b)>>20), "MiB", true, 200)
}

func stop(b *testing.B, p *testenv.Process) {
	p.Signal(b, syscall.SIGINT)
	require.Zero(b, p.Wait(b), p.Log())
}

// grow adds versions to the database of a server that does not run, and takes its
// search index away, which the log tells nothing of them.
func grow(b *testing.B, data string, versions int) {
	indexes, err := filepath.Glob(filepath.Join(data, "node-*"))
	require.NoError(b, err)
	for _, index := range indexes {
		require.NoError(b, os.RemoveAll(index))
	}
	pool, err := sql.Open("sqlite", filepath.Join(data, "proget.db"))
	require.NoError(b, err)
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	_, err = pool.ExecContext(b.Context(), fmt.Sprintf(growing, versions))
	require.NoError(b, err)
}
