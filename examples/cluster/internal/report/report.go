// Package report presents the results of a run of the fault suite: as a table, and as a
// page with a drawn timeline.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
	"github.com/proget-go/ha/internal/quantity"
)

// A Report is the data to present.
type Report struct {
	Began      time.Time // time to which all others are relative
	Setting    string    // what ran, in one line
	Operations []history.Operation
	Faults     []Fault
	Skipped    []Skipped
	Leads      []Lead
	Verdict    history.Verdict
	End        time.Duration // end of the load
	Incomplete string        // why the run ended early; "" if it did not
	Unchecked  []string      // what could not be checked, and why
}

// A Fault is a fault that happened. Its times are since the beginning.
type Fault struct {
	Name     string
	From, To time.Duration // To is when it was undone
	Well     time.Duration // when everything worked again; 0 if it never did
	Failover time.Duration // longest time until another node led; 0 if none had to
	Harmless bool          // clients must not notice it

	// Unfinished means that the run ended before everything worked again.
	Unfinished bool
}

// End returns when the fault was over and, if ever, everything worked again.
func (f *Fault) End() time.Duration { return max(f.To, f.Well) }

// A Skipped is a fault that is not possible here.
type Skipped struct{ Name, Why string }

// A Lead is a time during which a node said that it led.
type Lead struct {
	Node     string
	From, To time.Duration
}

// failure describes how an operation failed, for people.
func failure(o *history.Operation) string {
	if o.Status > 0 {
		return fmt.Sprintf("status %d", o.Status)
	}
	switch {
	case strings.Contains(o.Message, "Client.Timeout"), strings.Contains(o.Message, "timeout"):
		return "no answer in a minute"
	case strings.Contains(o.Message, "refused"):
		return "connection refused"
	case o.Status < 0:
		return "unreadable answer"
	}
	return "connection broken"
}

// counts are totals of the operations of one kind.
type counts struct {
	all, ok, refused, stale int
	failed                  map[string]int
	longest                 time.Duration
}

// byKind counts what clients did while the load ran.
func (r *Report) byKind() map[history.Kind]*counts {
	all := make(map[history.Kind]*counts)
	for i := range r.Operations {
		o := &r.Operations[i]
		if o.Node != "" {
			continue // part of the survey
		}
		c := all[o.Kind]
		if c == nil {
			c = &counts{failed: make(map[string]int)}
			all[o.Kind] = c
		}
		c.all++
		c.longest = max(c.longest, o.Return-o.Call)
		switch o.Outcome {
		case history.OK:
			c.ok++
		case history.Conflict, history.Missing:
			c.refused++
		case history.Stale:
			c.stale++
		default:
			c.failed[failure(o)]++
		}
	}
	return all
}

// stall returns the longest time between two moments in which no operation succeeded.
// One that lasts beyond the second moment ends with the next success, or with the load.
func (r *Report) stall(from, to time.Duration) (longest time.Duration) {
	var times []time.Duration
	for i := range r.Operations {
		if o := &r.Operations[i]; o.Node == "" && o.Outcome == history.OK && o.Return >= from && o.Return < r.End {
			times = append(times, o.Return)
		}
	}
	slices.Sort(times)
	last := from
	for _, t := range append(times, r.End) {
		longest, last = max(longest, t-last), t
		if t >= to {
			break
		}
	}
	return longest
}

// During returns how many operations were pending at some moment of a fault, and how
// many of those had an outcome of a kind.
func (r *Report) During(f *Fault, of func(history.Outcome) bool) (all, some int) {
	for i := range r.Operations {
		if o := &r.Operations[i]; o.Node == "" && o.Call < f.End() && o.Return >= f.From {
			all++
			if of(o.Outcome) {
				some++
			}
		}
	}
	return all, some
}

