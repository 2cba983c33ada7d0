package maven

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

type handler struct{ services feed.Services }

var _ feed.Handler = (*handler)(nil)

// Operation implements feed.Handler.
func (h *handler) Operation(r *feed.Request) feed.Operation { return parse(r.Method, r.Path).action }

// ServeFeed implements feed.Handler.
func (h *handler) ServeFeed(w http.ResponseWriter, r *feed.Request) error {
	rt := parse(r.Method, r.Path)
	switch rt.action {
	case browse:
		return h.browse(w, r, rt.segments)
	case getFile:
		return h.file(w, r, rt)
	case getMetadata:
		return h.metadata(w, r, rt)
	case putFile:
		return h.putFile(w, r, rt)
	case putChecksum:
		return h.putChecksum(w, r, rt)
	case putMetadata:
		return h.putMetadata(w, r, rt)
	case remove:
		return h.remove(w, r, rt)
	}
	known := func(method string) bool { return parse(method, r.Path).action != unknown }
	return feed.Unknown(w, r.Request, known, "files are at group/artifact/version/file below the feed's address.")
}

// find returns a package, or nil if there is none.
func (h *handler) find(r *feed.Request, c coordinates) (*feed.Package, error) {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, c.name())
	if errors.Is(err, proget.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

// findFile returns the file at a location. For the plain name of a snapshot, it returns
// the newest build.
func (h *handler) findFile(r *feed.Request, loc location) (*proget.Version, proget.File, error) {
	missing := func(what string) error {
		return proget.Errorf(proget.ErrNotFound, "There is no %.300s in feed %s.", what, r.Feed.Name)
	}
	p, err := h.find(r, loc.coordinates)
	if err != nil {
		return nil, proget.File{}, err
	}
	if p == nil {
		return nil, proget.File{}, missing("artifact " + loc.name())
	}
	v, err := p.Version(loc.version)
	if err != nil {
		return nil, proget.File{}, err
	}
	if err := feed.CheckAllowed(v); err != nil {
		return nil, proget.File{}, err
	}
	name := loc.file
	if d := loc.describe(); isSnapshot(loc.version) && d.Extension != "" && d.Timestamp == "" {
		if f, ok := newestFiles(v, strings.TrimPrefix(loc.file, loc.artifact+"-"+loc.version))[d.key()]; ok {
			name = f.Name
		}
	}
	for _, f := range v.Files {
		if f.Name == name {
			return v, f, nil
		}
	}
	return nil, proget.File{}, missing("file " + loc.file)
}

// contentTypes maps the last extension of files to their media types.
var contentTypes = map[string]string{
	"jar": "application/java-archive", "war": "application/java-archive", "ear": "application/java-archive", "aar": "application/java-archive",
	"pom": "application/xml", "xml": "application/xml", "module": "application/vnd.org.gradle.module+json", "json": "application/json",
	"zip": "application/zip", "gz": "application/gzip", "asc": "application/pgp-signature",
}

// file serves a file or its checksum. If there is no such file, it lists the folder of
// that name.
func (h *handler) file(w http.ResponseWriter, r *feed.Request, rt route) error {
	loc, err := locate(rt.segments)
	if err != nil && rt.algorithm != "" {
		return proget.WrapError(proget.ErrNotFound, err, "There is no file %.300s in feed %s that this could be the checksum of.", strings.Join(rt.segments, "/"), r.Feed.Name)
	}
	if err != nil {
		return h.browse(w, r, rt.segments)
	}
	v, f, err := h.findFile(r, loc)
	if errors.Is(err, proget.ErrNotFound) && rt.algorithm == "" {
		return h.browseOr(w, r, rt.segments, err)
	}
	if err != nil {
		return err
	}
	if rt.algorithm != "" {
		feed.NewDocument("text/plain", []byte(f.Digests[rt.algorithm])).Serve(w, r.Request)
		return nil
	}
	extension := f.Name[strings.LastIndexByte(f.Name, '.')+1:]
	contentType := contentTypes[extension]
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	for header, algorithm := range map[string]proget.Algorithm{"X-Checksum-Md5": proget.MD5, "X-Checksum-Sha1": proget.SHA1, "X-Checksum-Sha256": proget.SHA256, "X-Checksum-Sha512": proget.SHA512} {
		w.Header().Set(header, f.Digests[algorithm]) // spares clients another request
	}
	return h.services.Files.Serve(w, r, counted(v, f, extension), f, contentType)
}

// counted returns the version for which a download is counted, published when the file
// was added. It returns nil for files that only accompany others: the POM of a jar, or
// a signature.
func counted(v *proget.Version, f proget.File, extension string) *proget.Version {
	if extension == "asc" || extension == "pom" && readData(v).Packaging != "pom" {
		return nil
	}
	asOf := *v
	asOf.Published = f.Added
	return &asOf
}

// errSame says that the same file already exists, byte for byte.
var errSame = errors.New("the same file is there")

// putFile stores a file. Clients send a file again if they have not received the
// response.
func (h *handler) putFile(w http.ResponseWriter, r *feed.Request, rt route) error {
	if _, err := locate(rt.segments); err != nil { // before the bytes arrive
		return err
	}
	body, err := feed.OpenBody(r.Request)
	if err != nil {
		return err
	}
	_, err = h.services.Publisher.Publish(r.Context(), feed.Upload{Feed: r.Feed, Body: body, Size: body.Size,
		Name: strings.Join(rt.segments, "/"), By: r.Principal, Replace: replace})
	switch {
	case errors.Is(err, errSame):
		w.WriteHeader(http.StatusOK)
		return nil
	case err != nil:
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// replace is feed.Upload's Replace. Released files and builds of a snapshot never
// change; a file with a snapshot's plain name may.
func replace(old *proget.Version, m *feed.Manifest) error {
	if old == nil {
		return nil
	}
	f, d := old.Files[0], m.FileData.(*fileData)
	switch {
	case f.Name != m.FileName: // the names differ in case
		return proget.ErrConflict
	case f.Digests[proget.SHA256] == d.sha256:
		return errSame
	case isSnapshot(m.Version) && d.Timestamp == "":
		return nil
	}
	return proget.ErrConflict
}

// maxChecksum bounds the file of a checksum, in bytes.
const maxChecksum = 1 << 10

// putChecksum compares a checksum with the file that arrived before it. It drops a
// checksum that arrives first, because the server computes its own; some clients send
// everything at once.
func (h *handler) putChecksum(w http.ResponseWriter, r *feed.Request, rt route) error {
	loc, err := locate(rt.segments)
	if err != nil {
		return err
	}
	sum, err := readChecksum(r.Body, rt.algorithm)
	if err != nil {
		return err
	}
	f, err := h.storedFile(r, loc)
	if err != nil {
		return err
	}
	if f != nil && sum != f.Digests[rt.algorithm] {
		return proget.Errorf(proget.ErrConflict, "The %s of %s %s is %s, and not %s: it was changed on its way here. Delete the version and deploy it again.",
			rt.algorithm, f.Name, loc.version, f.Digests[rt.algorithm], sum)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// storedFile returns the file stored at exactly that location, not the newest build of
// a snapshot; nil if there is none.
func (h *handler) storedFile(r *feed.Request, loc location) (*proget.File, error) {
	p, err := h.find(r, loc.coordinates)
	if p == nil || err != nil {
		return nil, err
	}
	v, err := p.Version(loc.version)
	if err != nil {
		return nil, nil
	}
	i := slices.IndexFunc(v.Files, func(f proget.File) bool { return f.Name == loc.file })
	if i < 0 {
		return nil, nil
	}
	return &v.Files[i], nil
}

// readChecksum parses a checksum alone, as clients write it, or with the file's name,
// as md5sum and similar tools do.
func readChecksum(body io.Reader, algorithm proget.Algorithm) (string, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxChecksum+1))
	if err != nil {
		return "", proget.WrapError(proget.ErrInvalid, err, "The checksum did not arrive completely: send it again.")
	}
	hash, err := algorithm.New()
	if err != nil {
		return "", err
	}
	if len(text) <= maxChecksum {
		for _, word := range bytes.Fields(text) {
			if sum, err := hex.DecodeString(string(word)); err == nil && len(sum) == hash.Size() {
				return hex.EncodeToString(sum), nil
			}
		}
	}
	return "", proget.Errorf(proget.ErrInvalid, "The body is not a %s checksum, which has %d hexadecimal digits.", algorithm, 2*hash.Size())
}

// maxMetadata bounds the metadata that clients send, in bytes.
const maxMetadata = 16 << 20

// putMetadata validates the metadata, or its checksum, that a client sends, and drops
// it: the server generates metadata from its content.
func (h *handler) putMetadata(w http.ResponseWriter, r *feed.Request, rt route) error {
	if rt.algorithm != "" {
		if _, err := readChecksum(r.Body, rt.algorithm); err != nil {
			return err
		}
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	body := &io.LimitedReader{R: r.Body, N: maxMetadata + 1}
	var doc struct {
		XMLName xml.Name `xml:"metadata"`
	}
	err := decodeXML(body, &doc)
	if body.N == 0 {
		return proget.Errorf(proget.ErrTooLarge, "The metadata takes more than %d MiB.", maxMetadata>>20)
	}
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The metadata cannot be read: %s.", err)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// remove deletes the version whose folder the path names.
func (h *handler) remove(w http.ResponseWriter, r *feed.Request, rt route) error {
	c, version, ok := folder(rt.segments).version()
	if !ok {
		return proget.Errorf(proget.ErrInvalid, "Name the folder of the version to delete, as in com/acme/lib/1.0.")
	}
	err := h.services.Publisher.Delete(r.Context(), feed.Ref{Feed: r.Feed, NameKey: c.name(), VersionKey: version}, r.Principal)
	if errors.Is(err, proget.ErrNotFound) {
		return proget.WrapError(proget.ErrNotFound, err, "There is no version %.100s of %.300s in feed %s. Whole versions are deleted, by the name of their folder.", version, c.name(), r.Feed.Name)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readFileData decodes the data that Inspect returned for a file.
func readFileData(f proget.File) (d fileData) {
	_ = json.Unmarshal(f.Data, &d) // Inspect encoded it
	return d
}
