package proget

import (
	"encoding/json"
	"time"
)

// SystemFeed is the ID of the pseudo feed whose log records changes of the installation
// itself: feeds, users, API keys, permissions and settings. It holds no packages.
const SystemFeed int64 = 0

// A Feed is a named collection of packages of one type.
type Feed struct {
	ID          int64
	Name        string // unique ignoring case; part of its URLs
	Type        string // the feed type's name, such as "nuget"
	Description string
	Active      bool
	Created     time.Time
	StorageID   int64 // where new files are stored; 0 is the storage that servers are started with
	Redirect    bool  // redirect downloads to signed URLs of the storage, if it supports them
}

// A Storage is a place for objects besides the one that servers are started with. Its
// URL never changes.
type Storage struct {
	ID      int64
	Name    string // unique ignoring case
	URL     string // as storage.Open takes it; "" for the storage that servers are started with
	Probe   string // defined by package cluster; proves that a server opened the same storage
	Created time.Time
}

// A Package is a name within a feed with all its versions.
type Package struct {
	ID       int64
	FeedID   int64
	Name     string // as the newest publisher spelled it
	Key      string // the feed type's normal form; unique within the feed
	Versions []*Version
	Tags     map[string]string // maps each tag to the key of the version that it points at
}

// Status is what a version's owner decides about it.
type Status struct {
	Listed     bool
	Deprecated string // the reason; "" means not deprecated
	Blocked    bool   // downloads are refused
}

// NoReason is the reason of a deprecation for which nobody gave one.
const NoReason = "This version is deprecated."

// MaxReason bounds the reason of a deprecation, in characters: each load of a package
// reads it once for each file of the version.
const MaxReason = 1000

// A Version is one version of a package. Its published files never change, but more can
// join it if the feed type allows; its status may change.
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
	Downloads   int64 // may be slightly out of date
	Files       []File
}

// A File is one file of a version. The first file of a version is the package file, if
// the feed type has one.
type File struct {
	Name       string
	Size       int64
	Digests    Digests
	Data       json.RawMessage // the feed type's description of this file, from Inspect; nil for none
	Added      time.Time       // when it was published
	StorageID  int64
	StorageKey string
}

// A Deletion is a deleted version that can still be restored.
type Deletion struct {
	ID         int64
	PackageKey string
	VersionKey string
	Name       string // the package's name as the version spelled it
	Version    string
	Tags       []string // tags that pointed at the version, sorted
	At         time.Time
	By         string
}

// A Change is the kind of a log entry.
type Change string

// The kinds of change. Entries of the system feed use the names of tables.
const (
	VersionPublished Change = "published"
	VersionStatus    Change = "status"
	VersionEdited    Change = "edited" // its description or its files changed
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
	Operation  string // random; unique across all logs
}

// A Fence is the ever-growing number of a leader's term. The random Term distinguishes
// two terms that got the same number because the database lost its newest commits.
type Fence struct {
	Number int64
	Term   string
}
