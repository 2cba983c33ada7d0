package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// Services is all that a feed type sees of the server.
type Services struct {
	Packages  Packages
	Feeds     Feeds
	Publisher Publisher
	Search    Search
	Files     Files
	Uploads   Uploads
	Indexes   Indexes
	Tokens    Tokens
	Logger    *slog.Logger
}

// Packages is the read path.
type Packages interface {
	// Package returns a package with all its versions, oldest first, or
	// proget.ErrNotFound. The result is shared: it must not be changed.
	Package(ctx context.Context, f *proget.Feed, nameKey string) (*Package, error)

	// List returns up to limit packages in the order of their keys, beginning
	// with the first key greater than after.
	List(ctx context.Context, f *proget.Feed, after string, limit int) ([]*Package, error)

	// Names is List without the packages themselves, from the database: for lists
	// of all, which would fill the memory of a node.
	Names(ctx context.Context, f *proget.Feed, after string, limit int) ([]Name, error)

	// Alias returns the version that has a file with that alias, and the file;
	// the newest, if there are several, or proget.ErrNotFound.
	Alias(ctx context.Context, f *proget.Feed, alias string) (*proget.Version, proget.File, error)
}

// A Name is that of a package.
type Name struct {
	Key  string
	Name string // as the newest publisher spelt it
}

// Feeds finds other feeds than the one that a request is for.
type Feeds interface {
	// Feed returns the active feed of that name, without regard to case, if whoever
	// sent the request may do task in it; else proget.ErrNotFound, ErrDenied or
	// ErrUnauthenticated.
	Feed(r *http.Request, name string, task proget.Task) (*proget.Feed, error)
}

// Publisher is the write path. Every method is atomic: when it returns nil, the
// change is durable and visible through every node; otherwise nothing has
// changed.
type Publisher interface {
	// Publish stores a package file and records its version. An error of the body is
	// returned as UploadError has it. It returns proget.ErrConflict if the version exists already or, in the role of a part or
	// an extra, has another file of that name; the same one again is a success.
	Publish(ctx context.Context, u Upload) (*proget.Version, error)

	// SetStatus changes the status of a version; change edits the present one.
	SetStatus(ctx context.Context, ref Ref, by proget.Principal, change func(*proget.Status)) error

	// Edit changes the type's own description of a version. edit is given the
	// present Data and returns the new one; it runs in the transaction, perhaps
	// more than once, so that no change is lost to another.
	Edit(ctx context.Context, ref Ref, by proget.Principal, edit func(data json.RawMessage) (any, error)) error

	// Tag points a tag of the version's package at it, wherever it pointed
	// before, or returns proget.ErrNotFound if there is no such version.
	Tag(ctx context.Context, ref Ref, tag string, by proget.Principal) error

	// Untag removes a tag, or returns proget.ErrNotFound. The version it points
	// at stays; ref.VersionKey is not looked at.
	Untag(ctx context.Context, ref Ref, tag string, by proget.Principal) error

	// Delete removes a version with the tags that point at it, or returns
	// proget.ErrNotFound.
	Delete(ctx context.Context, ref Ref, by proget.Principal) error
}

// A Ref names a version by its normal forms.
type Ref struct {
	Feed       *proget.Feed
	NameKey    string
	VersionKey string
}

// An Upload is a package file on its way in.
type Upload struct {
	Feed *proget.Feed
	Body io.Reader
	Size int64  // at most so many bytes, as Content-Length says; 0 if unknown
	Name string // the file's name as the client called it; may be ""
	By   proget.Principal

	// Stored is the file if it is in the feed's storage already, as an upload in
	// several requests leaves it; Body and Size are not looked at then.
	Stored *storage.Blob

	// Check may refuse what Inspect found, for instance because the URL names
	// another version, or add what the file does not tell, such as tags. Optional.
	Check func(*Manifest) error

	// Replace lets the upload take the place of an existing version with the same
	// key or, in the role of a part, of the file of the same name in it; nil makes
	// that a conflict, but for the same bytes of a part. It is called in the transaction, perhaps more than once, with
	// what is there, or nil; it may carry over to the manifest what is to stay, or
	// refuse.
	Replace func(old *proget.Version, m *Manifest) error
}

