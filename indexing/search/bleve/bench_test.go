//go:build unix

package bleve_test

import (
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/indexing/search/bleve"
	"github.com/proget-go/ha/internal/testenv"
)

// BenchmarkSearch measures an index of 10,000 and 100,000 packages, and of as
// many as PROGET_BENCH_PACKAGES says: what building and copying it takes, and
// queries by four clients at once.
func BenchmarkSearch(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if more, err := strconv.Atoi(os.Getenv("PROGET_BENCH_PACKAGES")); err == nil {
		sizes = []int{more}
	}
	for _, packages := range sizes {
		b.Run(fmt.Sprintf("packages=%d", packages), func(b *testing.B) {
			c := newCorpus(packages)
			dir := b.TempDir()
			x := build(b, dir, c)
			defer func() { require.NoError(b, x.Close()) }()
			b.Run("copy", func(b *testing.B) { benchmarkCopy(b, x) })
			for _, kind := range slices.Concat(typed, []string{"mixed", "list", "names"}) {
				b.Run(kind, func(b *testing.B) { benchmarkQueries(b, x, c, kind) })
			}
			b.Run("open", func(b *testing.B) { benchmarkOpen(b, x, dir) })
		})
	}
}

// typed is what people type; "mixed" is all of it in turns.
var typed = []string{"one", "two", "three", "prefix", "beginning", "typo", "common", "exact"}

func build(b *testing.B, dir string, c *corpus) *bleve.Index {
	x := open(b, dir)
	began, cpu := time.Now(), cpuTime(b)
	for first := 0; first < len(c.documents); first += 1000 {
		var changes []search.Change
		for i := first; i < min(first+1000, len(c.documents)); i++ {
			changes = append(changes, search.Change{Key: c.documents[i].Key, Document: &c.documents[i]})
		}
		require.NoError(b, x.Update(b.Context(), 1, changes, int64(first), int64(first+1000), ""))
	}
	b.Logf("built %.0f packages a second, %.0f per second of processor time; %d MB on disk", float64(len(c.documents))/time.Since(began).Seconds(),
		float64(len(c.documents))/(cpuTime(b)-cpu).Seconds(), size(b, dir)>>20)
	return x
}

func size(b *testing.B, dir string) (bytes int64) {
	require.NoError(b, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // removed by a merge meanwhile
		}
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	}))
	return bytes
}

func benchmarkCopy(b *testing.B, x *bleve.Index) {
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), strconv.Itoa(rand.Int()))
		require.NoError(b, x.CopyTo(dir))
		b.StopTimer()
		b.ReportMetric(float64(size(b, dir)>>20), "MB")
		require.NoError(b, os.RemoveAll(dir))
		b.StartTimer()
	}
}

// benchmarkOpen opens a copy, as a start does.
func benchmarkOpen(b *testing.B, x *bleve.Index, dir string) {
	dir = filepath.Join(dir, "copy")
	require.NoError(b, x.CopyTo(filepath.Join(dir, bleve.Folder)))
	for b.Loop() {
		require.NoError(b, open(b, dir).Close())
	}
}

func benchmarkQueries(b *testing.B, x search.Index, c *corpus, kind string) {
	const clients = 4
	queries := c.queries(kind, 2000)
	found := 0
	for _, q := range queries[:100] {
		hits, err := x.Search(b.Context(), q)
		require.NoError(b, err)
		found += hits.Total
	}
	var next atomic.Int64
	times := make([][]time.Duration, clients)
	cpu := cpuTime(b)
	b.ResetTimer()
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				began := time.Now()
				if _, err := x.Search(b.Context(), queries[int(i)%len(queries)]); err != nil {
					b.Error(err)
				}
				times[client] = append(times[client], time.Since(began))
				runtime.Gosched() // as a server does between requests
			}
		})
	}
	all.Wait()
	b.StopTimer()
	rate := float64(b.N) / (cpuTime(b) - cpu).Seconds()
	took := slices.Concat(times...)
	slices.Sort(took)
	b.ReportMetric(rate, "queries/cpu-s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(found)/100, "hits/query")
	if len(c.documents) == 100_000 && b.N > 100 {
		testenv.Target(b, "search among 100,000 names, "+kind+": p99", float64(took[len(took)*99/100].Microseconds())/1000, "ms", true, 20)
		testenv.Target(b, "search among 100,000 names, "+kind+": queries", rate, "a cpu-s", false, 1000)
	}
}

