package feed

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// Services is all that a feed type sees of the server.
type Services struct {
	Packages  Packages
	Publisher Publisher
	Search    Search
	Files     Files
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
}

// Publisher is the write path. Every method is atomic: when it returns nil, the
// change is durable and visible through every node; otherwise nothing has
// changed.
type Publisher interface {
	// Publish stores a package file and records its version. It returns
	// proget.ErrConflict if the version exists already.
	Publish(ctx context.Context, u Upload) (*proget.Version, error)

	// SetStatus changes the status of a version; change edits the present one.
	SetStatus(ctx context.Context, ref Ref, by proget.Principal, change func(*proget.Status)) error

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

	// Replace lets the upload take the place of an existing version with the
	// same key.
	Replace bool
}

// Files serves the bytes of package files.
type Files interface {
	// Serve answers a GET or HEAD with the file: Range, conditional requests
	// and the kernel's help included. It counts a download where one begins.
	Serve(w http.ResponseWriter, r *Request, v *proget.Version, f proget.File, contentType string) error

	// Open gives random access to a stored file. The caller closes it.
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
	// key, or proget.ErrUnauthenticated if the password is wrong.
	Token(ctx context.Context, user, password string) (string, error)
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
