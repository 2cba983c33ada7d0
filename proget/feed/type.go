package feed

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/proget"
)

// A Type is one kind of feed, such as NuGet. All fields are required unless
// marked otherwise; Check looks.
type Type struct {
	Name       string             // the database's and the API's word: "nuget"
	Title      string             // for people: "NuGet"
	Mount      string             // first segment of its URLs, /{Mount}/{feed}/…; "" means Name
	Start      string             // path below a feed's URL that its clients are given: "v3/index.json"; optional
	Algorithms []proget.Algorithm // digests its clients ask for, beside SHA-256; optional

	// Address returns what a feed's clients are given if that is no URL: the host and
	// the feed, for Docker. base is the server's absolute URL. Optional.
	Address func(base string, f *proget.Feed) string

	Naming Naming // of its packages in the native API; optional

	// NameKey and VersionKey return the normal form that decides identity, for
	// text that a client sent. They accept anything: what is no valid name
	// merely matches nothing.
	NameKey    func(name string) string
	VersionKey func(version string) string

	// CompareVersions orders two version keys as the ecosystem does: negative
	// if a is older than b.
	CompareVersions func(a, b string) int

	// TagsName says that people know versions by their tags, as container images: pages
	// name a version by one, and shorten its digest. Retention compares these with its patterns; of other types, it leaves alone what
	// a tag points at.
	TagsName bool

	// Needs returns, by the key of a version, the keys of those among a package's
	// versions that must stay as long as it does. Optional.
	Needs func(versions []*proget.Version) map[string][]string

	// Folder reports whether what has a package's key is no package but a folder of
	// such: it is not found by search, and retention leaves it alone. The page of a feed
	// then shows one folder at a time, of names whose parts have slashes between them. Optional.
	Folder func(nameKey string) bool

	// Fits may refuse the name of a package that a feed does not have yet, because of
	// those that it has. It is asked last in the transaction, under a lock that all
	// publishers of the feed wait for, so that nothing comes between. Optional.
	Fits func(ctx context.Context, name string, in Present) error

	// Inspect reads a package file, the only place where that happens. The
	// file is hostile until proven otherwise: a broken one is refused with
	// proget.ErrInvalid and a sentence for its author.
	Inspect func(ctx context.Context, f File) (*Manifest, error)

	// Virtual reports a stored file that is no package: the handler makes one of it for
	// whoever downloads it. Optional.
	Virtual func(f proget.File) bool

	// Summary tells what pages, search and the native API show of a version,
	// out of the Data that Inspect returned.
	Summary func(v *proget.Version) Summary

	// SummaryVersion is raised when Summary, Folder or Modern tells something else of
	// versions that are there: each node then fills its search index anew. Optional.
	SummaryVersion int

	// Main returns those of a package's versions that stand for it, oldest first, where
	// others only go with them, as signatures go with an image. Optional.
	Main func(p *proget.Package) []*proget.Version

	// Modern reports whether clients of an old protocol must not see the
	// version, so that search can leave its package out for them. Optional.
	Modern func(v *proget.Version) bool

	// Install returns what a person types to use the version, for its page;
	// base is the feed's absolute URL. v.Version is what people know the version by:
	// a tag that points at it, if it has one and TagsName says so.
	Install func(base string, f *proget.Feed, v *proget.Version) []Instruction

	// Operations are all that Handler serves: the server asks for the permission
	// that they name, and refuses what is not among them.
	Operations Operations

	// Handler makes the protocol's handler.
	Handler func(s Services) Handler

	// Index makes what keeps the files of the repository's index current, for
	// which Handler asks Services.Indexes. It runs on the primary indexing node.
	// Optional.
	Index func(s Services) repoindex.Index

	// Mounts are further first segments of the type's URLs: those of a feed below
	// /symbols/{feed}/ come to Handler, too, with Request.Mount saying which.
	// Optional.
	Mounts []string

	// Form says how people upload a file on the feed's page; nil if they cannot.
	Form *Form

	// Root makes the handler of what lies beside the feeds, by its path below the
	// type's mount: "_catalog" is /v2/_catalog of registries, "" is /v2/. Their
	// requests have no Feed, but the caller's Feeds, and change nothing. Optional.
	Root func(s Services) map[string]func(w http.ResponseWriter, r *Request) error

	// Challenge returns the WWW-Authenticate header of an answer that asks for
	// credentials; base is the server's absolute URL. nil asks for a name and a
	// password.
	Challenge func(base string, r *http.Request) string

	// WriteError writes the protocol's own error body. message is safe to show
	// and never empty; err is what the handler returned, which is not. Headers
	// that go with the status (WWW-Authenticate, Retry-After) are set already.
	WriteError func(w http.ResponseWriter, r *http.Request, status int, message string, err error)
}

// URL returns a feed's URL, without a trailing slash, on a server at base.
func (t *Type) URL(base string, f *proget.Feed) string {
	return base + "/" + t.MountName() + "/" + url.PathEscape(f.Name)
}

// Front returns what a package is shown by: itself with the versions that stand for
// it, or with all if there are none of these.
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
	// Has reports whether there is a package of that key.
	Has(ctx context.Context, nameKey string) (bool, error)

	// HasPrefix reports whether there is one whose key begins so.
	HasPrefix(ctx context.Context, prefix string) (bool, error)
}

