package feed

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/proget"
)

// A Type is one kind of feed, such as NuGet. Each field says whether it is required or
// optional; Check verifies that the required ones are set.
type Type struct {
	Name       string             // Required: the type's name in the database and the API, such as "nuget"
	Title      string             // Required: the name shown to people, such as "NuGet"
	Mount      string             // Optional: first segment of its URLs, /{Mount}/{feed}/…; "" means Name
	Start      string             // Optional: path below a feed's URL that users enter in their clients, such as "v3/index.json"
	Algorithms []proget.Algorithm // Optional: digests that its clients ask for, besides SHA-256

	// FeedName returns a feed's name as clients write it in URLs, or proget.ErrInvalid
	// if they cannot write it: Docker's know no capitals. The server itself ignores case.
	// Optional.
	FeedName func(name string) (string, error)

	// Address returns what users enter in their clients if that is not a URL: for
	// Docker, the host and the feed. base is the server's absolute URL. Optional.
	Address func(base string, f *proget.Feed) string

	Naming Naming // Optional: how the native API names its packages

	// NameKey and VersionKey return the normal form of a client's text, which decides
	// identity. They accept any text: an invalid name simply matches nothing. Required.
	NameKey    func(name string) string
	VersionKey func(version string) string

	// CompareVersions orders two version keys as the ecosystem does: it returns a
	// negative number if a is older than b. Required.
	CompareVersions func(a, b string) int

	// TagsName says that people know versions by their tags, as with container images:
	// pages show a tag as a version's name and shorten digests. Retention matches its
	// version patterns against the tags; for other types, it keeps every version that a
	// tag points at. Optional.
	TagsName bool

	// Needs maps the key of each version to the keys of those versions of the package
	// that must stay as long as it does. Optional.
	Needs func(versions []*proget.Version) map[string][]string

	// Folder reports whether a package of that key is not a package but the marker of a
	// folder. Search does not find it, and retention keeps it. If Folder is set, a
	// feed's page shows one folder at a time and takes slashes in names as separators.
	// Optional.
	Folder func(nameKey string) bool

	// Fits may refuse the name of a package that is new in a feed because of the
	// packages already there. The publisher calls it last in the transaction, under a
	// lock on the feed that all its publishers take, so that nothing changes in
	// between. Optional.
	Fits func(ctx context.Context, name string, in Present) error

	// Inspect reads a package file; no other code does. The file is hostile until
	// proven otherwise: for a broken one, Inspect returns proget.ErrInvalid with a
	// sentence for its author. Required.
	Inspect func(ctx context.Context, f File) (*Manifest, error)

	// Virtual reports whether only the handler may send a stored file: it is not itself a
	// package but what the handler builds one from, or was built from other packages,
	// which may be blocked. Optional.
	Virtual func(f proget.File) bool

	// Summary returns what pages, search and the native API show of a version, from the
	// Data that Inspect returned. Required.
	Summary func(v *proget.Version) Summary

	// SummaryVersion must be raised when Summary, Folder or Modern changes its result
	// for existing versions: each node then rebuilds the feed in its search index.
	// Optional.
	SummaryVersion int

	// Main returns those of a package's versions that represent it, oldest first, if
	// others merely accompany them, as signatures accompany an image. Optional.
	Main func(p *proget.Package) []*proget.Version

	// Modern reports whether clients of an old protocol must not see the version, so
	// that search can leave its package out for them. Optional.
	Modern func(v *proget.Version) bool

	// Install returns the commands that a version's page offers for using it; base is
	// the feed's absolute URL. v.Version is the name that people know: if TagsName is
	// set, a tag that points at the version, if there is one. Required.
	Install func(base string, f *proget.Feed, v *proget.Version) []Instruction

	// Operations lists all operations that Handler serves. The server checks the
	// permission listed for each and refuses operations that are not listed. Required.
	Operations Operations

	// Handler returns the protocol's handler. Required.
	Handler func(s Services) Handler

	// Index returns the builder that keeps the repository's index files current;
	// Handler reads these with Services.Indexes. It runs on the primary indexing node.
	// Optional.
	Index func(s Services) repoindex.Index

	// Mounts are further first segments of the type's URLs: Handler also receives the
	// requests below /symbols/{feed}/, for instance, with the segment in Request.Mount.
	// Optional.
	Mounts []string

	// Form describes the upload form on the feed's page; nil means no form. Optional.
	Form *Form

	// Root returns handlers for paths beside the feeds, keyed by the path below the
	// type's mount: "_catalog" is /v2/_catalog of registries, "" is /v2/. Their
	// requests have no Feed but the Feeds that the caller may view, and must not change
	// anything. Optional.
	Root func(s Services) map[string]func(w http.ResponseWriter, r *Request) error

	// Challenge returns the WWW-Authenticate header of a response that asks for
	// credentials; base is the server's absolute URL. nil asks for a name and a
	// password. Optional.
	Challenge func(base string, r *http.Request) string

	// WriteError writes the protocol's own error body. message is safe to show and
	// never empty; err is the handler's error, which is not safe to show. The headers
	// that go with the status (WWW-Authenticate, Retry-After) are already set.
	// Required.
	WriteError func(w http.ResponseWriter, r *http.Request, status int, message string, err error)
}

