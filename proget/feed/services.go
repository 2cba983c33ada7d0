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

// Services is everything that a feed type sees of the server.
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

// Packages reads packages.
type Packages interface {
	// Package returns a package with all its versions, oldest first, or
	// proget.ErrNotFound. The result is shared: the caller must not change it.
	Package(ctx context.Context, f *proget.Feed, nameKey string) (*Package, error)

	// List returns up to limit packages in the order of their keys, beginning with the
	// first key greater than after.
	List(ctx context.Context, f *proget.Feed, after string, limit int) ([]*Package, error)

	// Names is like List, but reads only the names: full lists of packages would fill a
	// node's memory.
	Names(ctx context.Context, f *proget.Feed, after string, limit int) ([]Name, error)

	// Fact returns what derive makes of a package, or proget.ErrNotFound. It is kept
	// until the package changes, and without the package, so that it can be asked of
	// thousands. It must be small, and a type derives one kind only.
	Fact(ctx context.Context, f *proget.Feed, nameKey string, derive func(*Package) any) (any, error)

	// Alias returns the version that has a file with that alias, and the file, or
	// proget.ErrNotFound. Of several, it returns the newest whose version is not
	// blocked, or the newest if all are.
	Alias(ctx context.Context, f *proget.Feed, alias string) (*proget.Version, proget.File, error)
}

// A Name is the name of a package.
type Name struct {
	Key  string
	Name string // as the newest publisher spelt it
}

// Feeds finds feeds other than the request's own.
type Feeds interface {
	// Feed returns the active feed with that name, ignoring case, if the sender of the
	// request may perform task in it; otherwise it returns proget.ErrNotFound,
	// ErrDenied or ErrUnauthenticated.
	Feed(r *http.Request, name string, task proget.Task) (*proget.Feed, error)
}

// Publisher changes packages. Every method is atomic: when it returns nil, the change
// is durable and visible through every node; otherwise nothing has changed.
type Publisher interface {
	// Publish stores a package file and records its version. It returns an error of the
	// body as UploadError does. It returns proget.ErrConflict if the version already
	// exists or, for a part or an extra, already has another file of that name.
	// Publishing the same bytes again succeeds in the latter case. In both, they take the
	// place of the stored ones if those are missing or damaged.
	Publish(ctx context.Context, u Upload) (*proget.Version, error)

	// SetStatus changes the status of a version; change edits the present one. It
	// returns proget.ErrInvalid if the new reason of a deprecation exceeds
	// proget.MaxReason.
	SetStatus(ctx context.Context, ref Ref, by proget.Principal, change func(*proget.Status)) error

	// Edit changes the type's own description of a version. edit receives the present
	// Data and returns the new one. It runs in the transaction, perhaps more than once,
	// so that concurrent changes are not lost.
	Edit(ctx context.Context, ref Ref, by proget.Principal, edit func(data json.RawMessage) (any, error)) error

	// Tag makes a tag of the package point at the version, wherever it pointed before.
	// It returns proget.ErrNotFound if there is no such version.
	Tag(ctx context.Context, ref Ref, tag string, by proget.Principal) error

	// Untag removes a tag, or returns proget.ErrNotFound. The version that it points at
	// stays; Untag ignores ref.VersionKey.
	Untag(ctx context.Context, ref Ref, tag string, by proget.Principal) error

	// Delete removes a version and the tags that point at it, or returns
	// proget.ErrNotFound. It returns proget.ErrConflict if the version is blocked, unless
	// ref.AllowBlocked: who publishes it anew would end the block unnoticed.
	Delete(ctx context.Context, ref Ref, by proget.Principal) error
}

// A Ref names a version by normal forms.
type Ref struct {
	Feed       *proget.Feed
	NameKey    string
	VersionKey string

	// File is the version's only file, whatever the case of its name. A change of the
	// version is refused if that has another file, or others. "" allows any files.
	File string

	// AllowBlocked lets Delete delete a version that is blocked. The pages, the native API and
	// retention set it, which show or know the block; the clients of feeds see no blocked
	// versions. Other changes ignore it. Optional.
	AllowBlocked bool

	// ID is the ID of the version, if only that one is meant: one that has taken its
	// place under the same keys is then proget.ErrNotFound. Untag ignores it. Optional.
	ID int64
}

