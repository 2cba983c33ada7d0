package universal

import (
	"archive/zip"
	"context"
	"crypto/sha1" //nolint:gosec // what identification strings have
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of what is assembled at once.
const (
	maxNesting      = 5 // depth of virtual packages within each other
	assembleTimeout = 15 * time.Minute
)

// vpackData is stored with the file of a virtual package.
type vpackData struct {
	Feeds []string `json:"feeds,omitempty"` // asset directories that its publisher could view, in lower case
}

// vet returns the Upload.Check that lets a virtual package name only asset directories
// that its publisher may view. Otherwise somebody else who may view one would fetch its
// files for the publisher.
func (h *handler) vet(r *feed.Request, m *feed.Manifest) error {
	if !strings.HasSuffix(m.FileName, vpackEnding) {
		return nil
	}
	text, err := json.Marshal(m.Data)
	if err != nil {
		return err
	}
	v, err := readVirtual(text)
	if err != nil {
		return err
	}
	var d vpackData
	for _, res := range slices.Concat(v.Contents, v.MetaContents) {
		name := strings.ToLower(res.Source.Feed)
		if name == "" || slices.Contains(d.Feeds, name) {
			continue
		}
		if _, err := h.services.Feeds.Feed(r.Request, name, proget.TaskView); err != nil {
			return err
		}
		d.Feeds = append(d.Feeds, name)
	}
	m.FileData = d
	return nil
}

// nesting is how deep in other virtual packages one is assembled, and what was already
// assembled or checked for the same request, by version ID: memory may not show that
// yet, and a package that is named a thousand times must not be assembled as often.
type nesting struct {
	depth int
	made  map[int64]proget.File
}

func outermost() nesting { return nesting{made: make(map[int64]proget.File)} }

func (n nesting) deeper() nesting { return nesting{n.depth + 1, n.made} }

// packageFile returns the file of a package. A virtual package is assembled when it is
// first requested.
func (h *handler) packageFile(ctx context.Context, r *feed.Request, v *proget.Version, n nesting) (proget.File, error) {
	if !isVirtual(v) {
		return v.Files[0], nil
	}
	if f, ok := n.made[v.ID]; ok {
		return f, nil
	}
	if f, ok := constructed(v); ok {
		if err := h.checkParts(ctx, r, f); err != nil {
			return proget.File{}, err
		}
		n.made[v.ID] = f
		return f, nil
	}
	if n.depth > maxNesting {
		return proget.File{}, proget.Errorf(proget.ErrInvalid, "Virtual packages are nested deeper than %d, or in a circle.", maxNesting)
	}
	construct := func() (proget.File, error) {
		ctx, cancel := context.WithTimeout(ctx, assembleTimeout)
		defer cancel()
		return h.construct(ctx, r, v, n)
	}
	if n.depth == 0 { // nested assemblies do not wait: two could wait for each other
		return h.flights.do(ctx, v.ID, construct)
	}
	f, err := construct()
	if err == nil {
		n.made[v.ID] = f
	}
	return f, err
}

// constructedName returns the name of the file assembled from a virtual package. It
// contains the digest of the manifest used: if the version is deleted and published
// differently meanwhile, the file does not belong to the new one.
func constructedName(v *proget.Version) string {
	return strings.TrimSuffix(v.Files[0].Name, vpackEnding) + "." + v.Files[0].Digests[proget.SHA256][:16] + ".constructed" + upackEnding
}

// constructed returns the file assembled from a virtual package, with the name that
// clients get.
func constructed(v *proget.Version) (proget.File, bool) {
	name := constructedName(v)
	for _, f := range v.Files[1:] {
		if strings.EqualFold(f.Name, name) {
			return named(v, f), true
		}
	}
	return proget.File{}, false
}

func named(v *proget.Version, f proget.File) proget.File {
	f.Name = strings.TrimSuffix(v.Files[0].Name, vpackEnding) + upackEnding
	return f
}

// errThere ends a transaction whose result was already recorded.
var errThere = errors.New("it was assembled before")

// construct assembles a virtual package and records the file with its version. If
// several nodes do so at once, the first to record decides, so that everybody gets the
// same bytes.
func (h *handler) construct(ctx context.Context, r *feed.Request, v *proget.Version, n nesting) (proget.File, error) {
	a, err := h.newAssembly(ctx, r, v, n)
	if err != nil {
		return proget.File{}, err
	}
	body := newPipe(a.write)
	defer body.Close()
	var there proget.File
	made, err := h.services.Publisher.Publish(ctx, feed.Upload{Feed: r.Feed, Body: body, By: r.Principal,
		Check: func(m *feed.Manifest) error {
			m.Name, m.Version, m.Role, m.FileName, m.Data, m.FileData = v.Name, v.Version, feed.Extra, constructedName(v), nil, a.data()
			return nil
		},
		Replace: func(old *proget.Version, _ *feed.Manifest) error {
			if old == nil {
				return nil
			}
			there = old.Files[0]
			return errThere
		}})
	if failed := body.Err(); failed != nil {
		return there, failed
	}
	if errors.Is(err, errThere) {
		return named(v, there), nil
	}
	if err != nil {
		return there, err
	}
	return named(v, made.Files[0]), nil
}

// An assembly turns a virtual package into a real one.
type assembly struct {
	*handler
	ctx      context.Context //nolint:containedctx // of the one request that it serves
	r        *feed.Request
	virtual  *virtual
	manifest []byte
	feeds    []string
	nesting  nesting

	out   *zip.Writer
	seen  map[string]bool // lower-case paths
	parts map[part]bool
}

func (h *handler) newAssembly(ctx context.Context, r *feed.Request, v *proget.Version, n nesting) (*assembly, error) {
	a := &assembly{handler: h, ctx: ctx, r: r, nesting: n, seen: map[string]bool{manifestName: true}, parts: make(map[part]bool)}
	var err error
	if a.virtual, err = readVirtual(v.Manifest); err != nil {
		return nil, err
	}
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(v.Manifest, &whole); err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", v.Name, err)
	}
	for key := range whole {
		if strings.EqualFold(key, "contents") || strings.EqualFold(key, "metaContents") {
			delete(whole, key)
		}
	}
	var d vpackData
	if data := v.Files[0].Data; len(data) > 0 {
		if err := json.Unmarshal(data, &d); err != nil {
			return nil, fmt.Errorf("read what is kept of %s: %w", v.Files[0].Name, err)
		}
	}
	a.feeds = d.Feeds
	a.manifest, err = json.MarshalIndent(whole, "", "  ")
	return a, err
}

