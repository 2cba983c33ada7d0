package proget

import (
	"encoding/json"
	"time"
)

// SystemFeed is the id of the feed-like row whose log records changes of the
// installation itself: feeds, users, API keys, permissions and settings.
// It holds no packages.
const SystemFeed int64 = 0

// A Feed is a named collection of packages of one type.
type Feed struct {
	ID          int64
	Name        string // unique without regard to case; part of its URLs
	Type        string // the feed type's name, such as "nuget"
	Description string
	Active      bool
	Created     time.Time
	StorageID   int64 // where its new files are kept; 0 is the storage that servers are started with
	Redirect    bool  // downloads are sent to storage by a signed URL, where it has such
}

// A Storage is a place for objects, beside the one that servers are started
// with. Its URL never changes.
type Storage struct {
	ID      int64
	Name    string // unique without regard to case
	URL     string // as storage.Open takes it; "" for the one that servers are started with
	Probe   string // what shows that a server's is the same one; the cluster package's
	Created time.Time
}

// A Package is a name within a feed with all its versions.
type Package struct {
	ID       int64
	FeedID   int64
	Name     string // as the newest publisher spelt it
	Key      string // the feed type's normal form; unique within the feed
	Versions []*Version
	Tags     map[string]string // from the name of a tag to the key of the version it points at
}

// Status is what a version's owner says of it.
type Status struct {
	Listed     bool
	Deprecated string // the reason; "" means not deprecated
	Blocked    bool   // downloads are refused
}

// A Version is one version of a package. Its files never change once they are
// published, but more can join it where the feed type has such; its status may
// change.
type Version struct {
	ID          int64
	PackageID   int64
	Name        string // the package's name as this version spells it
	Version     string // as published
	Key         string // the feed type's normal form; unique within the package
	Prerelease  bool
	Status      Status
	Manifest    json.RawMessage // the feed type's own description, from Inspect
	Published   time.Time
	PublishedBy string
	Downloads   int64 // a moment old
	Files       []File
}

// A File is one file of a version. The first file of a version is the package
// file itself, where a version has such.
type File struct {
	Name       string
	Size       int64
	Digests    Digests
	Data       json.RawMessage // what the feed type keeps of this file, from Inspect; nil for nothing
	Added      time.Time       // when it was published
	StorageID  int64
	StorageKey string
}

// A Deletion is a deleted version that can still be brought back.
type Deletion struct {
	ID         int64
	PackageKey string
	VersionKey string
	Name       string // the package's, as the version spelt it
	Version    string
	Tags       []string // that pointed at it, sorted
	At         time.Time
	By         string
}

// A Change is the kind of a log entry.
type Change string

// The kinds of change. Entries of the system feed use the names of tables.
const (
	VersionPublished Change = "published"
	VersionStatus    Change = "status"
	VersionEdited    Change = "edited" // its description, or a file more
	VersionDeleted   Change = "deleted"
	VersionMoved     Change = "moved" // to another storage; nothing else changed
	TagMoved         Change = "tagged"
	TagDeleted       Change = "untagged"
	SystemChanged    Change = "system"
)

// An Entry is one row of a feed's log. Sequence numbers start at 1, appear in
// commit order and have no gaps.
type Entry struct {
	FeedID     int64
	Seq        int64
	Change     Change
	PackageKey string // "" for the system feed
	VersionKey string
	Actor      string // the principal's display name
	At         time.Time
	Operation  string // random: no other entry, in whichever log, has the same
}

// A Fence is the ever-growing number of a term of leadership, with a random id
// that tells two terms apart that were given the same number by a database
// that lost its newest commits.
type Fence struct {
	Number int64
	Term   string
}