// An Upload is a package file to be published.
type Upload struct {
	Feed *proget.Feed
	Body io.Reader
	Size int64  // maximum number of bytes, as in Content-Length; 0 if unknown
	Name string // the file's name as the client gave it; may be ""
	By   proget.Principal

	// Stored is the file if the feed's storage already has it, as after Uploads.Finish;
	// Publish then ignores Body and Size. Optional.
	Stored *storage.Blob

	// Check may refuse what Inspect found, for instance because the URL names another
	// version, or add what the file does not say, such as tags. Optional.
	Check func(*Manifest) error

	// Replace lets the upload replace an existing version with the same key or, for a
	// part, the file of the same name in it. nil makes that a conflict, except for a
	// part with the same bytes. Publish calls it in the transaction, perhaps more than
	// once, with the present version, or nil. It may copy to the manifest what is to
	// stay, or refuse. Optional.
	Replace func(old *proget.Version, m *Manifest) error
}

// Uploads are uploads in several requests, each of which may reach a different node.
type Uploads interface {
	// Begin begins an upload and announces the algorithms whose digests are wanted
	// besides SHA-256. It returns proget.ErrConflict if there is an upload of this
	// name.
	Begin(ctx context.Context, r UploadRef, by proget.Principal, algorithms ...proget.Algorithm) error

	// Offer returns a sealed token. Set as UploadRef.Offer, it lets the upload begin
	// with its first bytes on any node; nothing is written until then. It is valid for
	// 24 hours, any number of times. by and algorithms are those of Begin.
	Offer(r UploadRef, by proget.Principal, algorithms ...proget.Algorithm) (string, error)

	// Size returns how many bytes have arrived in order, or proget.ErrNotFound.
	Size(ctx context.Context, r UploadRef) (int64, error)

	// Append stores the chunk that begins at offset, or the next chunk if offset is -1,
	// and returns how many bytes have arrived including it. If body fails, nothing of
	// the chunk is kept, and Append returns the error as UploadError does. It returns
	// an OffsetError if another chunk is due, ErrFinished if none is.
	Append(ctx context.Context, r UploadRef, offset int64, body io.Reader) (int64, error)

	// PutPart stores the part of size bytes that begins at offset; parts may arrive in
	// any order. It returns proget.ErrInvalid if the part has fewer bytes or overlaps
	// one that has arrived, ErrFinished if the upload is finished, and
	// proget.ErrTooLarge if it has more bytes. Sending a part again is not an error.
	PutPart(ctx context.Context, r UploadRef, offset, size int64, body io.Reader) error

	// Finish ends an upload and returns what was uploaded, for Upload.Stored. size and
	// want are the client's claims; size -1 claims nothing. If one differs, or a part
	// is missing, Finish returns proget.ErrInvalid and the upload stays open. The
	// finished upload is kept until Cancel, so that a caller killed before it recorded
	// the blob can call Finish again. Call Cancel once a version refers to it.
	Finish(ctx context.Context, r UploadRef, size int64, want proget.Digests) (storage.Blob, error)

	// Keep ends an upload and, in the same commit, holds what was uploaded under the
	// name as; the upload is then gone. If last is not nil, Keep first appends it as
	// the chunk that begins at offset, as Append does, unless what has arrived has the
	// digests in want, which are those that the client claims. If one differs, or a part
	// is missing, Keep returns proget.ErrInvalid and the upload stays open.
	Keep(ctx context.Context, r, as UploadRef, by proget.Principal, want proget.Digests, offset int64, last io.Reader) error

	// Hold keeps the stored file with that size and SHA-256 under a name for some time,
	// whether or not a version refers to it. It returns proget.ErrNotFound if the
	// feed's storage has no such file.
	Hold(ctx context.Context, r UploadRef, by proget.Principal, sha256 string, size int64) error

	// Held returns what is held under a name, or proget.ErrNotFound.
	Held(ctx context.Context, r UploadRef) (proget.File, error)

	// Deleted returns the newest file of that name of a package's deleted versions that
	// can still be brought back and are not blocked, or proget.ErrNotFound. It is for
	// Upload.Refers: it has no storage key, as its bytes may be gone already.
	Deleted(ctx context.Context, in *proget.Feed, nameKey, name string) (proget.File, error)

	// Cancel discards an upload, or what is held. It returns nil if there is none.
	Cancel(ctx context.Context, r UploadRef) error
}

