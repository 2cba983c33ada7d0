// Package history records what clients asked of a cluster and what it answered, and
// checks whether the answers are consistent.
//
// It checks each package of each feed separately, with
// github.com/anishathalye/porcupine (Wing and Gong's algorithm with Lowe's
// improvements). There must be an order of the package's operations, each placed at a
// moment between its call and its return, in which every answer is right. An operation
// whose outcome the client does not know may have happened at any moment after its
// call, or never.
package history

import (
	"sync"
	"time"
)

// A Kind is what an operation does.
type Kind string

// The kinds of operations. All but SignIn concern one package.
const (
	Push   Kind = "push"    // stores Value under Key, or is refused if something is there
	Put    Kind = "put"     // stores Value under Key, whatever is there
	Read   Kind = "read"    // reads the value of Key
	List   Kind = "list"    // lists all keys
	Delete Kind = "delete"  // removes Key and the tags that name it, or answers that there is none
	Remove Kind = "remove"  // removes Key, whether it exists or not
	Unlist Kind = "unlist"  // marks Key as not recommended: unlisted, yanked or deprecated
	Tag    Kind = "tag"     // makes the tag Key name the version Value.Digest
	Search Kind = "search"  // searches a feed for the package
	SignIn Kind = "sign in" // signs in
)

// Kinds lists all kinds in the order of display.
var Kinds = []Kind{Push, Put, Read, List, Delete, Remove, Unlist, Tag, Search, SignIn}

// TagPrefix begins the keys of tags; no version's key begins with it.
const TagPrefix = "tag:"

// An Outcome is the answer to an operation, as the client understands it.
type Outcome string

// The outcomes.
const (
	OK       Outcome = "ok"
	Conflict Outcome = "conflict" // something exists already
	Missing  Outcome = "missing"  // there is no such thing
	Stale    Outcome = "stale"    // a read whose answer warns that it may be old
	Failed   Outcome = "failed"   // an honest failure; a change may have happened or may still happen
	Declined Outcome = "declined" // an honest failure that has changed nothing
	Wrong    Outcome = "wrong"    // an answer that no fault excuses
)

// Failure reports whether the operation was not done, though it could have been.
func (o Outcome) Failure() bool { return o == Failed || o == Declined || o == Wrong }

// Impaired reports whether the outcome needs a fault for an excuse: the operation failed,
// or the client was told what may be old.
func (o Outcome) Impaired() bool { return o.Failure() || o == Stale }

// An Entry is the value that a package has under a key.
type Entry struct {
	Digest   string `json:"digest,omitempty"` // digest of the content, in hexadecimal; for a tag, the version; "" if a list does not tell
	Unlisted bool   `json:"unlisted,omitempty"`
}

// An Operation is one request of one client, or a few that belong together.
type Operation struct {
	Client  int              `json:"client"`
	Feed    string           `json:"feed"`
	Package string           `json:"package,omitempty"`
	Kind    Kind             `json:"kind"`
	Key     string           `json:"key,omitempty"`
	Value   Entry            `json:"value,omitzero"`  // what was stored or read
	Seen    map[string]Entry `json:"seen,omitempty"`  // entries in a list
	Twice   []string         `json:"twice,omitempty"` // keys that a list names more than once
	Found   bool             `json:"found,omitempty"` // the search found it
	Outcome Outcome          `json:"outcome"`
	Status  int              `json:"status,omitempty"`  // HTTP status; 0 if there was no answer
	Message string           `json:"message,omitempty"` // text of the answer or error, if the operation failed
	Node    string           `json:"node,omitempty"`    // the node that was asked, if not the load balancer
	By      string           `json:"by,omitempty"`      // the node to which the load balancer sent the last request
	Call    time.Duration    `json:"call"`              // since the beginning
	Return  time.Duration    `json:"return"`
}

// Changes reports whether operations of this kind change something.
func (k Kind) Changes() bool {
	switch k {
	case Push, Put, Delete, Remove, Unlist, Tag:
		return true
	}
	return false
}

// A History records operations. It is safe for concurrent use.
type History struct {
	began time.Time

	mu         sync.Mutex
	operations []Operation
}

// New returns an empty history that begins now.
func New() *History { return &History{began: time.Now()} }

// Began returns when the history began, by the clock of the nodes' logs.
func (h *History) Began() time.Time { return h.began }

// Now returns the time since the beginning.
func (h *History) Now() time.Duration { return time.Since(h.began) }

// Add adds an operation that has returned.
func (h *History) Add(o Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, o)
}

// Operations returns the operations added so far, in the order in which they returned.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.operations[:len(h.operations):len(h.operations)]
}