// URL returns the feed's URL on the server at base, without a trailing slash.
func (t *Type) URL(base string, f *proget.Feed) string {
	name := f.Name
	if t.FeedName != nil {
		if written, err := t.FeedName(name); err == nil {
			name = written
		}
	}
	return base + "/" + t.MountName() + "/" + url.PathEscape(name)
}

// Front returns the package with only the versions that Main selects, or p itself if
// there is no Main or it selects none.
func (t *Type) Front(p *Package) *Package {
	if t.Main == nil {
		return p
	}
	front := *p.Package
	if front.Versions = t.Main(p.Package); len(front.Versions) == 0 {
		return p
	}
	return &Package{Package: &front}
}

// Present tells which packages a feed has.
type Present interface {
	// Has reports whether the feed has a package with that key.
	Has(ctx context.Context, nameKey string) (bool, error)

	// HasPrefix reports whether the feed has a package whose key begins with prefix.
	HasPrefix(ctx context.Context, prefix string) (bool, error)
}

// A Naming describes how package URLs and the native API name a type's packages. All
// fields are optional.
type Naming struct {
	PURL      string // the type in package URLs, such as "upack"; "" means the type's name
	Separator string // between group and name, such as ":"; "" means "/"
	Scope     string // prefix of every group, such as "@"; clients may leave it out

	// Parted says that a version consists of files of equal rank. ProGet counts each
	// file as a package and tells them apart by a qualifier.
	Parted bool

	// Unversioned says that each package has a single version, which people never see.
	Unversioned bool
}

// Join builds a package's name from a group, which may be "", and a name.
func (n Naming) Join(group, name string) string {
	if group == "" {
		return name
	}
	return n.Scope + strings.TrimPrefix(group, n.Scope) + cmp.Or(n.Separator, "/") + name
}

// Split separates a name that Join built into group and name.
func (n Naming) Split(full string) (group, name string) {
	separator := cmp.Or(n.Separator, "/")
	i := strings.LastIndex(full, separator)
	if i < 0 {
		return "", full
	}
	return full[:i], full[i+len(separator):]
}

// PURLType returns the type's name in package URLs.
func (t *Type) PURLType() string { return cmp.Or(t.Naming.PURL, t.Name) }

// StartURL returns what users enter in their clients for the feed: a URL, or what
// Address returns.
func (t *Type) StartURL(base string, f *proget.Feed) string {
	if t.Address != nil {
		return t.Address(base, f)
	}
	if t.Start == "" {
		return t.URL(base, f)
	}
	return t.URL(base, f) + "/" + t.Start
}

// MountName returns the first segment of the type's URLs.
func (t *Type) MountName() string {
	if t.Mount != "" {
		return t.Mount
	}
	return t.Name
}

// A Form describes the fields of the upload page.
type Form struct {
	Accept string // file name endings to choose from, as in the accept attribute of HTML: ".nupkg,.snupkg"
	Path   string // the label of a field for the folder, which precedes the name and a slash in File.Name; "" for no such field
	Hint   string // a sentence for the person who uploads; optional
}

// A Handler serves a protocol.
type Handler interface {
	// Operation returns the operation of Type.Operations that the request asks for, or
	// "" if the handler does not know the request; ServeFeed then returns the error of
	// Unknown. Operation has no side effects; the server calls it before ServeFeed.
	Operation(r *Request) Operation

	// ServeFeed answers the request, or returns an error before it has written
	// anything. If it has written already, the server cuts the response off.
	ServeFeed(w http.ResponseWriter, r *Request) error
}

