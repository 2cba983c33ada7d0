package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/examples/cluster/internal/history"
)

// maxProblems is how many problems end a survey; each may have taken the time to wait
// for it.
const maxProblems = 5

// Survey lists and reads, through one node, everything that packages have, once all
// faults are over, and searches for each package. It adds what it sees to the history.
// It returns what fails although nothing is wrong any more, one sentence each. It calls
// progress, unless nil, with how many packages of the total are done.
func (l *Load) Survey(ctx context.Context, node string, c *Client, progress func(done, total int)) (problems []string) {
	packages := l.Packages()
	for done, used := range packages {
		if ctx.Err() != nil || len(problems) >= maxProblems {
			return append(problems, "Not everything was checked on "+node+".")
		}
		i := slices.IndexFunc(l.protocols, func(p protocol) bool { return p.feed == used.Feed })
		s := &survey{l, node, c, &l.protocols[i], used.Name, nil}
		s.look(ctx)
		problems = append(problems, s.problems...)
		if progress != nil {
			progress(done+1, len(packages))
		}
	}
	return problems
}

// A survey examines one package.
type survey struct {
	*Load
	node     string
	client   *Client
	protocol *protocol
	name     string
	problems []string
}

func (s *survey) look(ctx context.Context) {
	list := s.do(ctx, history.List, "")
	listed := false
	for key, e := range list.Seen {
		listed = listed || !e.Unlisted || s.protocol.marks
		if tag := len(key) > len(history.TagPrefix) && key[:len(history.TagPrefix)] == history.TagPrefix; !tag {
			s.do(ctx, history.Read, key)
		}
	}
	if s.protocol.search != nil && list.Outcome == history.OK {
		s.seek(ctx, listed)
	}
}

func (s *survey) do(ctx context.Context, kind history.Kind, key string) history.Operation {
	o := history.Operation{Client: len(s.Clients), Feed: s.protocol.feed, Node: s.node, Kind: kind, Key: key}
	s.perform(ctx, s.client, s.protocol, &o, func() string { return s.name })
	s.History.Add(o)
	if o.Outcome != history.OK {
		s.problem("%s of %s in %s by %s is %s, although nothing is wrong any more: %d %s", kind, key, s.name, s.node, o.Outcome, o.Status, o.Message)
	}
	return o
}

func (s *survey) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// seek waits until the search index agrees with the lists.
func (s *survey) seek(ctx context.Context, there bool) {
	for began := time.Now(); ; wait(ctx, 100*time.Millisecond) {
		found, a := s.protocol.search(ctx, s.client, s.name)
		if a.outcome() == history.OK && found == there {
			return
		}
		if time.Since(began) > history.SearchedAfter {
			s.problem("A search for %s in %s by %s finds it: %t, which is wrong. %d %s", s.name, s.protocol.feed, s.node, found, a.status, a.message())
			return
		}
	}
}

// Probe stores, lists, reads and removes its own package through one node, in each of
// the given feeds, and returns the first failure.
func (l *Load) Probe(ctx context.Context, c *Client, feeds ...string) error {
	for i := range l.protocols {
		p := &l.protocols[i]
		if !slices.Contains(feeds, p.feed) {
			continue
		}
		name := "probe" + strings.ToLower(rand.Text())
		for _, kind := range []history.Kind{history.Push, history.List, history.Read, history.Delete} {
			o := history.Operation{Feed: p.feed, Kind: kind, Key: "1.0.0"}
			if l.perform(ctx, c, p, &o, func() string { return name }); o.Outcome != history.OK {
				return fmt.Errorf("%s in %s is %s: %d %s", kind, p.feed, o.Outcome, o.Status, o.Message)
			}
			if _, there := o.Seen["1.0.0"]; kind == history.List && !there {
				return fmt.Errorf("what was pushed to %s is not listed there", p.feed)
			}
		}
	}
	return nil
}

// Feeds returns the names of the feeds that the clients use.
func (l *Load) Feeds() (feeds []string) {
	for _, p := range l.protocols {
		feeds = append(feeds, p.feed)
	}
	return feeds
}