// write writes the package. Any error aborts it.
func (a *assembly) write(w io.Writer) error {
	a.out = zip.NewWriter(w)
	if err := writeManifest(a.out, a.manifest); err != nil {
		return err
	}
	for _, res := range a.virtual.Contents {
		if err := a.add(res, false); err != nil {
			return err
		}
	}
	for _, res := range a.virtual.MetaContents {
		if err := a.add(res, true); err != nil {
			return err
		}
	}
	return a.out.Close()
}

func (a *assembly) add(res resource, meta bool) error {
	to, err := res.place(meta)
	if err != nil {
		return err
	}
	switch s := res.Source; {
	case s.URL != "":
		return a.addURL(to, s)
	case s.Asset != "":
		return a.addAsset(to, s)
	}
	return a.addPackage(to, res, meta)
}

// free reports whether a path is not taken yet, and takes it: the first file wins.
func (a *assembly) free(name string) (bool, error) {
	key := strings.ToLower(name)
	if a.seen[key] {
		return false, nil
	}
	if len(a.seen) >= zipfile.MaxEntries {
		return false, proget.Errorf(proget.ErrInvalid, "The virtual package would have more than %d files.", zipfile.MaxEntries)
	}
	a.seen[key] = true
	return true, nil
}

// addFile writes a file. If want is not "", the file must have that SHA-1.
func (a *assembly) addFile(to string, in io.Reader, from, want string) error {
	ok, err := a.free(to)
	if err != nil || !ok {
		return err
	}
	entry, err := a.out.Create(to)
	if err != nil {
		return err
	}
	sum := sha1.New() //nolint:gosec // see above
	if _, err := io.Copy(io.MultiWriter(entry, sum), in); err != nil {
		return err
	}
	return compare(sum, from, want)
}

func compare(sum hash.Hash, from, want string) error {
	if got := hex.EncodeToString(sum.Sum(nil)); want != "" && !strings.EqualFold(got, want) {
		return proget.Errorf(proget.ErrInvalid, "The SHA-1 of %.200s is %s, not %s.", from, got, want)
	}
	return nil
}

func (a *assembly) addURL(to string, s source) error {
	u, err := url.Parse(s.URL)
	if err != nil {
		return err
	}
	body, err := a.fetcher.fetch(a.ctx, u)
	if err != nil {
		return err
	}
	defer body.Close()
	return a.addFile(to, body, u.Redacted(), s.Hash)
}

// addAsset writes a file of an asset directory, which both the publisher of the virtual
// package and the first to request it must be allowed to view.
func (a *assembly) addAsset(to string, s source) error {
	if !slices.Contains(a.feeds, strings.ToLower(s.Feed)) {
		return proget.Errorf(proget.ErrInvalid, "It was not checked whether the publisher of the virtual package may view the asset directory %.60q: upload the package again with an API key.", s.Feed)
	}
	f, v, err := a.asset(a.r, s.Feed, s.Asset, proget.TaskView)
	if err != nil {
		return err
	}
	if err := a.note(part{f.ID, strings.ToLower(v.Name), v.Key}); err != nil {
		return err
	}
	content, err := a.services.Files.Open(a.ctx, v.Files[0])
	if err != nil {
		return err
	}
	defer content.Close()
	return a.addFile(to, io.NewSectionReader(content, 0, content.Size()), s.Feed+"/"+s.Asset, s.Hash)
}

