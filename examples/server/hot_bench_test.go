package main_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// documents are what clients ask for most, of a package with so many versions.
var documents = []struct {
	name    string
	of      func(versions int) question
	publish func(r *rival, versions int) error
	base    string
}{
	{"NuGet registration", func(n int) question {
		return question{path: fmt.Sprintf("/nuget/nuget/v3/registration/lib%d/index.json", n)}
	}, workloads["/nuget/nuget"].fill, "/nuget/nuget"},
	{"npm packument", func(n int) question { return question{path: fmt.Sprintf("/npm/npm/lib%d", n)} }, workloads["/npm/npm"].fill, "/npm/npm"},
	{"PyPI simple page", func(n int) question { return question{path: fmt.Sprintf("/pypi/pypi/simple/lib%d/", n)} }, workloads["/pypi/pypi"].fill, "/pypi/pypi"},
	{"OCI manifest", func(n int) question {
		return question{path: fmt.Sprintf("/v2/docker/lib%d/manifests/0", n), accept: imageType}
	}, func(r *rival, n int) error { return r.pushImage(fmt.Sprintf("lib%d", n), "0", int64(n), 1) }, "/v2/docker"},
}

// fill publishes a package "libN" with N versions.
func (w workload) fill(r *rival, versions int) error {
	for n := range versions {
		if err := w.publish(r, fmt.Sprintf("lib%d", versions), fmt.Sprintf("1.%d.0", n)); err != nil {
			return err
		}
	}
	return nil
}

// share notes how much of nginx's work per second of processor time this server
// does.
func share(b *testing.B, what string, ours, theirs score, target float64) {
	testenv.Target(b, what, ours.perSecond()/theirs.perSecond(), "of nginx", false, target)
}

// BenchmarkHot asks for documents that are in memory. Each answer is as new as the
// database when the request came.
func BenchmarkHot(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) {
		hot(b, "SQLite", newContest(b, nil, start(b)), []int{1, 16, 64, 256}, true)
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		pg := testenv.StartPostgres(b)
		hot(b, "PostgreSQL", newContest(b, pg, start(b, "-db", pg.NewDatabase(b), "-encryption-key", key)), []int{1, 16, 64, 256}, false)
	})
	b.Run("PostgreSQL, three nodes", func(b *testing.B) {
		pg := testenv.StartPostgres(b)
		hot(b, "PostgreSQL, three nodes", newContest(b, pg, three(b, pg)...), []int{16, 256}, false)
	})
}

// BenchmarkHotSomewhatOld asks for documents in memory, which may be as old as a tenth
// of a second.
func BenchmarkHotSomewhatOld(b *testing.B) {
	const where = "PostgreSQL, 100 ms old"
	b.Run("PostgreSQL", func(b *testing.B) {
		pg := testenv.StartPostgres(b)
		hot(b, where, newContest(b, pg, start(b, "-db", pg.NewDatabase(b), "-encryption-key", key, "-staleness", "100ms")), []int{1, 16}, false)
	})
	b.Run("PostgreSQL, three nodes", func(b *testing.B) {
		pg := testenv.StartPostgres(b)
		hot(b, where+", three nodes", newContest(b, pg, three(b, pg, "-staleness", "100ms")...), []int{16, 256}, false)
	})
}

// three starts three nodes of one installation.
func three(b *testing.B, pg *testenv.Postgres, flags ...string) (nodes []*testenv.Process) {
	flags = append(flags, "-db", pg.NewDatabase(b), "-storage", "file://"+b.TempDir(), "-encryption-key", key)
	for n := range 3 {
		nodes = append(nodes, start(b, append(flags, "-node", fmt.Sprint("node", n))...))
	}
	return nodes
}

func hot(b *testing.B, where string, c *contest, connections []int, all bool) {
	for i, d := range documents {
		if i > 0 && len(c.ours) > 1 {
			break
		}
		r := &rival{Process: c.ours[0], base: c.ours[0].URL + d.base, key: apiKey, b: b}
		require.NoError(b, d.publish(r, 50))
		for _, n := range connections {
			b.Run(fmt.Sprintf("%s/connections=%d", d.name, n), func(b *testing.B) {
				ours, theirs := c.compare(b, d.of(50), n)
				share(b, fmt.Sprintf("%s, %s, %d connections", where, d.name, n), ours, theirs, .35)
				if n == 16 {
					testenv.Target(b, fmt.Sprintf("%s, %s, %d connections: p99", where, d.name, n), ours.quantile(.99)/theirs.quantile(.99), "times nginx's", true, 2)
				}
			})
		}
		if !all {
			continue
		}
		b.Run(d.name+"/unchanged", func(b *testing.B) {
			q := d.of(50)
			q.unchanged = true
			ours, theirs := c.compare(b, q, 16)
			share(b, where+", "+d.name+", 304", ours, theirs, .35)
		})
		if d.base == "/v2/docker" {
			continue // a manifest is of one version
		}
		require.NoError(b, d.publish(r, 500))
		b.Run(d.name+"/500 versions", func(b *testing.B) {
			ours, theirs := c.compare(b, d.of(500), 16)
			share(b, where+", "+d.name+" of 500 versions", ours, theirs, .20)
		})
	}
}

// BenchmarkDownload downloads package files.
func BenchmarkDownload(b *testing.B) {
	c := newContest(b, nil, start(b))
	for _, file := range []struct {
		name        string
		bytes       int64
		connections int
		turn        time.Duration
		target      float64
	}{{"100KiB", 100 << 10, 16, 0, .4}, {"100MiB", 100 << 20, 8, 2 * time.Second, .9}} {
		require.NoError(b, pushLarge(b.Context(), c.ours[0].URL, "file"+file.name, file.bytes))
		b.Run(file.name, func(b *testing.B) {
			ours, theirs := c.compare(b, question{path: "/upack/universal/download/file" + file.name + "/1.0.0", turn: file.turn}, file.connections)
			b.ReportMetric(float64(ours.bytes>>20)/ours.cpu.Seconds(), "MiB/cpu-s")
			b.ReportMetric(float64(theirs.bytes>>20)/theirs.cpu.Seconds(), "nginx-MiB/cpu-s")
			share(b, "download of "+file.name, ours, theirs, file.target)
		})
	}
}

// BenchmarkUpload uploads 100 MiB: a layer of an image, of which one digest is
// asked for, and a universal package, of which four are.
func BenchmarkUpload(b *testing.B) {
	r := embedded(b)
	r.base = r.URL + "/v2/docker"
	layer := noise(1, 100<<20)
	began := time.Now()
	_ = sha256.Sum256(layer)
	b.Logf("SHA-256 alone: %.0f MB/s", float64(len(layer))/1e6/time.Since(began).Seconds())
	for name, upload := range map[string]func(n int64) error{
		"layer": func(n int64) error {
			binary.LittleEndian.PutUint64(layer, uint64(n))
			return r.uploadBlob("large", layer)
		},
		"universal package": func(n int64) error {
			return pushLarge(b.Context(), r.URL, fmt.Sprint("file", n), int64(len(layer)))
		},
	} {
		b.Run(name, func(b *testing.B) {
			r.turn(b, 1, 1, false, upload)
			r.cpu, r.times = 0, nil
			r.turn(b, 1, 8, true, upload)
			r.report(b, "")
			rate := float64(len(r.times)*len(layer)) / 1e6 / r.cpu.Seconds()
			b.ReportMetric(rate, "MB/cpu-s")
			testenv.Target(b, "upload of 100 MiB, "+name, rate, "MB a cpu-s", false, 800)
		})
	}
}
