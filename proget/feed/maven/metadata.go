package maven

import (
	"cmp"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// metadata is maven-metadata.xml, as in the "Maven Repository Metadata" reference. The
// folder of a groupId lists plugins, that of an artifactId versions, and that of a
// snapshot's version builds. A folder can be both of the first two.
type metadata struct {
	XMLName      xml.Name      `xml:"metadata"`
	ModelVersion string        `xml:"modelVersion,attr"`
	GroupID      string        `xml:"groupId,omitempty"`
	ArtifactID   string        `xml:"artifactId,omitempty"`
	Version      string        `xml:"version,omitempty"`
	Versioning   *versioning   `xml:"versioning"`
	Plugins      []groupPlugin `xml:"plugins>plugin"`
}

type versioning struct {
	Latest           string            `xml:"latest,omitempty"`
	Release          string            `xml:"release,omitempty"`
	Snapshot         *snapshot         `xml:"snapshot"`
	Versions         []string          `xml:"versions>version"`
	LastUpdated      string            `xml:"lastUpdated"`
	SnapshotVersions []snapshotVersion `xml:"snapshotVersions>snapshotVersion"`
}

// snapshot is a snapshot's newest build. It has no timestamp if a file with a plain name
// is newer.
type snapshot struct {
	Timestamp   string `xml:"timestamp,omitempty"`
	BuildNumber int    `xml:"buildNumber"`
}

// snapshotVersion is the newest file of a kind in a snapshot.
type snapshotVersion struct {
	Classifier string `xml:"classifier,omitempty"`
	Extension  string `xml:"extension"`
	Value      string `xml:"value"`
	Updated    string `xml:"updated"`
}

type groupPlugin struct {
	Name       string `xml:"name,omitempty"`
	Prefix     string `xml:"prefix"`
	ArtifactID string `xml:"artifactId"`
}

func render(m *metadata) ([]byte, error) {
	m.ModelVersion = "1.1.0"
	body, err := xml.MarshalIndent(m, "", "  ")
	return append([]byte(xml.Header), append(body, '\n')...), err
}

// stamp formats a time for metadata, in UTC.
func stamp(t time.Time) string { return t.UTC().Format("20060102150405") }

// artifactMetadata lists the versions of a package.
func artifactMetadata(p *feed.Package) *metadata {
	c, all := splitName(p.Name), &versioning{}
	var updated time.Time
	for _, v := range p.Versions {
		if !feed.AllowedListed(v) {
			continue
		}
		all.Versions = append(all.Versions, v.Version)
		all.Latest = v.Version
		if !isSnapshot(v.Version) {
			all.Release = v.Version
		}
		for _, f := range v.Files {
			updated = later(updated, f.Added)
		}
	}
	all.LastUpdated = stamp(updated)
	return &metadata{GroupID: c.group, ArtifactID: c.artifact, Versioning: all}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// snapshotFile is a file of a snapshot.
type snapshotFile struct {
	proget.File
	fileData
}

// key identifies a file's kind, which is the same in all builds.
func (d fileData) key() [2]string { return [2]string{d.Classifier, d.Extension} }

// newer compares two files of a kind: builds by their numbers, which clients count on
// from the server's metadata, and by their timestamps, which are of the clients' clocks,
// only if two machines took the same number. A file that is not part of a build is
// compared by when it was added.
func (f snapshotFile) newer(than snapshotFile) int {
	if f.Timestamp == "" || than.Timestamp == "" {
		return f.Added.Compare(than.Added)
	}
	return cmp.Or(cmp.Compare(f.Build, than.Build), strings.Compare(f.Timestamp, than.Timestamp))
}

// newestFiles returns the newest file of each kind in a snapshot, among the files whose
// names end in suffix.
func newestFiles(v *proget.Version, suffix string) map[[2]string]snapshotFile {
	builds, plain := make(map[[2]string]snapshotFile), make(map[[2]string]snapshotFile)
	for _, stored := range v.Files {
		if !strings.HasSuffix(stored.Name, suffix) {
			continue
		}
		f := snapshotFile{stored, readFileData(stored)}
		to := builds
		if f.Timestamp == "" {
			to = plain
		}
		if known, ok := to[f.key()]; f.Extension != "" && (!ok || f.newer(known) > 0) {
			to[f.key()] = f
		}
	}
	for key, f := range plain { // last, because times and builds together are not a total order
		if known, ok := builds[key]; !ok || f.newer(known) > 0 {
			builds[key] = f
		}
	}
	return builds
}

// snapshotMetadata lists the newest files of a snapshot.
func snapshotMetadata(v *proget.Version) *metadata {
	c, all := splitName(v.Name), &versioning{Snapshot: &snapshot{}}
	var updated time.Time
	files := newestFiles(v, "")
	keys := slices.SortedFunc(maps.Keys(files), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var newest snapshotFile
	for _, key := range keys {
		f := files[key]
		updated = later(updated, f.Added)
		sv := snapshotVersion{Classifier: f.Classifier, Extension: f.Extension, Value: v.Version, Updated: stamp(f.Added)}
		if f.Timestamp != "" {
			sv.Value = strings.TrimSuffix(v.Version, snapshotWord) + f.Timestamp + "-" + strconv.Itoa(f.Build)
			sv.Updated = strings.ReplaceAll(f.Timestamp, ".", "")
			if newest.Timestamp == "" || f.newer(newest) > 0 {
				newest = f
			}
		}
		all.SnapshotVersions = append(all.SnapshotVersions, sv)
	}
	all.Snapshot.BuildNumber, all.LastUpdated = highestBuild(v), stamp(updated)
	if newest.Build == all.Snapshot.BuildNumber {
		all.Snapshot.Timestamp = newest.Timestamp
	}
	return &metadata{GroupID: c.group, ArtifactID: c.artifact, Version: v.Version, Versioning: all}
}

// highestBuild returns the number of a snapshot's newest build, even if files with plain
// names have come since: a client that began anew would get a number that is taken.
func highestBuild(v *proget.Version) (number int) {
	for _, f := range v.Files {
		number = max(number, readFileData(f).Build)
	}
	return number
}

// metadata serves the metadata of a folder, or the checksum of that.
func (h *handler) metadata(w http.ResponseWriter, r *feed.Request, rt route) error {
	in := folder(rt.segments[:len(rt.segments)-1])
	missing := proget.Errorf(proget.ErrNotFound, "There is nothing in feed %s that this metadata could be of.", r.Feed.Name)
	if c, version, ok := in.version(); ok && isSnapshot(version) {
		p, err := h.find(r, c)
		if err != nil {
			return err
		}
		if p == nil {
			return missing
		}
		v, err := p.Version(version)
		if err != nil {
			return err
		}
		if v.Status.Blocked {
			return missing
		}
		return serveMetadata(w, r, &p.Documents, rt.algorithm, version, func() *metadata { return snapshotMetadata(v) })
	}
	p, plugins, err := h.folderMetadata(r, in)
	if err != nil {
		return err
	}
	switch {
	case p == nil && plugins == nil:
		return missing
	case plugins == nil:
		return serveMetadata(w, r, &p.Documents, rt.algorithm, "", func() *metadata { return artifactMetadata(p) })
	}
	return serveMetadata(w, r, new(feed.Documents), rt.algorithm, "", func() *metadata {
		m := new(metadata)
		if p != nil {
			m = artifactMetadata(p)
		}
		m.Plugins = plugins
		return m
	})
}

// folderMetadata returns the package that a folder stands for, if it has visible
// versions, and the plugins of the group that it stands for. Each is nil if there is
// none.
func (h *handler) folderMetadata(r *feed.Request, in folder) (p *feed.Package, plugins []groupPlugin, err error) {
	if c, ok := in.artifact(); ok {
		if p, err = h.find(r, c); err != nil {
			return nil, nil, err
		}
		if p != nil && p.Latest(feed.AllowedListed) == nil {
			p = nil
		}
	}
	if group, ok := in.group(); ok {
		plugins, err = h.plugins(r, group)
		if p != nil && errors.Is(err, proget.ErrUnavailable) {
			err = nil // the package is in memory, and rarely has plugins beside it
		}
	}
	return p, plugins, err
}

// maxGroup bounds the artifacts of a group that are searched for plugins.
const maxGroup = 5000

// plugins returns the plugins in a group, each described by its newest version that is
// a plugin.
func (h *handler) plugins(r *feed.Request, group string) ([]groupPlugin, error) {
	artifacts, err := h.artifacts(r, group, maxGroup)
	if err != nil {
		return nil, err
	}
	var plugins []groupPlugin
	for _, artifact := range artifacts {
		fact, err := h.services.Packages.Fact(r.Context(), r.Feed, coordinates{group, artifact}.name(), newestPlugin)
		if errors.Is(err, proget.ErrNotFound) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		if found, ok := fact.(*plugin); ok {
			plugins = append(plugins, groupPlugin{Name: found.Name, Prefix: found.Prefix, ArtifactID: artifact})
		}
	}
	return plugins, nil
}

// newestPlugin returns the description of the newest plugin among a package's versions,
// or nil.
func newestPlugin(p *feed.Package) any {
	for _, v := range slices.Backward(p.Versions) {
		if found := findPlugin(v); found != nil && feed.AllowedListed(v) {
			return found
		}
	}
	return nil
}

func findPlugin(v *proget.Version) *plugin {
	for _, f := range v.Files {
		if strings.Contains(string(f.Data), `"plugin"`) { // few files have one
			if d := readFileData(f); d.Plugin != nil {
				return d.Plugin
			}
		}
	}
	return nil
}

// artifacts returns the first artifactIds of a group, at most limit.
func (h *handler) artifacts(r *feed.Request, group string, limit int) ([]string, error) {
	const page = 500
	prefix := group + ":"
	after, take := prefix, 1 // few folders are groups
	var artifacts []string
	for len(artifacts) < limit {
		names, err := h.services.Packages.Names(r.Context(), r.Feed, after, min(take, limit-len(artifacts)))
		if err != nil || len(names) == 0 {
			return artifacts, err
		}
		for _, name := range names {
			artifact, ok := strings.CutPrefix(name.Key, prefix)
			if !ok {
				return artifacts, nil
			}
			artifacts = append(artifacts, artifact)
			after = name.Key
		}
		take = page
	}
	return artifacts, nil
}

// serveMetadata serves a document that is kept after it was first built, or the
// document's checksum.
func serveMetadata(w http.ResponseWriter, r *feed.Request, kept *feed.Documents, algorithm proget.Algorithm, version string, build func() *metadata) error {
	contentType := "application/xml"
	if algorithm != "" {
		contentType = "text/plain"
	}
	doc, err := kept.Document("metadata "+string(algorithm)+" "+version, contentType, func() ([]byte, error) {
		body, err := render(build())
		if err != nil || algorithm == "" {
			return body, err
		}
		hash, err := algorithm.New()
		if err != nil {
			return nil, err
		}
		hash.Write(body) // a hash does not fail
		return []byte(hex.EncodeToString(hash.Sum(nil))), nil
	})
	if err != nil {
		return fmt.Errorf("render metadata: %w", err)
	}
	doc.Serve(w, r.Request)
	return nil
}
