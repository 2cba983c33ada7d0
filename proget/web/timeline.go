package web

import (
	"fmt"
	"slices"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget/cluster"
)

// Measures of the timeline, in the drawing's own units.
const (
	timelineLeft   = 150 // where the hour begins; names are to the left
	timelineWidth  = 720 // width of the hour
	timelineRow    = 34  // distance between rows
	timelineBar    = 22  // the height of a row's content
	timelineColors = 6
	timelineTick   = 10 * time.Minute
)

// A timeline is a drawing of the cluster's last hour: who was the primary, and how far
// each search index lagged.
type timeline struct {
	Width, Height int
	Left, Right   int
	Axis          int // vertical position of the times
	Ticks         []timelineMark
	Terms         []timelineTerm
	Rows          []timelineLags
}

type timelineMark struct {
	X     int
	Label string
}

type timelineTerm struct {
	X, Y, Width, Height int
	Color               int
	Holder              string
	Fence               int64
	From, To            string // times of day, UTC
}

type timelineLags struct {
	Y, Base int // top and bottom of the row
	Name    string
	Color   int
	Peak    int64 // greatest lag of the hour; -1 if unknown
	Minutes []timelineMinute
}

type timelineMinute struct {
	X, Y, Width, Height int
	Lag                 int64
	At                  string
}

func newTimeline(h cluster.History, members []cluster.Member) timeline {
	names := timelineNames(h, members)
	t := timeline{Width: timelineLeft + timelineWidth + 20, Left: timelineLeft, Right: timelineLeft + timelineWidth}
	for _, term := range h.Terms {
		t.Terms = append(t.Terms, newTimelineTerm(term, h.Now, slices.Index(names, term.Holder)).inside())
	}
	y := timelineRow
	for _, m := range members {
		if len(m.Lags.Peaks) == 0 {
			continue
		}
		t.Rows = append(t.Rows, newTimelineLags(m, h.Now, y, slices.Index(names, m.Name)))
		y += timelineRow
	}
	t.Axis = y + 12
	t.Height = t.Axis + 10
	for at := h.Now.Truncate(timelineTick); !at.Before(h.Now.Add(-cluster.Past)); at = at.Add(-timelineTick) {
		t.Ticks = append(t.Ticks, timelineMark{timelineX(at, h.Now), at.UTC().Format("15:04")})
	}
	return t
}

// timelineNames returns everyone who appears, so that each has one color in both
// drawings.
func timelineNames(h cluster.History, members []cluster.Member) (names []string) {
	for _, m := range members {
		names = append(names, m.Name)
	}
	for _, term := range h.Terms {
		names = append(names, term.Holder)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func newTimelineTerm(term db.Term, now time.Time, color int) timelineTerm {
	from, to := timelineX(term.Began, now), timelineX(term.Seen, now)
	return timelineTerm{X: from, Y: (timelineRow - timelineBar) / 2, Width: max(to-from, 2), Height: timelineBar,
		Color: color % timelineColors, Holder: term.Holder, Fence: term.Fence,
		From: term.Began.UTC().Format("15:04:05"), To: term.Seen.UTC().Format("15:04:05")}
}

func newTimelineLags(m cluster.Member, now time.Time, y, color int) timelineLags {
	row := timelineLags{Y: y, Base: y + timelineRow - (timelineRow-timelineBar)/2, Name: m.Name, Color: color % timelineColors, Peak: -1}
	last := now.Unix() / 60
	minutes := int64(cluster.Past / time.Minute)
	for minute := last - minutes + 1; minute <= last; minute++ {
		row.Peak = max(row.Peak, m.Lags.At(minute))
	}
	for minute := last - minutes + 1; minute <= last; minute++ {
		lag := m.Lags.At(minute)
		if lag < 0 {
			continue
		}
		at := time.Unix(minute*60, 0)
		x, end := timelineX(at, now), timelineX(at.Add(time.Minute), now)
		height := 1
		if row.Peak > 0 {
			height = max(int(lag*timelineBar/row.Peak), 1)
		}
		row.Minutes = append(row.Minutes, timelineMinute{x, row.Base - height, max(end-x-1, 1), height, lag, at.UTC().Format("15:04")})
	}
	return row
}

// timelineX returns the horizontal position of a time in the last hour.
func timelineX(at, now time.Time) int {
	share := 1 - float64(now.Sub(at))/float64(cluster.Past)
	return timelineLeft + int(share*timelineWidth+0.5)
}

// inside clips a term that began before the hour to the drawing.
func (t timelineTerm) inside() timelineTerm {
	if cut := timelineLeft - t.X; cut > 0 {
		t.X, t.Width = timelineLeft, max(t.Width-cut, 2)
	}
	return t
}

// Summary describes the drawing in words.
func (t timeline) Summary() string {
	verb := "were"
	if len(t.Terms) == 1 {
		verb = "was"
	}
	text := fmt.Sprintf("In the last hour there %s %s of leadership.", verb, quantity.Of(len(t.Terms), "term"))
	for _, r := range t.Rows {
		if r.Peak >= 0 {
			text += fmt.Sprintf(" The greatest index lag of %s was %s (log entries).", r.Name, quantity.Count(r.Peak))
		}
	}
	return text
}
