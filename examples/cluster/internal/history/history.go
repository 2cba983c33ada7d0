// Package history remembers what clients asked of a cluster and what they were
// told, and finds out whether one true story can be told of it.
//
// Each package of each feed is checked by itself, with
// github.com/anishathalye/porcupine (Wing and Gong's algorithm with Lowe's
// improvements): there must be one order of its operations, each at a moment
// between its call and its return, in which every answer is the right one. What
// a client was not told the outcome of may have happened at any moment after
// its call, or never.
package history

import (
	"sync"
	"time"
)

// A Kind is what an operation does.
type Kind string

// The kinds. All but SignIn are about one package.
const (
	Push   Kind = "push"    // stores Value under Key, or is refused if something is there
	Put    Kind = "put"     // stores Value under Key, whatever is there
	Read   Kind = "read"    // reads what Key has
	List   Kind = "list"    // lists all keys
	Delete Kind = "delete"  // removes Key, and tags that name it, or says that there is none
	Remove Kind = "remove"  // removes Key, whether it is there or not
	Unlist Kind = "unlist"  // marks Key as not recommended: unlisted, yanked or deprecated
	Tag    Kind = "tag"     // has the tag Key name the version Value.Digest
	Search Kind = "search"  // searches a feed for the package
	SignIn Kind = "sign in" // signs in
)

// Kinds are all of them, in the order in which people are shown them.
var Kinds = []Kind{Push, Put, Read, List, Delete, Remove, Unlist, Tag, Search, SignIn}

// TagPrefix begins the keys of tags, which no version's does.
const TagPrefix = "tag:"

// An Outcome is what a client was told.
type Outcome string

// The outcomes.
const (
	OK       Outcome = "ok"
	Conflict Outcome = "conflict" // something is there already
	Missing  Outcome = "missing"  // there is no such thing
	Stale    Outcome = "stale"    // a read whose answer says that it may be old
	Failed   Outcome = "failed"   // an honest failure: a change may have happened, or happen yet
	Declined Outcome = "declined" // an honest failure that has changed nothing
	Wrong    Outcome = "wrong"    // an answer that no fault excuses
)

// Failure reports whether what was asked for was not done, though it could have been.
func (o Outcome) Failure() bool { return o == Failed || o == Declined || o == Wrong }

// An Entry is what a package has under a key.
type Entry struct {
	Digest   string `json:"digest,omitempty"` // of the content, in hexadecimal; of a tag, the version; "" where a list does not say
	Unlisted bool   `json:"unlisted,omitempty"`
}

// An Operation is one request, or the few that belong together, of one client.
type Operation struct {
	Client  int              `json:"client"`
	Feed    string           `json:"feed"`
	Package string           `json:"package,omitempty"`
	Kind    Kind             `json:"kind"`
	Key     string           `json:"key,omitempty"`
	Value   Entry            `json:"value,omitzero"`  // what was stored or read
	Seen    map[string]Entry `json:"seen,omitempty"`  // by a list
	Twice   []string         `json:"twice,omitempty"` // keys that a list names more than once
	Found   bool             `json:"found,omitempty"` // by a search
	Outcome Outcome          `json:"outcome"`
	Status  int              `json:"status,omitempty"`  // of HTTP; 0 if there was no answer
	Message string           `json:"message,omitempty"` // the answer's or the error's, if it failed
	Node    string           `json:"node,omitempty"`    // that was asked, if it was not the load balancer
	By      string           `json:"by,omitempty"`      // the node that the load balancer sent it to, the last one if there were several
	Call    time.Duration    `json:"call"`              // since the beginning
	Return  time.Duration    `json:"return"`
}

// Changes reports whether the operation is one that stores or removes something.
func (k Kind) Changes() bool {
	switch k {
	case Push, Put, Delete, Remove, Unlist, Tag:
		return true
	}
	return false
}

// A History grows as clients report. It is safe for concurrent use.
type History struct {
	began time.Time

	mu         sync.Mutex
	operations []Operation
}

// New returns an empty history that begins now.
func New() *History { return &History{began: time.Now()} }

// Began is the beginning, by the clock that nodes' logs have.
func (h *History) Began() time.Time { return h.began }

// Now is the time since the beginning.
func (h *History) Now() time.Duration { return time.Since(h.began) }

// Add adds an operation that has returned.
func (h *History) Add(o Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, o)
}

// Operations returns what was added until now, in the order in which it
// returned.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.operations[:len(h.operations):len(h.operations)]
}
