package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

//go:embed page.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Dimensions of the drawing, in its units.
const (
	left, width = 150, 1000
	plotHeight  = 110
	laneHeight  = 18
)

// Distances between lines of text.
const (
	lineHeight = 16
	gap        = 30 // between plots
)

// A drawing is the template's data. All positions are computed here.
type drawing struct {
	*Report
	Table  string
	Height int
	Plots  []plot
	Bands  []band // faults, behind all plots
	Lanes  []lane // who led
	Ticks  []tick
}

type plot struct {
	Title    string
	Y        int // position of its top
	Max      string
	Series   []series
	Baseline int
}

// series is drawn as several lines, with gaps where there is no data.
type series struct {
	Class, Name string
	LabelY      int
	Lines       []string // points
}

type band struct {
	X, Width, Label float64
	LabelY          int
	Anchor          string // of the label: start, or end where there is no room on the right
	Name, Title     string
	Height          int
}

type lane struct {
	Node  string
	Y     int
	Spans []span
}

type span struct {
	X, Width float64
	Title    string
}

type tick struct {
	X    float64
	Text string
}

// When returns the beginning of the run as text.
func (d *drawing) When() string { return d.when() }

// Heading returns the verdict in a few words.
func (d *drawing) Heading() string {
	v := &d.Verdict
	switch {
	case len(v.Violations) > 0:
		return fmt.Sprintf("Violations: %d", len(v.Violations))
	case d.Incomplete != "":
		return "Incomplete, without a violation until then"
	case v.Undecided > 0:
		return fmt.Sprintf("%d of %d packages are undecided; otherwise, every promise was kept", v.Undecided, v.Packages)
	}
	return "Every promise was kept"
}

// Kept reports whether every promise was kept and all was checked.
func (d *drawing) Kept() bool {
	return len(d.Verdict.Violations) == 0 && d.Incomplete == "" && d.Verdict.Undecided == 0
}

// WritePage writes a self-contained HTML page: the table and, over the time of the run,
// how many operations were done, refused and failed in each second, how long they took,
// the faults, and who led.
func (r *Report) WritePage(w io.Writer) error {
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		return err
	}
	d := &drawing{Report: r, Table: table.String()}
	end := max(r.End, time.Second)
	x := func(t time.Duration) float64 { return left + width*float64(min(t, end))/float64(end) }
	d.draw(x, end)
	return pageTemplate.Execute(w, d)
}

func (d *drawing) draw(x func(time.Duration) float64, end time.Duration) {
	seconds := d.seconds(end)
	y := lineHeight * (len(d.Faults) + 1) // labels of faults, each on a line of its own
	y = d.plot("operations a second", "", seconds, x, y,
		measure{"ok", "done", func(s second) float64 { return float64(s.ok) }},
		measure{"failed", "failed", func(s second) float64 { return float64(s.failed) }},
		measure{"refused", "refused", func(s second) float64 { return float64(s.refused) }},
		measure{"stale", "stale", func(s second) float64 { return float64(s.stale) }})
	y = d.plot("milliseconds until answered", " ms", seconds, x, y,
		measure{"ok", "median", func(s second) float64 { return s.quantile(0.5) }},
		measure{"slow", "99th percentile", func(s second) float64 { return s.quantile(0.99) }})
	y = d.plot("wait of pending operations, in seconds", " s", seconds, x, y,
		measure{"failed", "oldest operation", func(s second) float64 { return s.waiting.Seconds() }})
	y = d.drawLeads(x, y)
	d.Height = y + gap
	for i, f := range d.Faults {
		to := f.End()
		b := band{X: x(f.From), Width: max(1, x(to)-x(f.From)), Label: x(f.From), LabelY: 12 + lineHeight*i, Anchor: "start", Name: f.Name, Height: y,
			Title: fmt.Sprintf("%s, from %s to %s (%s to %s)", f.Name, short(f.From), short(to), d.clock(f.From), d.clock(to))}
		if b.Label > left+0.75*width {
			b.Label, b.Anchor = x(to), "end"
		}
		d.Bands = append(d.Bands, b)
	}
	step := 10 * time.Second
	for end/step > 12 {
		step *= 2
	}
	for t := time.Duration(0); t <= end; t += step {
		d.Ticks = append(d.Ticks, tick{x(t), fmt.Sprintf("%.0f s", t.Seconds())})
	}
}

