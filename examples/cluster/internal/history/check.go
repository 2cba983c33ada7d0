package history

import (
	"cmp"
	"context"
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

// A Violation is something that must not happen.
type Violation struct {
	What     string // one sentence
	Evidence string // path of a file that shows it; "" if there is none
}

// A Verdict is the result of checking a history.
type Verdict struct {
	Packages   int // packages that were checked
	Undecided  int // packages of them that could not be decided within UndecidedAfter
	Lost       int // acknowledged versions that are missing at the end
	Doubled    int // versions that were acknowledged or listed twice
	Violations []Violation
}

// UndecidedAfter is the time limit of the search for an order of one package's
// operations.
const UndecidedAfter = time.Minute

// Check checks all operations added so far. It writes evidence of violations into dir.
// It calls progress, unless nil, with how many packages of the total are done. When ctx
// ends, it returns the verdict on the packages done and the cause.
func (h *History) Check(ctx context.Context, dir string, progress func(done, total int)) (Verdict, error) {
	var v Verdict
	packages := make(map[string][]*Operation)
	all := h.Operations()
	for i := range all {
		o := &all[i]
		switch {
		case o.Outcome == Wrong && o.Status == 0:
			v.violate("%s in %s had no answer in %s, which nothing excuses: %s", o, o.Feed, (o.Return - o.Call).Round(time.Second), o.Message)
		case o.Outcome == Wrong:
			v.violate("%s in %s was answered by %d, which nothing excuses: %s", o, o.Feed, o.Status, o.Message)
		}
		if o.Package != "" {
			packages[o.Feed+"/"+o.Package] = append(packages[o.Feed+"/"+o.Package], o)
		}
	}
	v.Packages = len(packages)
	for done, name := range slices.Sorted(maps.Keys(packages)) {
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
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
	v.stale(name, all)
	v.searched(name, all)
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

// A fate is the history of what was stored under one key.
type fate struct {
	stored  []*Operation // acknowledged operations that stored it
	removed []*Operation // operations that removed it, or may have
	hidden  []*Operation // operations that hid it from searches, or may have
	unread  *Operation   // a read at the end that did not find it; nil if there is none
}

// until returns the latest time at which an operation may have had its effect.
func (o *Operation) until() time.Duration {
	if o.Outcome == OK {
		return o.Return
	}
	return math.MaxInt64
}

// surely returns an acknowledged operation that none of undone can have undone, or nil.
func (f *fate) surely(undone ...*Operation) *Operation {
	for _, s := range f.stored {
		if !slices.ContainsFunc(undone, func(u *Operation) bool { return u.until() >= s.Call }) {
			return s
		}
	}
	return nil
}

// fates returns the fates of all keys of a package.
func fates(all []*Operation) map[string]*fate {
	fates := make(map[string]*fate)
	for _, o := range all {
		f := fates[o.Key]
		if f == nil {
			f = &fate{}
			fates[o.Key] = f
		}
		mayBe := o.Outcome == OK || o.Outcome == Failed || o.Outcome == Wrong
		switch o.Kind {
		case Push, Put:
			if o.Outcome == OK {
				f.stored = append(f.stored, o)
			}
		case Delete, Remove:
			if mayBe {
				f.removed = append(f.removed, o)
			}
		case Unlist:
			if mayBe {
				f.hidden = append(f.hidden, o)
			}
		case Read:
			if o.Node != "" && o.Outcome != OK {
				f.unread = o
			}
		}
	}
	return fates
}

// count finds what is obviously lost or doubled, without searching for an order.
// porcupine finds that, too, but count describes it for people.
func (v *Verdict) count(name string, all []*Operation) {
	last := &Operation{Call: -1}
	for _, o := range all {
		if o.Kind == List && o.Outcome == OK && o.Call > last.Call {
			last = o
		}
		for _, key := range o.Twice {
			v.Doubled++
			v.violate("A list of %s names %s twice.", name, key)
		}
	}
	for key, f := range fates(all) {
		v.countAccepted(name, key, f)
		there := f.surely(f.removed...)
		if there == nil {
			continue
		}
		_, listed := last.Seen[key]
		switch {
		case !listed && there.Return < last.Call:
			v.Lost++
			v.violate("%s of %s was acknowledged and is not there at the end.", key, name)
		case f.unread != nil:
			v.Lost++
			v.violate("%s of %s was acknowledged and cannot be read at the end: %d %s", key, name, f.unread.Status, f.unread.Message)
		}
	}
}

// countAccepted counts pushes of a key that were accepted although the key existed: two
// of which neither can have followed a removal that followed the other.
func (v *Verdict) countAccepted(name, key string, f *fate) {
	pushes := slices.DeleteFunc(slices.Clone(f.stored), func(o *Operation) bool { return o.Kind != Push })
	slices.SortFunc(pushes, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	for i := range pushes {
		if i == 0 {
			continue
		}
		first := min(pushes[i-1].Call, pushes[i].Call) // the answer to the first may have come last
		if slices.ContainsFunc(f.removed, func(r *Operation) bool { return r.until() >= first && r.Call <= pushes[i].Return }) {
			continue
		}
		v.Doubled++
		v.violate("%s of %s was accepted twice, and removed by nobody in between.", key, name)
	}
}

// stale finds answers marked as stale that were not right at any earlier time either.
func (v *Verdict) stale(name string, all []*Operation) {
	for _, o := range all {
		if o.Outcome != Stale {
			continue
		}
		if o.Kind == Read && !wasStored(all, o.Key, o.Value.Digest, o.Return) {
			v.violate("%s of %s, which may be old, was never stored with the digest %.8s.", o.Key, name, o.Value.Digest)
		}
		for key, e := range o.Seen {
			if !strings.HasPrefix(key, TagPrefix) && !wasStored(all, key, e.Digest, o.Return) {
				v.violate("A list of %s, which may be old, names %s, which was never stored.", name, key)
			}
		}
	}
}

// wasStored reports whether somebody asked to store a content before a time.
func wasStored(all []*Operation, key, digest string, before time.Duration) bool {
	return slices.ContainsFunc(all, func(o *Operation) bool {
		return (o.Kind == Push || o.Kind == Put) && o.Key == key && (digest == "" || o.Value.Digest == digest) && o.Call < before
	})
}

// SearchedAfter is how long search indexes may lag behind, faults included.
const SearchedAfter = 30 * time.Second

// searched finds searches that miss a version which has existed for long enough, or find
// a package of which nothing has existed for as long.
func (v *Verdict) searched(name string, all []*Operation) {
	fates := fates(all)
	for _, o := range all {
		if o.Kind != Search || o.Outcome != OK {
			continue
		}
		if o.Found {
			if gone(all, o.Call-SearchedAfter, o.Return) {
				v.violate("A search for %s found it, although all of it was removed more than %s before.", name, SearchedAfter)
			}
			continue
		}
		for key, f := range fates {
			if s := f.surely(slices.Concat(f.removed, f.hidden)...); s != nil && s.Return+SearchedAfter < o.Call {
				v.violate("A search for %s did not find it, %s after %s of it was acknowledged.", name, (o.Call - s.Return).Round(time.Second), key)
			}
		}
	}
}

// gone reports whether all that anybody asked to store until now was surely removed
// before a time.
func gone(all []*Operation, before, now time.Duration) bool {
	return !slices.ContainsFunc(all, func(s *Operation) bool {
		stored := (s.Kind == Push || s.Kind == Put) && s.Call < now && (s.Outcome == OK || s.Outcome == Failed || s.Outcome == Wrong)
		return stored && !slices.ContainsFunc(all, func(r *Operation) bool {
			return (r.Kind == Delete || r.Kind == Remove) && r.Key == s.Key && r.Outcome == OK && r.Call >= s.until() && r.Return < before
		})
	})
}
