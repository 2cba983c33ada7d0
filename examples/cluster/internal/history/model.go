package history

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// state holds what a package has, sorted by key. It is immutable.
type state []item

type item struct {
	key string
	Entry
}

func (s state) find(key string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(s, key, item.compare)
	if !ok {
		return Entry{}, false
	}
	return s[i].Entry, true
}

func (i item) compare(key string) int { return cmp.Compare(i.key, key) }

func (s state) with(key string, e Entry) state {
	i, ok := slices.BinarySearchFunc(s, key, item.compare)
	s = slices.Clone(s)
	if ok {
		s[i].Entry = e
		return s
	}
	return slices.Insert(s, i, item{key, e})
}

// without returns s without a key and the tags that name it.
func (s state) without(key string) state {
	return slices.DeleteFunc(slices.Clone(s), func(i item) bool {
		return i.key == key || strings.HasPrefix(i.key, TagPrefix) && i.Digest == key
	})
}

func (s state) String() string {
	var b strings.Builder
	for _, i := range s {
		fmt.Fprintf(&b, "%s=%.8s", i.key, i.Digest)
		if i.Unlisted {
			b.WriteString(" unlisted")
		}
		b.WriteString("; ")
	}
	return b.String()
}

// step reports whether an operation can have had its outcome in a state, and returns
// the state after it. A change with an unknown outcome takes effect if it can: since it
// may come after everything else, it never contradicts anything.
func step(s state, o *Operation) (bool, state) {
	there, exists := s.find(o.Key)
	unknown := o.Outcome == Failed || o.Outcome == Wrong
	switch o.Kind {
	case Push:
		if o.Outcome == Conflict || unknown && exists {
			return exists, s
		}
		return !exists, s.with(o.Key, o.Value)
	case Put:
		return true, s.with(o.Key, o.Value)
	case Read:
		if o.Outcome == Missing {
			return !exists, s
		}
		return exists && there.Digest == o.Value.Digest, s
	case List:
		return matches(s, o.Seen), s
	case Delete:
		if o.Outcome == Missing || unknown && !exists {
			return !exists, s
		}
		return exists, s.without(o.Key)
	case Remove:
		return true, s.without(o.Key)
	case Unlist:
		if o.Outcome == Missing || unknown && !exists {
			return !exists, s
		}
		return exists, s.with(o.Key, Entry{there.Digest, true})
	case Tag:
		_, names := s.find(o.Value.Digest)
		if o.Outcome == Missing || unknown && !names {
			return !names, s
		}
		return names, s.with(o.Key, o.Value)
	}
	return true, s
}

func matches(s state, seen map[string]Entry) bool {
	if len(s) != len(seen) {
		return false
	}
	for _, i := range s {
		e, ok := seen[i.key]
		if !ok || e.Digest != "" && e.Digest != i.Digest || e.Unlisted != i.Unlisted {
			return false
		}
	}
	return true
}

var seed = maphash.MakeSeed()

var model = porcupine.Model{
	Init: func() any { return state(nil) },
	Step: func(s, input, _ any) (bool, any) {
		ok, next := step(s.(state), input.(*Operation))
		return ok, next
	},
	Equal: func(a, b any) bool { return slices.Equal(a.(state), b.(state)) },
	Hash: func(s any) uint64 {
		var h maphash.Hash
		h.SetSeed(seed)
		for _, i := range s.(state) {
			maphash.WriteComparable(&h, i)
		}
		return h.Sum64()
	},
	DescribeOperation: func(input, _ any) string { return input.(*Operation).String() },
	DescribeState:     func(s any) string { return s.(state).String() },
}

func (o *Operation) String() string {
	text := string(o.Kind)
	if o.Key != "" {
		text += " " + o.Key
	}
	if o.Value.Digest != "" {
		text += fmt.Sprintf(" %.8s", o.Value.Digest)
	}
	if o.Kind == List {
		var s state
		for key, e := range o.Seen {
			s = s.with(key, e)
		}
		text += " " + s.String()
	}
	return text + ": " + string(o.Outcome)
}

// operations returns a package's operations for porcupine, without searches, reads that
// say nothing about the current state, and changes that were declined.
func operations(all []*Operation) []porcupine.Operation {
	var found []porcupine.Operation
	for _, o := range all {
		end := int64(o.Return)
		switch {
		case o.Kind == Search:
			continue
		case o.Outcome == OK, o.Outcome == Conflict, o.Outcome == Missing:
		case (o.Kind == Push || o.Kind == Put) && o.Value.Digest == "": // it ended before the decisive request
			continue
		case (o.Outcome == Failed || o.Outcome == Wrong) && o.Kind.Changes(): // it may still happen
			end = math.MaxInt64
		default:
			continue
		}
		found = append(found, porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: end})
	}
	return found
}