// An UploadRef names an upload. Uploads of different feeds or scopes are unrelated.
type UploadRef struct {
	Feed  *proget.Feed
	Scope string // chosen by the feed type, such as a repository's name
	ID    string
	Offer string // a token from Uploads.Offer with which the upload may begin; optional
}

// ErrFinished is the cause of the error for a chunk or part of an upload that is
// already finished.
var ErrFinished = errors.New("the upload is finished")

// ErrDigest is the cause of the error for an upload whose digest is not the one that
// the client claims.
var ErrDigest = errors.New("the digest differs")

// An OffsetError says that a chunk does not follow the bytes that have arrived: it was
// sent twice, too early, or while another was arriving.
type OffsetError struct {
	Size int64 // how many bytes have arrived; the next chunk begins there
}

// Error implements error.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("the next chunk begins at byte %d", e.Size)
}

// Unwrap returns the error for the client, of kind proget.ErrInvalid.
func (e *OffsetError) Unwrap() error {
	return proget.Errorf(proget.ErrInvalid, "The upload has %d bytes so far; the next chunk begins there.", e.Size)
}

// Files serves the bytes of package files.
type Files interface {
	// Serve answers a GET or HEAD request with the file, supporting Range, conditional
	// requests and the kernel's sendfile. It refuses a blocked version and counts a
	// download where one begins. If v is nil, it does neither: the caller must.
	Serve(w http.ResponseWriter, r *Request, v *proget.Version, f proget.File, contentType string) error

	// Count counts a download that Serve does not see.
	Count(v *proget.Version)

	// Use records that a version is in use, without counting a download.
	Use(v *proget.Version)

	// Open gives random access to a stored file. The caller must close it, and must
	// call CheckAllowed first if clients are to see its content.
	Open(ctx context.Context, f proget.File) (Content, error)
}

// Content is an open file.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Indexes reads the files that Type.Index builds.
type Indexes interface {
	// Read returns the entire present content of a file of a feed's index, or
	// proget.ErrNotFound.
	Read(ctx context.Context, feedID int64, kind, name string) ([]byte, error)
}

// Tokens lets users sign in from a program.
type Tokens interface {
	// Token checks a user's password and returns a token that the program sends instead
	// of an API key. It returns proget.ErrUnauthenticated if the password is wrong, and
	// proget.ErrThrottled, even for the right password, after too many wrong ones. r is
	// the request that brought them.
	Token(r *http.Request, user, password string) (string, error)

	// Exchange returns a token for the sender of the request, who may be anonymous, and
	// how long it is valid.
	Exchange(r *http.Request) (token string, good time.Duration, err error)
}

// Search finds packages.
type Search interface {
	Search(ctx context.Context, f *proget.Feed, q Query) (Hits, error)
}

// A Query asks for packages by text. The zero value matches every package that has a
// listed, stable version.
type Query struct {
	Text       string // words in names, titles, descriptions, tags, authors and owners; an exact name comes first
	NamePrefix string // only names that begin with this, without regard to case; sorted by name
	Type       string // only packages of this type, one of Summary.Types, without regard to case
	Tag        string // only packages with this tag, without regard to case
	Prerelease bool   // also packages whose listed versions are all prereleases
	Old        bool   // only packages with such versions for which Type.Modern is false
	Skip, Take int    // Take is bounded by the index; 0 means 20
}

// Hits is one page of search results.
type Hits struct {
	Total int
	Keys  []string // name keys, best match first
}