// together counts the times when two nodes said at once that they led, even if only in
// one answer.
func (r *Report) together() (times int, longest time.Duration) {
	leads := slices.SortedFunc(slices.Values(r.Leads), func(a, b Lead) int { return cmp.Compare(a.From, b.From) })
	for i, l := range leads {
		for _, next := range leads[i+1:] {
			if both := min(l.To, next.To) - next.From; both >= 0 && next.Node != l.Node {
				times++
				longest = max(longest, both)
			}
		}
	}
	return times, longest
}

// WriteHistory writes a JSON line that says when the run began and what ran, then one
// for each operation, with times in nanoseconds since the beginning.
func (r *Report) WriteHistory(w io.Writer) error {
	e := json.NewEncoder(w)
	if err := e.Encode(map[string]any{"began": r.Began, "setting": r.Setting, "incomplete": r.Incomplete}); err != nil {
		return err
	}
	for i := range r.Operations {
		if err := e.Encode(&r.Operations[i]); err != nil {
			return err
		}
	}
	return nil
}

// when returns the beginning of the run, for people who look into the nodes' logs next.
func (r *Report) when() string { return r.Began.Format("2006-01-02 15:04:05.000 MST") }

// WriteTable writes the results as a table of text.
func (r *Report) WriteTable(out io.Writer) error {
	fmt.Fprintf(out, "Began %s: %s\n\n", r.when(), r.Setting)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "OPERATION\tASKED\tDONE\tREFUSED\tSTALE\tFAILED\tLONGEST\tHOW THEY FAILED")
	kinds := r.byKind()
	for _, kind := range history.Kinds {
		c := kinds[kind]
		if c == nil {
			continue
		}
		var how []string
		failed := 0
		for name, n := range c.failed {
			how = append(how, fmt.Sprintf("%d %s", n, name))
			failed += n
		}
		slices.Sort(how)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", kind, c.all, c.ok, c.refused, c.stale, failed, short(c.longest), strings.Join(how, ", "))
	}
	fmt.Fprintln(w, "\nFAULT\tAT\tCLOCK\tFOR\tASKED\tFAILED\tLONGEST STALL\tANOTHER LED AFTER\tWELL AFTER")
	for i := range r.Faults {
		f := &r.Faults[i]
		all, failed := r.During(f, history.Outcome.Failure)
		failover, well := "", "never"
		if f.Failover > 0 {
			failover = short(f.Failover)
		}
		if f.Unfinished {
			well = "unknown"
		}
		if f.Well > 0 {
			well = short(f.Well - f.To)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", f.Name, short(f.From), r.clock(f.From), short(f.To-f.From), all, failed, short(r.stall(f.From, f.End())), failover, well)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "%s\tnot here: %s\n", s.Name, s.Why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	r.writeVerdict(out)
	return nil
}

// clock returns a moment by the clock of the nodes' logs.
func (r *Report) clock(t time.Duration) string { return r.Began.Add(t).Format("15:04:05") }

func (r *Report) writeVerdict(w io.Writer) {
	v := &r.Verdict
	fmt.Fprintf(w, "\n%d packages checked, %d undecided. Lost %d, doubled %d, violations %d. Longest stall %s.\n",
		v.Packages, v.Undecided, v.Lost, v.Doubled, len(v.Violations), short(r.stall(0, r.End)))
	for _, violation := range v.Violations {
		fmt.Fprintf(w, "VIOLATION: %s\n", violation.What)
		if violation.Evidence != "" {
			fmt.Fprintf(w, "  see %s\n", violation.Evidence)
		}
	}
	if times, longest := r.together(); times > 0 {
		fmt.Fprintf(w, "Two nodes claimed at the same time to be the primary, %s, for %s at most. Writes of the former one must be refused; the terms show whether they were.\n", quantity.Of(times, "time"), short(longest))
	}
	for _, what := range r.Unchecked {
		fmt.Fprintf(w, "NOT CHECKED: %s\n", what)
	}
	if r.Incomplete != "" {
		fmt.Fprintf(w, "INCOMPLETE: %s\n", r.Incomplete)
	}
}

// short formats a time for people.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
