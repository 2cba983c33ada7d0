package maven

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// archives are the extensions of files that must be zip archives.
var archives = map[string]bool{"jar": true, "war": true, "ear": true, "aar": true}

// inspect is feed.Type's Inspect. A file's path determines what the file is; the
// version's POM describes the version.
func inspect(_ context.Context, f feed.File) (*feed.Manifest, error) {
	loc, err := locate(strings.Split(strings.TrimPrefix(f.Name, "/"), "/"))
	if err != nil {
		return nil, err
	}
	if file, algorithm := cutChecksum(loc.file); algorithm != "" || file == metadataName {
		return nil, proget.Errorf(proget.ErrInvalid, "%.100s is made by the server: upload the files themselves.", loc.file)
	}
	d := loc.describe()
	d.sha256 = f.Digests[proget.SHA256]
	m := &feed.Manifest{Name: loc.name(), Version: loc.version, Prerelease: isPrerelease(loc.version), Role: feed.Part, FileName: loc.file, FileData: &d}
	what := d // d stays empty for an sbt plugin's file, which is found only by its name
	if d.Extension == "" {
		loc = loc.sbtPlugin()
		what = loc.describe()
	}
	if err := what.checkTime(); err != nil {
		return nil, err
	}
	switch {
	case what.Extension == "":
		m.Role = feed.Extra
	case what.Extension == "pom":
		data, err := inspectPOM(f, loc, what)
		if err != nil {
			return nil, err
		}
		if data != nil {
			m.Data = data
		}
	case archives[what.Extension]:
		if d.Plugin, err = inspectArchive(f, loc, what); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// inspectPOM returns the description in the version's own POM. A POM with a classifier,
// such as the one that Maven 4 builds from, need only be a valid document.
func inspectPOM(f feed.File, loc location, d fileData) (*pomData, error) {
	if f.Size > maxPOM {
		return nil, proget.Errorf(proget.ErrInvalid, "The POM is larger than %d KiB.", maxPOM>>10)
	}
	text := make([]byte, f.Size)
	if _, err := f.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if d.Classifier == "" {
		return readPOM(text, loc)
	}
	if err := decodeXML(bytes.NewReader(text), new(struct{ XMLName xml.Name })); err != nil {
		return nil, proget.WrapError(proget.ErrInvalid, err, "The POM cannot be read: %s.", err)
	}
	return nil, nil
}

// plugin is a Maven plugin's description of itself: mvn interprets "acme:go" as the
// goal go of the plugin with the prefix acme.
type plugin struct {
	Prefix string `json:"prefix"`
	Name   string `json:"name,omitempty"`
}

// descriptor is the path of a plugin's description in its jar.
const descriptor = "META-INF/maven/plugin.xml"

// maxDescriptor bounds a plugin's description, in bytes.
const maxDescriptor = 8 << 20

// inspectArchive checks that a file is a zip archive, and returns the description of
// the plugin in the version's own jar; nil if there is none.
func inspectArchive(f feed.File, loc location, d fileData) (*plugin, error) {
	entries, described := 0, false
	directory, err := zipfile.Scan(f, f.Size, func(name []byte) {
		entries++
		described = described || string(name) == descriptor
	})
	switch {
	case errors.Is(err, zipfile.ErrNotZip):
		return nil, proget.WrapError(proget.ErrInvalid, err, "%.100s is not a zip archive, or it is damaged.", loc.file)
	case errors.Is(err, zipfile.ErrDirectoryTooLarge):
		return nil, proget.WrapError(proget.ErrInvalid, err, "%.100s has a directory of more than %d MiB.", loc.file, zipfile.MaxScanned>>20)
	case err != nil:
		return nil, err
	}
	if !described || d.Extension != "jar" || d.Classifier != "" || entries > zipfile.MaxEntries || directory > zipfile.MaxDirectory {
		return nil, nil
	}
	return readPlugin(f, loc), nil
}

// readPlugin reads a plugin's description. Like Maven, it ignores one that is invalid
// or belongs to another plugin packed into this jar.
func readPlugin(f feed.File, loc location) *plugin {
	z, err := zip.NewReader(f, f.Size)
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(z.File, func(f *zip.File) bool { return f.Name == descriptor })
	if i < 0 {
		return nil
	}
	r, err := z.File[i].Open()
	if err != nil {
		return nil
	}
	defer r.Close()
	var said struct {
		XMLName    xml.Name `xml:"plugin"`
		Name       string   `xml:"name"`
		GroupID    string   `xml:"groupId"`
		ArtifactID string   `xml:"artifactId"`
		GoalPrefix string   `xml:"goalPrefix"`
	}
	if err := decodeXML(io.LimitReader(r, maxDescriptor), &said); err != nil {
		return nil
	}
	trim(&said.Name, &said.GroupID, &said.ArtifactID, &said.GoalPrefix)
	if said.GroupID != loc.group || said.ArtifactID != loc.artifact || said.GoalPrefix == "" || len(said.GoalPrefix)+len(said.Name) > maxName {
		return nil
	}
	return &plugin{Prefix: said.GoalPrefix, Name: said.Name}
}