// A measure is a value for each second; math.NaN() means none.
type measure struct {
	class, name string
	of          func(second) float64
}

// plot adds a plot at y, and returns where the next one goes.
func (d *drawing) plot(title, unit string, seconds []second, x func(time.Duration) float64, y int, all ...measure) (next int) {
	top := 1.0
	for _, s := range seconds {
		for _, m := range all {
			if v := m.of(s); !math.IsNaN(v) {
				top = max(top, v)
			}
		}
	}
	p := plot{Title: title, Y: y, Max: fmt.Sprintf("%.0f%s", top, unit), Baseline: y + plotHeight}
	for i, m := range all {
		p.Series = append(p.Series, series{m.class, m.name, 44 + lineHeight*i, lines(seconds, m.of, x, top, y)})
	}
	d.Plots = append(d.Plots, p)
	return y + plotHeight + gap
}

func (d *drawing) drawLeads(x func(time.Duration) float64, y int) int {
	lanes := make(map[string]*lane)
	for _, l := range d.Leads {
		if lanes[l.Node] == nil {
			lanes[l.Node] = &lane{Node: l.Node}
		}
		lanes[l.Node].Spans = append(lanes[l.Node].Spans, span{x(l.From), max(1, x(l.To)-x(l.From)), fmt.Sprintf("%s led from %s to %s", l.Node, short(l.From), short(l.To))})
	}
	var names []string
	for name := range lanes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		lanes[name].Y = y
		d.Lanes = append(d.Lanes, *lanes[name])
		y += laneHeight
	}
	return y
}

// second describes the operations that returned within one second.
type second struct {
	ok, refused, stale, failed int
	took                       []time.Duration // sorted

	// waiting is the longest time that an operation still pending at the end of the
	// second had taken.
	waiting time.Duration
}

// quantile returns a quantile of took; math.NaN() for a second without an answer.
func (s second) quantile(q float64) float64 {
	if len(s.took) == 0 {
		return math.NaN()
	}
	return milliseconds(s.took[int(q*float64(len(s.took)-1))])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (d *drawing) seconds(end time.Duration) []second {
	all := make([]second, int(end.Seconds())+1)
	for i := range d.Operations {
		o := &d.Operations[i]
		if o.Node != "" {
			continue // part of the survey
		}
		n := int(o.Return.Seconds())
		for i := int(o.Call.Seconds()); i < min(n, len(all)); i++ {
			all[i].waiting = max(all[i].waiting, time.Duration(i+1)*time.Second-o.Call)
		}
		if n < len(all) {
			all[n].count(o)
		}
	}
	for i := range all {
		slices.Sort(all[i].took)
	}
	return all
}

func (s *second) count(o *history.Operation) {
	switch {
	case o.Outcome.Failure():
		s.failed++
	case o.Outcome == history.Stale:
		s.stale++
	case o.Outcome == history.OK:
		s.ok++
	default:
		s.refused++
	}
	s.took = append(s.took, o.Return-o.Call)
}

// lines draws a value of each second as lines between the middles of seconds.
func lines(seconds []second, of func(second) float64, x func(time.Duration) float64, top float64, y int) (all []string) {
	var points []string
	end := func() {
		if len(points) == 1 { // one point would not be visible
			points = append(points, points[0])
		}
		if len(points) > 0 {
			all, points = append(all, strings.Join(points, " ")), nil
		}
	}
	for n, s := range seconds {
		v := of(s)
		if math.IsNaN(v) {
			end()
			continue
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(time.Duration(n)*time.Second+500*time.Millisecond), float64(y)+plotHeight*(1-v/top)))
	}
	end()
	return all
}