// Uploads are uploads in several requests, each of which may reach another node.
type Uploads interface {
	// Begin begins an upload of which the digests of the given algorithms are
	// wanted beside SHA-256. It returns proget.ErrConflict if there is one of this
	// name.
	Begin(ctx context.Context, r UploadRef, by proget.Principal, algorithms ...proget.Algorithm) error

	// Offer returns what, as UploadRef.Offer, lets an upload begin with its first
	// bytes, at any server: nothing is written before. It is good for a day, and
	// used up by nothing. by and algorithms are those of Begin.
	Offer(r UploadRef, by proget.Principal, algorithms ...proget.Algorithm) (string, error)

	// Size returns how many bytes have arrived in order, or proget.ErrNotFound.
	Size(ctx context.Context, r UploadRef) (int64, error)

	// Append takes the chunk that begins at offset, or the next if that is -1, and
	// returns how many bytes have arrived with it. A chunk that breaks off leaves nothing,
	// and its reader's error is returned as UploadError has it. OffsetError says that
	// another chunk is due, ErrFinished that none is.
	Append(ctx context.Context, r UploadRef, offset int64, body io.Reader) (int64, error)

	// PutPart takes the part of size bytes that begins at offset; parts come in any
	// order. It returns proget.ErrInvalid if the part has another size or overlaps
	// one that has arrived, and proget.ErrTooLarge if it has more bytes. One that
	// comes again is no error.
	PutPart(ctx context.Context, r UploadRef, offset, size int64, body io.Reader) error

	// Finish ends an upload and returns what was uploaded, for Upload.Stored. The
	// upload stays, finished, until Cancel, which whoever has recorded it
	// calls: one who is interrupted finishes it again. size and want are what the
	// client claims, size -1 for nothing; if one differs, or a part is missing, it
	// returns proget.ErrInvalid and the upload goes on.
	Finish(ctx context.Context, r UploadRef, size int64, want proget.Digests) (storage.Blob, error)

	// Keep ends an upload and holds what was uploaded under the name as, in one
	// commit: the upload is gone then. last, if it is not nil, is the chunk that
	// begins at offset, and taken before as Append does. If the digests that the client claims differ, or a part is missing,
	// Keep returns proget.ErrInvalid and the upload goes on.
	Keep(ctx context.Context, r, as UploadRef, by proget.Principal, want proget.Digests, offset int64, last io.Reader) error

	// Hold keeps the stored file of that size and SHA-256 under a name for some
	// time, whether or not a version refers to it. It returns proget.ErrNotFound
	// if there is none in the feed's storage.
	Hold(ctx context.Context, r UploadRef, by proget.Principal, sha256 string, size int64) error

	// Held returns what is kept under a name, or proget.ErrNotFound.
	Held(ctx context.Context, r UploadRef) (proget.File, error)

	// Cancel gives up an upload, or what is held. That there is none is no error.
	Cancel(ctx context.Context, r UploadRef) error
}

// An UploadRef names an upload: those of different feeds or scopes have nothing
// to do with each other.
type UploadRef struct {
	Feed  *proget.Feed
	Scope string // the feed type's own, such as a repository's name
	ID    string
	Offer string // by which it may begin, or empty
}

// ErrFinished is the cause of a refused chunk for an upload that is finished.
var ErrFinished = errors.New("the upload is finished")

// ErrDigest is the cause of the refusal of an upload that does not have the digest
// which the client claims.
var ErrDigest = errors.New("the digest differs")

// An OffsetError says that a chunk does not follow the ones before it: it came
// twice, too early, or while another was on its way.
type OffsetError struct {
	Size int64 // of what has arrived, and where the next chunk begins
}

// Error implements error.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("the next chunk begins at byte %d", e.Size)
}

// Unwrap makes the error one of the client's.
func (e *OffsetError) Unwrap() error {
	return proget.Errorf(proget.ErrInvalid, "The upload has %d bytes so far; the next chunk begins there.", e.Size)
}

// Files serves the bytes of package files.
type Files interface {
	// Serve answers a GET or HEAD with the file: Range, conditional requests
	// and the kernel's help included. It refuses a version that is blocked, and counts
	// a download where one begins, unless v is nil: then the caller does.
	Serve(w http.ResponseWriter, r *Request, v *proget.Version, f proget.File, contentType string) error

	// Count counts a download that Serve does not know of.
	Count(v *proget.Version)

	// Use says that a version is in use, without a download.
	Use(v *proget.Version)

	// Open gives random access to a stored file. The caller closes it, and has asked
	// CheckAllowed if clients are to see what is in it.
	Open(ctx context.Context, f proget.File) (Content, error)
}

// Content is an open file.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Indexes are the files that the types' Index builds.
type Indexes interface {
	// Read returns the whole of a file of a feed's index as it is now, or
	// proget.ErrNotFound.
	Read(ctx context.Context, feedID int64, kind, name string) ([]byte, error)
}

// Tokens lets users sign in from a program.
type Tokens interface {
	// Token returns what the program sends from now on in the place of an API
	// key, or proget.ErrUnauthenticated if the password is wrong, and
	// proget.ErrThrottled, whatever it is, after too many that were. r is the
	// request that brought them.
	Token(r *http.Request, user, password string) (string, error)

	// Exchange returns a token for whoever sent the request, be that nobody, and
	// how long it is good.
	Exchange(r *http.Request) (token string, good time.Duration, err error)
}

// Search finds packages.
type Search interface {
	Search(ctx context.Context, f *proget.Feed, q Query) (Hits, error)
}

// A Query asks for packages by text. The zero value matches every package that
// has a listed, stable version.
type Query struct {
	Text       string // words in names, titles, descriptions, tags, authors and owners; an exact name comes first
	NamePrefix string // only names that begin with this, without regard to case; sorted by name
	Type       string // only packages of this type, one of Summary.Types, without regard to case
	Tag        string // only packages with this tag, without regard to case
	Prerelease bool   // also packages that have listed prerelease versions only
	Old        bool   // only packages with such versions that are not Type.Modern
	Skip, Take int    // Take is bounded by the index; 0 means 20
}

// Hits is one page of a search's answer.
type Hits struct {
	Total int
	Keys  []string // name keys, best first
}
