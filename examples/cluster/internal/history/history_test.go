package history

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// at makes an operation that was called and returned at numbers of seconds.
func at(call, end int, o Operation) Operation {
	o.Feed, o.Package = "f", "p"
	o.Call, o.Return = time.Duration(call)*time.Second, time.Duration(end)*time.Second
	return o
}

func list(seen map[string]Entry) Operation {
	return Operation{Kind: List, Outcome: OK, Seen: seen}
}

func push(digest string, outcome Outcome) Operation {
	return Operation{Kind: Push, Key: "1", Value: Entry{Digest: digest}, Outcome: outcome}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	one := map[string]Entry{"1": {Digest: "a"}}
	read := func(digest string) Operation {
		return Operation{Kind: Read, Key: "1", Value: Entry{Digest: digest}, Outcome: OK}
	}
	missing := Operation{Kind: Read, Key: "1", Outcome: Missing}
	remove := func(o Outcome) Operation { return Operation{Kind: Delete, Key: "1", Outcome: o} }
	search := func(found bool) Operation { return Operation{Kind: Search, Outcome: OK, Found: found} }
	stale := func(o Operation) Operation { o.Outcome = Stale; return o }
	tag := func(o Outcome) Operation {
		return Operation{Kind: Tag, Key: "tag:t", Value: Entry{Digest: "1"}, Outcome: o}
	}
	for name, tc := range map[string]struct {
		operations    []Operation
		lost, doubled int
		bad           int // violations in all
	}{
		"a push that is seen":                    {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, list(one)), at(2, 3, read("a"))}},
		"one that is lost":                       {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, list(nil))}, lost: 1, bad: 2},
		"seen before it is acknowledged":         {operations: []Operation{at(0, 5, push("a", OK)), at(2, 3, list(one)), at(1, 4, missing)}},
		"seen, and then not":                     {operations: []Operation{at(0, 9, push("a", OK)), at(2, 3, read("a")), at(4, 5, missing)}, bad: 1},
		"an unknown outcome, seen later":         {operations: []Operation{at(0, 1, push("a", Failed)), at(2, 3, missing), at(4, 5, read("a"))}},
		"an unknown outcome, never seen":         {operations: []Operation{at(0, 1, push("a", Failed)), at(2, 3, list(nil))}},
		"two winners":                            {operations: []Operation{at(0, 3, push("a", OK)), at(1, 2, push("b", OK))}, doubled: 1, bad: 2},
		"one winner":                             {operations: []Operation{at(0, 3, push("a", OK)), at(1, 2, push("b", Conflict)), at(4, 5, read("a"))}},
		"the loser's bytes":                      {operations: []Operation{at(0, 3, push("a", OK)), at(1, 2, push("b", Conflict)), at(4, 5, read("b"))}, bad: 1},
		"a conflict with nothing":                {operations: []Operation{at(0, 1, push("a", Conflict))}, bad: 1},
		"a stale list, called one":               {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, Operation{Kind: List, Outcome: Stale})}},
		"a removal that is not seen":             {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(4, 5, read("a"))}, bad: 1},
		"a removal of unknown outcome":           {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(Failed)), at(4, 5, read("a")), at(6, 7, missing)}},
		"pushed again after a removal":           {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(4, 5, push("b", OK)), at(6, 7, read("b"))}},
		"listed twice":                           {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, Operation{Kind: List, Outcome: OK, Seen: one, Twice: []string{"1"}})}, doubled: 1, bad: 1},
		"a tag":                                  {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, tag(OK)), at(4, 5, list(map[string]Entry{"1": {}, "tag:t": {Digest: "1"}}))}},
		"a tag that outlives its version":        {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, tag(OK)), at(4, 5, remove(OK)), at(6, 7, list(map[string]Entry{"tag:t": {Digest: "1"}}))}, bad: 1},
		"a tag of nothing":                       {operations: []Operation{at(0, 1, tag(OK))}, bad: 1},
		"unlisted":                               {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, Operation{Kind: Unlist, Key: "1", Outcome: OK}), at(4, 5, list(map[string]Entry{"1": {Unlisted: true}}))}},
		"unlisted, and shown":                    {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, Operation{Kind: Unlist, Key: "1", Outcome: OK}), at(4, 5, list(one))}, bad: 1},
		"an answer that nothing excuses":         {operations: []Operation{at(0, 1, Operation{Kind: Read, Key: "1", Outcome: Wrong, Status: 500})}, bad: 1},
		"a file that is overwritten":             {operations: []Operation{at(0, 1, Operation{Kind: Put, Key: "1", Value: Entry{Digest: "a"}, Outcome: OK}), at(2, 3, Operation{Kind: Put, Key: "1", Value: Entry{Digest: "b"}, Outcome: OK}), at(4, 5, read("b"))}},
		"a file whose former bytes are read yet": {operations: []Operation{at(0, 1, Operation{Kind: Put, Key: "1", Value: Entry{Digest: "a"}, Outcome: OK}), at(2, 3, Operation{Kind: Put, Key: "1", Value: Entry{Digest: "b"}, Outcome: OK}), at(4, 5, read("a"))}, bad: 1},

		"lost, though a removal was refused before": {operations: []Operation{at(0, 1, remove(Missing)), at(2, 3, push("a", OK)), at(4, 5, list(nil))}, lost: 1, bad: 2},
		"lost, though it was once removed":          {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(4, 5, push("b", OK)), at(6, 7, list(nil))}, lost: 1, bad: 2},
		"not there, and perhaps removed":            {operations: []Operation{at(0, 1, remove(Failed)), at(2, 3, push("a", OK)), at(4, 5, list(nil))}},
		"there, and not to be read at the end":      {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, list(one)), at(4, 5, Operation{Kind: Read, Key: "1", Outcome: Failed, Node: "n"})}, lost: 1, bad: 1},
		"accepted twice, removed in between":        {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(4, 5, push("b", OK))}},
		"accepted twice, removed before":            {operations: []Operation{at(0, 1, remove(Missing)), at(2, 3, push("a", OK)), at(4, 5, push("b", OK))}, doubled: 1, bad: 2},
		"accepted, removed, and told late":          {operations: []Operation{at(0, 9, push("a", OK)), at(2, 3, remove(OK)), at(4, 5, push("b", OK)), at(6, 7, read("b"))}},
		"declined, and never seen":                  {operations: []Operation{at(0, 1, push("a", Declined)), at(2, 3, list(nil))}},
		"declined, and recorded":                    {operations: []Operation{at(0, 1, push("a", Declined)), at(2, 3, list(one))}, bad: 1},
		"a removal that was declined, and happened": {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(Declined)), at(4, 5, missing)}, bad: 1},
		"old, and once true":                        {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(4, 5, stale(read("a")))}},
		"called old, and never true":                {operations: []Operation{at(0, 1, push("a", OK)), at(4, 5, stale(read("b")))}, bad: 1},
		"called old, and twice":                     {operations: []Operation{at(0, 1, push("a", OK)), at(4, 5, Operation{Kind: List, Outcome: Stale, Seen: one, Twice: []string{"1"}})}, doubled: 1, bad: 1},
		"called old, of what was never there":       {operations: []Operation{at(0, 1, push("a", OK)), at(4, 5, stale(list(map[string]Entry{"2": {}})))}, bad: 1},
		"found":                                     {operations: []Operation{at(0, 1, push("a", OK)), at(60, 61, search(true))}},
		"not found yet":                             {operations: []Operation{at(0, 1, push("a", OK)), at(10, 11, search(false))}},
		"not found after long":                      {operations: []Operation{at(0, 1, push("a", OK)), at(60, 61, search(false))}, bad: 1},
		"not found, since it is removed":            {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(60, 61, search(false))}},
		"found long after it was removed":           {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(60, 61, search(true))}, bad: 1},
		"found soon after it was removed":           {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(10, 11, search(true))}},
		"found, perhaps pushed again":               {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(OK)), at(4, 5, push("b", Failed)), at(60, 61, search(true))}},
		"found, perhaps not removed":                {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, remove(Failed)), at(60, 61, search(true))}},
		"not found, since it is perhaps not listed": {operations: []Operation{at(0, 1, push("a", OK)), at(2, 3, Operation{Kind: Unlist, Key: "1", Outcome: Failed}), at(60, 61, search(false))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New()
			for _, o := range tc.operations {
				h.Add(o)
			}
			v, err := h.Check(t.Context(), t.TempDir(), nil)
			require.NoError(t, err)
			require.Equal(t, 1, v.Packages)
			require.Zero(t, v.Undecided)
			require.Equal(t, tc.lost, v.Lost, v.Violations)
			require.Equal(t, tc.doubled, v.Doubled, v.Violations)
			require.Len(t, v.Violations, tc.bad, "%v", v.Violations)
			for _, violation := range v.Violations {
				if violation.Evidence != "" {
					_, err := os.Stat(violation.Evidence)
					require.NoError(t, err)
				}
			}
		})
	}
}
