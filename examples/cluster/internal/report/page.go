package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

//go:embed page.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Of the drawing, in its units.
const (
	left, width = 150, 1000
	plotHeight  = 110
	laneHeight  = 18
)

// A drawing is what the template draws. All positions are computed here.
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
	Y        int // of its top
	Max      string
	Series   []series
	Baseline int
}

type series struct{ Class, Name, Points string }

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

// WritePage writes a page of HTML that needs nothing else: the table, and over the
// time of the run what succeeded and failed in each second, how long it took, the
// faults, and who led.
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
	y := 16 * (len(d.Faults) + 1) // labels of faults, each on a line of its own
	rate := func(of func(second) float64, class, name string) func(float64, int) series {
		return func(top float64, y int) series { return series{class, name, line(seconds, of, x, top, y)} }
	}
	add := func(title, unit string, all ...func(second) float64) (top float64) {
		for _, s := range seconds {
			for _, of := range all {
				top = max(top, of(s))
			}
		}
		d.Plots = append(d.Plots, plot{Title: title, Y: y, Max: fmt.Sprintf("%.0f%s", top, unit), Baseline: y + plotHeight})
		return top
	}
	ok, failed := func(s second) float64 { return float64(s.ok) }, func(s second) float64 { return float64(s.failed) }
	top := add("operations a second", "", ok, failed)
	d.Plots[0].Series = []series{rate(ok, "ok", "done")(top, y), rate(failed, "failed", "failed")(top, y)}
	y += plotHeight + 30
	half, most := func(s second) float64 { return s.quantile(0.5) }, func(s second) float64 { return s.quantile(0.99) }
	top = add("milliseconds until answered", " ms", half, most)
	d.Plots[1].Series = []series{rate(half, "ok", "median")(top, y), rate(most, "slow", "99 of 100")(top, y)}
	y += plotHeight + 30
	y = d.drawLeads(x, y)
	d.Height = y + 30
	for i, f := range d.Faults {
		to := f.End()
		b := band{X: x(f.From), Width: max(1, x(to)-x(f.From)), Label: x(f.From), LabelY: 12 + 16*i, Anchor: "start", Name: f.Name, Height: y,
			Title: fmt.Sprintf("%s, from %s to %s", f.Name, short(f.From), short(to))}
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

// second is what returned within one.
type second struct {
	ok, failed int
	took       []time.Duration // sorted
}

func (s second) quantile(q float64) float64 {
	if len(s.took) == 0 {
		return 0
	}
	return float64(s.took[int(q*float64(len(s.took)-1))].Microseconds()) / 1000
}

func (d *drawing) seconds(end time.Duration) []second {
	all := make([]second, int(end.Seconds())+1)
	for i := range d.Operations {
		o := &d.Operations[i]
		n := int(o.Return.Seconds())
		if o.Node != "" || n >= len(all) {
			continue
		}
		if o.Outcome == history.Failed || o.Outcome == history.Wrong {
			all[n].failed++
		} else {
			all[n].ok++
		}
		all[n].took = append(all[n].took, o.Return-o.Call)
	}
	for i := range all {
		slices.Sort(all[i].took)
	}
	return all
}

func line(seconds []second, of func(second) float64, x func(time.Duration) float64, top float64, y int) string {
	var b bytes.Buffer
	for n, s := range seconds {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(time.Duration(n)*time.Second+500*time.Millisecond), float64(y)+plotHeight*(1-of(s)/max(top, 1)))
	}
	return b.String()
}
