package web

import "fmt"

// Sizes of a sparkline, in its own units.
const (
	sparkHeight = 36
	sparkStep   = 8 // distance between bars
	sparkBar    = 6 // width of a bar
	sparkDays   = 30
)

// A sparkline shows daily counts as bars.
type sparkline struct {
	Width, Height int
	Total         int64
	Bars          []bar
}

// A bar shows one day.
type bar struct {
	X, Y, Width, Height int
	Text                string
}

// newSparkline draws daily counts, of which the last is today's. It returns nil if
// there is nothing to show.
func newSparkline(counts []int64) *sparkline {
	s := &sparkline{Width: len(counts)*sparkStep - (sparkStep - sparkBar), Height: sparkHeight}
	var most int64
	for _, n := range counts {
		most, s.Total = max(most, n), s.Total+n
	}
	if most == 0 {
		return nil
	}
	for i, n := range counts {
		height := int(float64(n) / float64(most) * sparkHeight)
		if n > 0 {
			height = max(height, 2) // a few must look different from none
		}
		s.Bars = append(s.Bars, bar{i * sparkStep, sparkHeight - height, sparkBar, height, fmt.Sprintf("%s: %d", daysBefore(len(counts)-1-i), n)})
	}
	return s
}

func daysBefore(n int) string {
	switch n {
	case 0:
		return "Today"
	case 1:
		return "Yesterday"
	}
	return fmt.Sprintf("%d days ago", n)
}
