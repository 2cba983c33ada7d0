package history

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Violation is something that must not be.
type Violation struct {
	What     string // one sentence
	Evidence string // a file that shows it; "" if there is none
}

// A Verdict is what a history proves.
type Verdict struct {
	Packages   int // that were checked
	Undecided  int // of them, those for which there was not enough time
	Lost       int // acknowledged versions that are not there at the end
	Doubled    int // versions that were acknowledged or listed twice
	Violations []Violation
}

// UndecidedAfter bounds the search for an order of one package's operations.
const UndecidedAfter = time.Minute

// Check judges all that was added. It writes what shows a violation into a
// folder. progress, which may be nil, is told how many packages of how many are
// done.
func (h *History) Check(dir string, progress func(done, total int)) (Verdict, error) {
	var v Verdict
	packages := make(map[string][]*Operation)
	all := h.Operations()
	for i := range all {
		o := &all[i]
		if o.Outcome == Wrong {
			v.violate("%s in %s was answered by %d, which nothing excuses: %s", o, o.Feed, o.Status, o.Message)
		}
		if o.Package != "" {
			packages[o.Feed+"/"+o.Package] = append(packages[o.Feed+"/"+o.Package], o)
		}
	}
	v.Packages = len(packages)
	for done, name := range slices.Sorted(maps.Keys(packages)) {
		if err := v.check(name, packages[name], dir); err != nil {
			return v, err
		}
		if progress != nil {
			progress(done+1, len(packages))
		}
	}
	return v, nil
}

func (v *Verdict) violate(format string, args ...any) {
	v.Violations = append(v.Violations, Violation{What: fmt.Sprintf(format, args...)})
}

func (v *Verdict) check(name string, all []*Operation, dir string) error {
	v.count(name, all)
	result, info := porcupine.CheckOperationsVerbose(model, operations(all), UndecidedAfter)
	switch result {
	case porcupine.Unknown:
		v.Undecided++
	case porcupine.Illegal:
		file := filepath.Join(dir, strings.NewReplacer("/", "-", ":", "-").Replace(name)+".html")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		if err := porcupine.VisualizePath(model, info, file); err != nil {
			return fmt.Errorf("draw the history of %s: %w", name, err)
		}
		v.Violations = append(v.Violations, Violation{"The answers about " + name + " fit no order of its operations.", file})
	}
	return nil
}

// A fate is what became of what was stored under one key.
type fate struct {
	pushes  int           // that were accepted
	first   time.Duration // when one was first known to be
	removed bool          // or perhaps removed
}

// count finds what is plainly lost or doubled, without looking for an order.
// What it finds, porcupine finds, too; it has the words for people.
func (v *Verdict) count(name string, all []*Operation) {
	fates := make(map[string]*fate)
	of := func(key string) *fate {
		if fates[key] == nil {
			fates[key] = &fate{first: math.MaxInt64}
		}
		return fates[key]
	}
	last := &Operation{Call: -1}
	for _, o := range all {
		switch {
		case (o.Kind == Push || o.Kind == Put) && o.Outcome == OK:
			f := of(o.Key)
			f.first = min(f.first, o.Return)
			if o.Kind == Push {
				f.pushes++
			}
		case o.Kind == Delete || o.Kind == Remove:
			of(o.Key).removed = true
		case o.Kind == List && o.Outcome == OK:
			if o.Call > last.Call {
				last = o
			}
			for _, key := range o.Twice {
				v.Doubled++
				v.violate("A list of %s names %s twice.", name, key)
			}
		}
	}
	for key, f := range fates {
		if f.removed {
			continue
		}
		if f.pushes > 1 {
			v.Doubled++
			v.violate("%s of %s was accepted %d times.", key, name, f.pushes)
		}
		if _, there := last.Seen[key]; !there && f.first < last.Call {
			v.Lost++
			v.violate("%s of %s was acknowledged and is not there at the end.", key, name)
		}
	}
}