// assetType is the feed type whose packages are files by their paths.
const assetType = "asset"

// asset returns a file of an asset directory in which the caller may perform task.
func (h *handler) asset(r *feed.Request, directory, file string, task proget.Task) (*proget.Feed, *proget.Version, error) {
	f, err := h.services.Feeds.Feed(r.Request, directory, task)
	if err != nil {
		return nil, nil, err
	}
	if f.Type != assetType {
		return nil, nil, proget.Errorf(proget.ErrInvalid, "%s is not an asset directory.", f.Name)
	}
	name, err := cleanPath(file)
	if err != nil {
		return nil, nil, err
	}
	p, err := h.services.Packages.Package(r.Context(), f, strings.ToLower(name))
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.WrapError(proget.ErrNotFound, err, "There is no file %.300s in %s.", name, f.Name)
	}
	if err != nil {
		return nil, nil, err
	}
	v, err := latest(p)
	return f, v, err
}

// addPackage writes content of another package of the feed, without recompressing it.
func (a *assembly) addPackage(to string, res resource, meta bool) error {
	s := res.Source
	p, err := a.find(a.r, s.fullName())
	if err != nil {
		return err
	}
	v, err := namedVersion(p, s.Version)
	if err != nil {
		return err
	}
	file, err := a.packageFile(a.ctx, a.r, v, a.nesting.deeper())
	if err != nil {
		return err
	}
	if err := a.notePackage(p, v, file); err != nil {
		return err
	}
	content, err := a.services.Files.Open(a.ctx, file)
	if err != nil {
		return err
	}
	defer content.Close()
	if s.Hash != "" {
		sum := sha1.New() //nolint:gosec // see above
		if _, err := io.Copy(sum, io.NewSectionReader(content, 0, content.Size())); err != nil {
			return err
		}
		if err := compare(sum, v.Name+" "+v.Version, s.Hash); err != nil {
			return err
		}
	}
	archive, err := open(content, content.Size())
	if err != nil {
		return err
	}
	return a.addEntries(archive, to, res, meta)
}

// addEntries writes the entries of an open package that a resource selects. There must
// be at least one.
func (a *assembly) addEntries(archive *upack, to string, res resource, meta bool) error {
	from := res.Source.PackagePath
	if from == "" {
		from = contentPrefix
	}
	from, err := cleanPath(from)
	if err != nil {
		return err
	}
	found := false
	for i, f := range archive.File {
		name := archive.Names[i]
		below := strings.HasPrefix(strings.ToLower(name), strings.ToLower(from)+"/")
		switch exact := strings.EqualFold(name, from); {
		case strings.HasSuffix(name, "/"), !exact && (!below && from != "" || res.isFile()):
			continue
		case exact:
			name = to
			if !res.isFile() {
				name = path.Join(to, path.Base(archive.Names[i]))
			}
		case from == "":
			name = path.Join(to, name)
		default:
			rest := strings.SplitN(name, "/", strings.Count(from, "/")+2) // by segments, because lower-casing can change the length of a name
			name = path.Join(to, rest[len(rest)-1])
		}
		found = true
		if meta && taken(name) {
			return proget.Errorf(proget.ErrInvalid, "%q cannot be among the metaContents of a virtual package.", name)
		}
		if ok, err := a.free(name); err != nil || !ok {
			if err != nil {
				return err
			}
			continue
		}
		if err := archive.copyEntry(a.out, f, name); err != nil {
			return err
		}
	}
	if !found && res.Source.PackagePath != "" {
		return proget.Errorf(proget.ErrInvalid, "%s %s has nothing at %.200q.", res.Source.fullName(), res.Source.Version, from)
	}
	return nil
}

// copyEntry copies an entry under another name, without recompressing it.
func (a *upack) copyEntry(out *zip.Writer, f *zip.File, name string) error {
	header := f.FileHeader
	header.Name = name
	entry, err := out.CreateRaw(&header)
	if err != nil {
		return err
	}
	raw, err := f.OpenRaw()
	if err != nil {
		return a.damaged(f, err)
	}
	n, err := io.Copy(entry, raw)
	if err == nil && uint64(n) != f.CompressedSize64 {
		return a.damaged(f, io.ErrUnexpectedEOF)
	}
	if broken := a.ReadError(); broken != nil {
		return broken
	}
	return err
}

func (a *upack) damaged(f *zip.File, cause error) error {
	return a.invalid(cause, "The archive is damaged at %.200q.", f.Name)
}