// TypeOf returns the type of the feed f from types, or proget.ErrNotFound.
func TypeOf(types []Type, f *proget.Feed) (*Type, error) {
	i := slices.IndexFunc(types, func(t Type) bool { return t.Name == f.Type })
	if i < 0 {
		return nil, proget.Errorf(proget.ErrNotFound, "This server does not serve feeds of type %s.", f.Type)
	}
	return &types[i], nil
}

// A Vetter is a Handler that can refuse an upload from the page or the native API
// before its bytes are stored. Optional.
type Vetter interface {
	// Vet returns an error if a file of that name, as in Upload.Name, cannot be
	// published in the feed.
	Vet(ctx context.Context, f *proget.Feed, name string) error
}

// A Request is a request to one feed.
type Request struct {
	*http.Request
	Feed      *proget.Feed
	Feeds     []*proget.Feed // if Feed is nil: the type's feeds that the caller may view
	Mount     string         // the first segment of the request's path: Type.MountName or one of Type.Mounts
	Base      string         // the feed's absolute URL as the client sees it, without a trailing slash
	Path      string         // what follows Base and a slash, still escaped: "v3/index.json"
	Principal proget.Principal
}

// A File is a package file that has just been stored.
type File struct {
	io.ReaderAt
	Size    int64
	Name    string // the name or the path that the client gave; "" if it gave none
	Digests proget.Digests
}

// A Role says how a file relates to its version.
type Role int

// The roles of files.
const (
	// Whole is a file that is the entire version. Publishing it twice is a conflict.
	Whole Role = iota

	// Part is one of several equal files, such as a wheel. The first begins the
	// version, the others join it. Publishing two parts of one name is a conflict,
	// unless their bytes are equal.
	Part

	// Extra is a file that joins an existing version, such as symbols. If the version
	// does not exist, Publish returns proget.ErrNotFound.
	Extra
)

// A Manifest is what Inspect found in a package file. Name, Version and FileName are
// required. A manifest with a name that ends in a space is refused.
type Manifest struct {
	Name       string // as its author spells it
	Version    string // as its author spells it
	Prerelease bool
	Role       Role
	FileName   string        // under which the server keeps and serves the file; no slashes or control characters; unique within the version, ignoring case
	Tags       []string      // tags of the package that will point at this version
	Refers     []proget.File // stored files that belong to the version besides the package file
	Needs      []string      // keys of the package's versions that must exist; otherwise Publish returns proget.ErrNotFound
	Aliases    []string      // names by which Packages.Alias finds the file in its feed; at most MaxAliases
	Data       any           // the type's own description of the version; nil from a file that joins a version keeps the present one
	FileData   any           // the type's own description of the file; nil for none
}

// These bound texts in UTF-16 units, as Length counts them: all databases can keep them,
// and those that could keep more refuse the same.
const (
	MaxName     = 400 // of a package's name, as it is spelt and as Type.NameKey has it
	MaxVersion  = 255 // of a version, as it is spelt and as Type.VersionKey has it
	MaxFileName = 400 // of a file's name, as it is spelt and in lower case
	MaxTag      = 400
)

// Length returns the number of UTF-16 units of a text.
func Length(text string) (units int) {
	for _, r := range text {
		units += utf16.RuneLen(r)
	}
	return units
}

// MaxAliases bounds the aliases of a file, MaxAlias the length of each in bytes.
const (
	MaxAliases = 2000
	MaxAlias   = 400
)

// MaxManifest bounds the JSON of Data and of FileData, in bytes.
const MaxManifest = 4 << 20

// A Summary is what every type can tell a person about a version.
type Summary struct {
	Title        string
	Description  string // plain text or Markdown
	Authors      string
	Owners       string
	Tags         []string
	Types        []string // kinds of package within its feed that it belongs to; optional
	ProjectURL   string
	Repository   string // URL of the source repository; optional
	License      string // an SPDX expression or a URL
	Readme       string // Markdown
	Dependencies []Dependency
}

// A Dependency is one line of a version's dependency list.
type Dependency struct {
	Group string // target framework or scope; may be ""
	Name  string
	Range string
}

// An Instruction is a command that a package's page offers for copying.
type Instruction struct {
	Tool    string // "dotnet CLI"
	Command string
}
