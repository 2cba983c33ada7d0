package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

// at makes an operation that was called and returned at numbers of seconds.
func at(call, end float64, o history.Outcome) history.Operation {
	return history.Operation{Kind: history.Push, Outcome: o, Call: seconds(call), Return: seconds(end)}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func fault(from, to, well float64) Fault {
	return Fault{Name: "f", From: seconds(from), To: seconds(to), Well: seconds(well)}
}

// TestStall: a stall lasts until somebody succeeds, also after the fault.
func TestStall(t *testing.T) {
	t.Parallel()
	ok, failed := history.OK, history.Failed
	for name, tc := range map[string]struct {
		operations []history.Operation
		want       float64
	}{
		"within":                      {[]history.Operation{at(9, 11, ok), at(11, 14, ok), at(14, 15.5, ok)}, 3},
		"until after the fault":       {[]history.Operation{at(9, 11, ok), at(11, 19, ok), at(19, 20, ok)}, 8},
		"before does not count":       {[]history.Operation{at(1, 2, ok), at(9, 11, ok), at(14, 15.5, ok)}, 4.5},
		"afterwards does not, either": {[]history.Operation{at(9, 11, ok), at(11, 16, ok), at(20, 29, ok)}, 5},
		"failures are no successes":   {[]history.Operation{at(9, 11, ok), at(11, 13, failed), at(13, 17, ok)}, 6},
		"until the end":               {nil, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Report{Operations: tc.operations, End: seconds(30)}
			f := fault(10, 14, 15)
			require.Equal(t, seconds(tc.want), r.stall(f.From, f.End()))
		})
	}
}

// TestDuring: an operation counts for a fault if it was under way at some moment
// of it, whenever it began and returned.
func TestDuring(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		operation   history.Operation
		all, failed int
	}{
		"before":          {at(8, 9, history.Failed), 0, 0},
		"in flight at it": {at(8, 11, history.Failed), 1, 1},
		"within":          {at(11, 12, history.Wrong), 1, 1},
		"that succeeds":   {at(11, 12, history.OK), 1, 0},
		"that hangs":      {at(14, 70, history.Failed), 1, 1},
		"all the time":    {at(8, 70, history.Failed), 1, 1},
		"after":           {at(16, 17, history.Failed), 0, 0},
		"of the survey":   {history.Operation{Node: "web-1", Call: seconds(11), Return: seconds(12)}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Report{Operations: []history.Operation{tc.operation}}
			f := fault(10, 14, 15)
			all, failed := r.During(&f, history.Outcome.Failure)
			require.Equal(t, tc.all, all)
			require.Equal(t, tc.failed, failed)
		})
	}
}

// TestSeconds: what is refused or stale is not done, and a second without an answer
// is not one of quick answers.
func TestSeconds(t *testing.T) {
	t.Parallel()
	d := &drawing{Report: &Report{Operations: []history.Operation{
		at(0, 0.5, history.OK), at(0, 0.5, history.Conflict), at(0, 0.6, history.Missing), at(0, 0.7, history.Stale), at(0, 0.8, history.Wrong),
		at(0.5, 3.25, history.OK),
	}}}
	all := d.seconds(seconds(4))
	require.Equal(t, []int{1, 2, 1, 1}, []int{all[0].ok, all[0].refused, all[0].stale, all[0].failed})
	require.Equal(t, seconds(0.5), all[0].waiting)
	require.Equal(t, seconds(2.5), all[2].waiting)
	require.Zero(t, all[3].waiting)
	x := func(t time.Duration) float64 { return t.Seconds() }
	drawn := lines(all, func(s second) float64 { return s.quantile(0.5) }, x, 10_000, 0)
	require.Len(t, drawn, 2, "nothing is drawn while nothing is answered")
	require.True(t, strings.HasPrefix(drawn[0], "0.5,"), drawn)
	require.True(t, strings.HasPrefix(drawn[1], "3.5,"), drawn)
}

// TestVerdictIsShown: page and table say when the run was, on what, and what is
// known of it; they do not say that all is well if that is not known.
func TestVerdictIsShown(t *testing.T) {
	t.Parallel()
	const kept = "Every promise was kept"
	for name, tc := range map[string]struct {
		change func(r *Report)
		page   string
		table  string
	}{
		"kept":        {func(*Report) {}, kept, "violations 0"},
		"violated":    {func(r *Report) { r.Verdict.Violations = []history.Violation{{What: "It is gone."}} }, "Violations: 1", "VIOLATION: It is gone."},
		"undecided":   {func(r *Report) { r.Verdict.Undecided = 2 }, "2 of 9 packages are undecided", "2 undecided"},
		"incomplete":  {func(r *Report) { r.Incomplete = "interrupted" }, "Incomplete: interrupted", "INCOMPLETE: interrupted"},
		"not checked": {func(r *Report) { r.Unchecked = []string{"The sweep."} }, "<li>The sweep.</li>", "NOT CHECKED: The sweep."},
		"not here":    {func(r *Report) { r.Skipped = []Skipped{{"clocks", "there is one"}} }, "<li>clocks: there is one</li>", "not here: there is one"},
		"two lead": {func(r *Report) {
			r.Leads = []Lead{{"a", seconds(1), seconds(5)}, {"b", seconds(4), seconds(9)}, {"a", seconds(10), seconds(12)}, {"b", seconds(11), seconds(11)}}
		}, kept, "claimed at the same time to be the primary, 2 times, for 1.0 s at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Report{Began: time.Date(2026, 11, 29, 18, 21, 7, 0, time.UTC), Setting: "3 web nodes behind HAProxy", End: seconds(30),
				Faults: []Fault{fault(10, 14, 15)}, Verdict: history.Verdict{Packages: 9}}
			tc.change(r)
			var page, table bytes.Buffer
			require.NoError(t, r.WritePage(&page))
			require.NoError(t, r.WriteTable(&table))
			head, _, _ := strings.Cut(page.String(), "<svg")
			require.Contains(t, head, tc.page)
			require.Equal(t, tc.page == kept || name == "not checked" || name == "not here", strings.Contains(head, kept))
			require.Contains(t, table.String(), tc.table)
			for _, text := range []string{head, table.String()} {
				require.Contains(t, text, "Began 2026-11-29 18:21:07.000 UTC: 3 web nodes behind HAProxy")
			}
			require.Contains(t, table.String(), "18:21:17", "the fault's time by the clock of logs")
		})
	}
}
