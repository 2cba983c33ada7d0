package web

import "fmt"

// Sizes of a sparkline, in its own units.
const (
	sparkHeight = 36
	sparkStep   = 8 // from one bar to the next
	sparkBar    = 6 // width of a bar
	sparkDays   = 30
)

// A sparkline shows counts of days as bars.
type sparkline struct {
	Width, Height int
	Total         int64
	Bars          []bar
}

// A bar is one day's.
type bar struct {
	X, Y, Width, Height int
	Text                string
}

// newSparkline draws counts, the last of which is today's. It returns nil if there
// is nothing to be seen.
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
			height = max(height, 2) // few are more than none
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
