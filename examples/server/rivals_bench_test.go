package main_test

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/testenv"
)

// The benchmarks of rivals measure this server beside what people would take
// instead, in turns within one run.

// A rival is one of the two servers of a race.
type rival struct {
	*testenv.Process
	database *testenv.Postgres // nil: embedded, or none
	base     string            // of the feed or registry
	key      string            // in the place of a password; "" needs none
	b        testing.TB

	count atomic.Int64 // pieces of work so far
	cpu   time.Duration
	times []time.Duration
}

// send sends a request and expects one of the 200s.
func (r *rival) send(method, path string, body []byte, header ...string) (*http.Response, error) {
	url := path
	if !strings.HasPrefix(path, "http") {
		url = r.base + path
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if r.key != "" && method != http.MethodGet {
		req.SetBasicAuth("api", r.key)
	}
	resp, err := racers.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s %.200s", method, url, resp.Status, text)
	}
	return resp, err
}

// racers keep as many connections as there are clients.
var racers = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}

// turn does n pieces of work by some clients.
func (r *rival) turn(b *testing.B, clients, n int, measured bool, work func(n int64) error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var left atomic.Int64
	left.Store(int64(n))
	before := r.used(b)
	for range clients {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				began := time.Now()
				if err := work(r.count.Add(1)); err != nil {
					b.Error(err)
					return
				}
				if measured {
					mu.Lock()
					r.times = append(r.times, time.Since(began))
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if measured {
		r.cpu += r.used(b) - before
	}
}

// used is the processor time of the server and its database.
func (r *rival) used(b *testing.B) time.Duration {
	if r.database != nil {
		return r.CPU(b) + r.database.CPU(b)
	}
	return r.CPU(b)
}

// report tells what a second of the server's processor time yielded, and how long
// each piece of work took.
func (r *rival) report(b *testing.B, who string) {
	b.ReportMetric(float64(len(r.times))/r.cpu.Seconds(), who+"ops/cpu-s")
	slices.Sort(r.times)
	b.ReportMetric(r.times[len(r.times)/2].Seconds()*1000, who+"p50-ms")
	b.ReportMetric(r.times[len(r.times)*99/100].Seconds()*1000, who+"p99-ms")
	b.ReportMetric(0, "ns/op") // of all that was done, which means nothing
}

// race has both do so many pieces of work by some clients, in turns, and returns
// how many times the rival's work this server does per second of processor time.
func race(b *testing.B, clients, pieces int, ours, theirs *rival, work func(r *rival, n int64) error) (times float64) {
	b.Helper()
	const turns = 10
	for turn := range turns + 1 { // the first warms up, which a rival that compiles as it runs needs most
		n := pieces / turns
		if turn == 0 {
			n = pieces / 2
		}
		for _, r := range []*rival{ours, theirs} {
			if turn == 0 {
				r.cpu, r.times = 0, nil
			}
			r.turn(b, clients, n, turn > 0, func(n int64) error { return work(r, n) })
		}
	}
	ours.report(b, "")
	theirs.report(b, "rival-")
	b.ReportMetric(theirs.cpu.Seconds()/ours.cpu.Seconds(), "of-rival")
	return theirs.cpu.Seconds() / ours.cpu.Seconds()
}

// embedded starts this server on embedded defaults, and onPostgres on a
// PostgreSQL of its own.
func embedded(b *testing.B) *rival { return &rival{Process: start(b), key: apiKey, b: b} }

func onPostgres(b *testing.B) *rival {
	pg := testenv.StartPostgres(b)
	return &rival{Process: start(b, "-db", pg.NewDatabase(b), "-encryption-key", key), database: pg, key: apiKey, b: b}
}

// noise is what nothing can compress.
func noise(seed int64, size int) []byte {
	bytes := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(bytes) // it cannot fail
	return bytes
}

// npmDocument is what npm publishes: a tarball of about size bytes.
func npmDocument(b testing.TB, name, version string, size int, dependencies map[string]string) []byte {
	manifest := map[string]any{"name": name, "version": version, "description": "A library.", "license": "MIT", "dependencies": dependencies,
		"scripts": map[string]string{"test": "node test.js"}, "repository": map[string]string{"type": "git", "url": "https://example.com/lib.git"}}
	text, _ := json.Marshal(manifest)
	tarball := testenv.Tarball(b, "package/package.json", string(text), "package/data", string(noise(int64(len(name)+len(version)), size)))
	one, five := sha1.Sum(tarball), sha512.Sum512(tarball)
	manifest["_id"] = name + "@" + version
	manifest["dist"] = map[string]any{"shasum": hex.EncodeToString(one[:]), "integrity": "sha512-" + base64.StdEncoding.EncodeToString(five[:]),
		"tarball": "http://localhost/" + name + "/-/" + name + "-" + version + ".tgz"}
	doc, _ := json.Marshal(map[string]any{"_id": name, "name": name, "dist-tags": map[string]string{"latest": version}, "versions": map[string]any{version: manifest},
		"_attachments": map[string]any{name + "-" + version + ".tgz": map[string]any{"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball)}}})
	return doc
}

func (r *rival) publishNPM(name, version string, size int, dependencies map[string]string) error {
	_, err := r.send(http.MethodPut, "/"+name, npmDocument(r.b, name, version, size, dependencies), "Content-Type", "application/json")
	return err
}

// BenchmarkNPM races with Verdaccio, which does not wait for its disk when it
// publishes; this server does.
func BenchmarkNPM(b *testing.B) {
	theirs := &rival{Process: testenv.StartVerdaccio(b), b: b}
	theirs.base = theirs.URL
	b.Run("SQLite", func(b *testing.B) { npm(b, "SQLite", embedded(b), theirs, true) })
	b.Run("PostgreSQL", func(b *testing.B) { npm(b, "PostgreSQL", onPostgres(b), theirs, false) })
}

func npm(b *testing.B, where string, ours, theirs *rival, all bool) {
	ours.base = ours.URL + "/npm/npm"
	b.Run("publish 100 KiB", func(b *testing.B) {
		times := race(b, 8, 400, ours, theirs, func(r *rival, n int64) error {
			return r.publishNPM(fmt.Sprintf("new-%s-%d", strings.ToLower(where), n), "1.0.0", 100<<10, nil)
		})
		testenv.Target(b, where+", npm publish of 100 KiB, 8 clients", times, "times Verdaccio", false, 3)
	})
	if !all {
		return
	}
	for _, versions := range []int{10, 500} {
		name := fmt.Sprintf("lib%d", versions)
		for n := range versions {
			for _, r := range []*rival{ours, theirs} {
				require.NoError(b, r.publishNPM(name, fmt.Sprintf("1.%d.0", n), 1<<10, nil))
			}
		}
		for what, accept := range map[string]string{"packument": "application/json", "abbreviated": "application/vnd.npm.install-v1+json"} {
			b.Run(fmt.Sprintf("%s of %d versions", what, versions), func(b *testing.B) {
				race(b, 16, 600, ours, theirs, func(r *rival, _ int64) error {
					_, err := r.send(http.MethodGet, "/"+name, nil, "Accept", accept)
					return err
				})
			})
		}
	}
	b.Run("packuments asked for once", func(b *testing.B) {
		const packages = 2000
		for n := range packages {
			for _, r := range []*rival{ours, theirs} {
				require.NoError(b, r.publishNPM(fmt.Sprintf("cold%d-%d", b.N, n), "1.0.0", 1<<10, nil))
			}
		}
		race(b, 16, 600, ours, theirs, func(r *rival, n int64) error {
			_, err := r.send(http.MethodGet, fmt.Sprintf("/cold%d-%d", b.N, n%packages), nil)
			return err
		})
	})
	for _, r := range []*rival{ours, theirs} {
		require.NoError(b, r.publishNPM("large", "1.0.0", 100<<10, nil))
	}
	b.Run("tarball of 100 KiB", func(b *testing.B) {
		race(b, 16, 600, ours, theirs, func(r *rival, _ int64) error {
			_, err := r.send(http.MethodGet, "/large/-/large-1.0.0.tgz", nil)
			return err
		})
	})
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	layerType = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// uploadBlob uploads a blob in two requests, as clients do.
func (r *rival) uploadBlob(repo string, blob []byte) error {
	resp, err := r.send(http.MethodPost, "/"+repo+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	at, err := resp.Location()
	if err != nil {
		return err
	}
	q := at.Query()
	q.Set("digest", digest.FromBytes(blob).String())
	at.RawQuery = q.Encode()
	_, err = r.send(http.MethodPut, at.String(), blob, "Content-Type", "application/octet-stream")
	return err
}

// pushImage pushes an image of some layers of 100 KiB.
func (r *rival) pushImage(repo, tag string, seed int64, layers int) error {
	descriptor := func(mediaType string, blob []byte) (map[string]any, error) {
		return map[string]any{"mediaType": mediaType, "digest": digest.FromBytes(blob), "size": len(blob)}, r.uploadBlob(repo, blob)
	}
	config, err := descriptor("application/vnd.oci.image.config.v1+json", fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","seed":%d}`, seed))
	var list []any
	for n := range layers {
		layer, failed := descriptor(layerType, noise(seed<<8+int64(n), 100<<10))
		list, err = append(list, layer), cmp.Or(err, failed)
	}
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": config, "layers": list})
	if err == nil {
		_, err = r.send(http.MethodPut, "/"+repo+"/manifests/"+tag, manifest, "Content-Type", imageType)
	}
	return err
}

// BenchmarkOCI races with the distribution registry.
func BenchmarkOCI(b *testing.B) {
	theirs := &rival{Process: testenv.StartDistribution(b), b: b}
	theirs.base = theirs.URL + "/v2/docker"
	b.Run("SQLite", func(b *testing.B) { images(b, "SQLite", embedded(b), theirs, true) })
	b.Run("PostgreSQL", func(b *testing.B) { images(b, "PostgreSQL", onPostgres(b), theirs, false) })
}

func images(b *testing.B, where string, ours, theirs *rival, all bool) {
	ours.base = ours.URL + "/v2/docker"
	b.Run("push of two layers", func(b *testing.B) {
		times := race(b, 8, 200, ours, theirs, func(r *rival, n int64) error {
			return r.pushImage(fmt.Sprintf("new-%s/%d", strings.ToLower(where), n%50), fmt.Sprint(n), int64(len(where))<<32+n, 2)
		})
		testenv.Target(b, where+", push of an image of two layers, 8 clients", times, "times the registry", false, 2)
	})
	if !all {
		return
	}
	for _, tags := range []int{10, 500} {
		repo := fmt.Sprintf("lib%d", tags)
		for n := range tags {
			for _, r := range []*rival{ours, theirs} {
				require.NoError(b, r.pushImage(repo, fmt.Sprint(n), int64(n), 1))
			}
		}
		b.Run(fmt.Sprintf("manifest of %d by tag", tags), func(b *testing.B) {
			race(b, 16, 600, ours, theirs, func(r *rival, n int64) error {
				_, err := r.send(http.MethodGet, fmt.Sprintf("/%s/manifests/%d", repo, n%int64(tags)), nil, "Accept", imageType)
				return err
			})
		})
	}
	layer := digest.FromBytes(noise(0, 100<<10)).String()
	b.Run("layer of 100 KiB", func(b *testing.B) {
		race(b, 16, 600, ours, theirs, func(r *rival, _ int64) error {
			_, err := r.send(http.MethodGet, "/lib10/blobs/"+layer, nil)
			return err
		})
	})
}