// A corpus is packages whose names and descriptions use words as people do: a
// few of them all the time and most of them rarely.
type corpus struct {
	random    *rand.Rand
	words     []string
	long      []string // of words, those of ten letters and more
	documents []search.Document
}

func newCorpus(packages int) *corpus {
	c := &corpus{random: rand.New(rand.NewPCG(1, 2))}
	seen := make(map[string]bool)
	for len(c.words) < 30_000 {
		if w := c.invent(); !seen[w] {
			seen[w] = true
			c.words = append(c.words, w)
			if len(w) > 9 {
				c.long = append(c.long, w)
			}
		}
	}
	used := make(map[string]bool)
	for len(c.documents) < packages {
		d := c.document()
		if !used[d.Key] {
			used[d.Key] = true
			c.documents = append(c.documents, d)
		}
	}
	return c
}

// invent makes up a word.
func (c *corpus) invent() string {
	const consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
	var b strings.Builder
	for range 2 + c.random.IntN(3) {
		b.WriteByte(consonants[c.random.IntN(len(consonants))])
		b.WriteByte(vowels[c.random.IntN(len(vowels))])
		if c.random.IntN(3) == 0 {
			b.WriteByte(consonants[c.random.IntN(len(consonants))])
		}
	}
	return b.String()
}

func (c *corpus) word() string {
	const exponent = 1.1
	rank := math.Pow(1-c.random.Float64()*(1-math.Pow(float64(len(c.words)), 1-exponent)), 1/(1-exponent)) // inverse of the distribution
	return c.words[min(int(rank)-1, len(c.words)-1)]
}

func (c *corpus) sentence(words int) string {
	text := make([]string, words)
	for i := range text {
		text[i] = c.word()
	}
	return strings.Join(text, " ")
}

func (c *corpus) document() search.Document {
	names := []string{c.words[int(math.Pow(c.random.Float64(), 3)*3000)]} // a company has many packages
	for range 1 + c.random.IntN(3) {
		names = append(names, c.words[c.random.IntN(len(c.words))])
		if c.random.IntN(2) == 0 {
			names[len(names)-1] = c.word()
		}
	}
	for i, n := range names {
		names[i] = strings.ToUpper(n[:1]) + n[1:]
	}
	name := strings.Join(names, ".")
	return search.Document{
		Key: strings.ToLower(name), Name: name, Title: strings.Join(names, " "), Description: c.sentence(20 + c.random.IntN(20)),
		Authors: c.sentence(2), Tags: strings.Fields(c.sentence(3)), Types: []string{"Dependency"},
		Downloads: int64(math.Exp(c.random.Float64() * 15)), Stable: c.random.IntN(10) > 0,
	}
}

// queries returns what people may ask of the packages.
func (c *corpus) queries(kind string, n int) []search.Query {
	queries := make([]search.Query, n)
	for i := range queries {
		d := c.documents[c.random.IntN(len(c.documents))]
		names, words := search.Words(d.Name), search.Words(d.Description)
		name, word := names[c.random.IntN(len(names))], words[c.random.IntN(len(words))]
		q := &queries[i]
		q.FeedID, q.Prerelease = 1, i%2 == 0
		of := kind
		if kind == "mixed" {
			of = typed[i%len(typed)]
		}
		switch of {
		case "one":
			q.Text = name
		case "two":
			q.Text = name + " " + word
		case "three":
			q.Text = names[0] + " " + names[1] + " " + word
		case "prefix":
			q.Text = name[:min(2+c.random.IntN(4), len(name))]
		case "beginning": // too long to be indexed itself
			q.Text = c.long[i%len(c.long)][:9]
		case "typo":
			at := 1 + c.random.IntN(len(name)-1)
			q.Text = name[:at] + "x" + name[at+1:]
		case "common":
			q.Text = c.words[i%20] // in a tenth of all descriptions and more
		case "exact":
			q.Text = d.Name
		case "names":
			q.NamePrefix = d.Key[:min(2+c.random.IntN(6), len(d.Key))]
		case "list":
			q.Skip = c.random.IntN(1000)
		}
	}
	return queries
}

// cpuTime returns the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