// A Naming is how package URLs and the native API name a type's packages.
type Naming struct {
	PURL      string // with which package URLs begin: "upack"; "" means the type's name
	Separator string // between group and name: ":"; "" means "/"
	Scope     string // with which groups begin: "@"; clients leave it out, or not

	// Parted says that a version is made of files of equal rank. ProGet counts each as
	// a package, and tells them apart by a qualifier.
	Parted bool

	// Unversioned says that a package has one version, of which people know nothing.
	Unversioned bool
}

// Join makes a package's name of a group, or "", and a name.
func (n Naming) Join(group, name string) string {
	if group == "" {
		return name
	}
	return n.Scope + strings.TrimPrefix(group, n.Scope) + cmp.Or(n.Separator, "/") + name
}

// Split takes apart what Join makes.
func (n Naming) Split(full string) (group, name string) {
	separator := cmp.Or(n.Separator, "/")
	i := strings.LastIndex(full, separator)
	if i < 0 {
		return "", full
	}
	return full[:i], full[i+len(separator):]
}

// PURLType is the word with which package URLs of the type's packages begin.
func (t *Type) PURLType() string { return cmp.Or(t.Naming.PURL, t.Name) }

// StartURL returns the URL that the feed's clients are given, or what they take in
// its place.
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

// A Form is what the page to upload files asks for.
type Form struct {
	Accept string // endings of the files to choose from, as in the accept attribute of HTML: ".nupkg,.snupkg"
	Path   string // the label of a field that says where the file goes, which comes before File.Name and a slash; "" for no such field
	Hint   string // a sentence for who is about to upload; optional
}

// A Handler serves a protocol.
type Handler interface {
	// Operation returns what the request asks for, one of Type.Operations. It is
	// pure and is called before ServeFeed. It is "" for a request that the handler does
	// not know, for which ServeFeed returns what Unknown does.
	Operation(r *Request) Operation

	// ServeFeed answers the request or returns an error before it has written
	// anything; if it has, the answer is broken off.
	ServeFeed(w http.ResponseWriter, r *Request) error
}

// TypeOf returns the type of a feed among types, or proget.ErrNotFound.
func TypeOf(types []Type, f *proget.Feed) (*Type, error) {
	i := slices.IndexFunc(types, func(t Type) bool { return t.Name == f.Type })
	if i < 0 {
		return nil, proget.Errorf(proget.ErrNotFound, "This server does not serve feeds of type %s.", f.Type)
	}
	return &types[i], nil
}

// A Vetter is a Handler that has something to say of uploads which come by the
// page or the native API, before they are stored. Optional.
type Vetter interface {
	// Vet returns why a file of that name, as Upload.Name has it, cannot be
	// published in the feed.
	Vet(ctx context.Context, f *proget.Feed, name string) error
}

// A Request is a request to one feed.
type Request struct {
	*http.Request
	Feed      *proget.Feed
	Feeds     []*proget.Feed // without a Feed: those of the type that the caller may view
	Mount     string         // the first segment of the request's path: Type.MountName or one of Type.Mounts
	Base      string         // the feed's absolute URL as the client sees it, without a trailing slash
	Path      string         // what follows Base and a slash, still escaped: "v3/index.json"
	Principal proget.Principal
}

// A File is a package file that has just been stored.
type File struct {
	io.ReaderAt
	Size    int64
	Name    string // as the client called it, or the path it is for; "" if it said neither
	Digests proget.Digests
}

// A Role is what a file is to its version.
type Role int

// The roles of files.
const (
	// Whole is a file that is all of its version. To publish it twice is a
	// conflict.
	Whole Role = iota

	// Part is one of several equal files, such as a wheel. The first begins the
	// version, the others join it; to publish two of one name is a conflict, unless
	// they are the same.
	Part

	// Extra joins a version that is there, as symbols do, and is refused with
	// proget.ErrNotFound if it is not.
	Extra
)

// A Manifest is what Inspect found in a package file: at least Name, Version and FileName.
type Manifest struct {
	Name       string // as its author spells it
	Version    string // as its author spells it
	Prerelease bool
	Role       Role
	FileName   string        // under which the file is kept and served, without slashes and control characters; unique in its version without regard to case
	Tags       []string      // of the package, which the version takes over
	Refers     []proget.File // stored files that belong to the version beside the package file
	Needs      []string      // keys of versions of the package that must be there, or proget.ErrNotFound
	Aliases    []string      // names by which Packages.Alias finds the file in its feed; at most MaxAliases
	Data       any           // the type's own description of the version; nil from a file that joins one leaves it as it is
	FileData   any           // the type's own description of the file; nil for none
}

// MaxName bounds a package's name, in bytes: 400 characters, which every database keeps.
const MaxName = 4 * 400

// MaxFileName bounds a file's name, in bytes.
const MaxFileName = MaxName

// MaxAliases bounds the aliases of a file, MaxAlias the length of each in bytes.
const (
	MaxAliases = 2000
	MaxAlias   = 400
)

// MaxManifest bounds the JSON of Data and of FileData, in bytes.
const MaxManifest = 4 << 20

// A Summary is what every type can say of a version to a person.
type Summary struct {
	Title        string
	Description  string // plain text or Markdown
	Authors      string
	Owners       string
	Tags         []string
	Types        []string // what it is among its feed's packages; optional
	ProjectURL   string
	Repository   string // of its source; optional
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

// An Instruction is a command to copy from a package's page.
type Instruction struct {
	Tool    string // "dotnet CLI"
	Command string
}
