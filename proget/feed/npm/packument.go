package npm

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

const (
	jsonType        = "application/json"
	abbreviatedType = "application/vnd.npm.install-v1+json"
)

// latest is the tag that every package has.
const latest = "latest"

// distTags returns the tags of a package that point at available versions. If there is
// no tag latest, it adds one for the newest stable version, or the newest one.
func distTags(p *feed.Package) map[string]string {
	tags := make(map[string]string, len(p.Tags)+1)
	maps.Copy(tags, p.Tags)
	for _, v := range p.Versions {
		if !feed.Allowed(v) {
			maps.DeleteFunc(tags, func(_, key string) bool { return key == v.Key })
		}
	}
	if v := p.Latest(feed.AllowedStable, feed.AllowedListed, feed.Allowed); v != nil && tags[latest] == "" {
		tags[latest] = v.Key
	}
	return tags
}

// revision returns _rev, which differs after every change that a client can make.
func revision(p *feed.Package) string {
	h := fnv.New64a()
	e := json.NewEncoder(h) // a hash does not fail
	_ = e.Encode(p.Tags)
	for _, v := range p.Versions {
		_ = e.Encode([]any{v.ID, v.Status})
	}
	return "1-" + hex.EncodeToString(h.Sum(nil))
}

// A dist says where a tarball is, and its digests.
type dist struct {
	Tarball   string `json:"tarball"`
	Shasum    string `json:"shasum,omitempty"`
	Integrity string `json:"integrity,omitempty"` // as W3C's Subresource Integrity formats it
	Files     int    `json:"fileCount,omitempty"`
	Unpacked  int64  `json:"unpackedSize,omitempty"`
}

func newDist(base string, v *proget.Version, d data) dist {
	file := v.Files[0]
	t := dist{Tarball: base + "/" + v.Name + "/-/" + fileName(v.Name, v.Key), Shasum: file.Digests[proget.SHA1], Files: d.Files, Unpacked: d.Unpacked}
	for _, a := range []proget.Algorithm{proget.SHA512, proget.SHA256} {
		if sum, err := hex.DecodeString(file.Digests[a]); err == nil && len(sum) > 0 {
			t.Integrity = string(a) + "-" + base64.StdEncoding.EncodeToString(sum)
			break
		}
	}
	return t
}

// fullVersion returns a version's package.json with the fields that the registry adds.
func fullVersion(base string, v *proget.Version) (map[string]any, error) {
	d := readData(v)
	var stored map[string]json.RawMessage
	if err := json.Unmarshal(d.Package, &stored); err != nil {
		return nil, err
	}
	fields := make(map[string]any, len(stored)+3)
	for name, value := range stored {
		fields[name] = value
	}
	fields["_id"] = v.Name + "@" + v.Key
	fields["dist"] = newDist(base, v, d)
	if v.Status.Deprecated != "" {
		fields["deprecated"] = v.Status.Deprecated
	}
	return fields, nil
}

// installFields are the fields of package.json that an installation needs.
var installFields = []string{"name", "version", "dependencies", "optionalDependencies", "devDependencies", "bundleDependencies",
	"peerDependencies", "peerDependenciesMeta", "acceptDependencies", "bin", "directories", "engines", "cpu", "os", "libc", "funding"}

func abbreviatedVersion(base string, v *proget.Version) (map[string]any, error) {
	d := readData(v)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(d.Package, &fields); err != nil {
		return nil, err
	}
	short := map[string]any{"dist": newDist(base, v, d)}
	for _, name := range installFields {
		if value := fields[name]; value != nil {
			short[name] = value
		}
	}
	scripts := scriptsOf(fields["scripts"])
	if scripts["preinstall"] != "" || scripts["install"] != "" || scripts["postinstall"] != "" {
		short["hasInstallScript"] = true
	}
	if d.Shrinkwrap {
		short["_hasShrinkwrap"] = true
	}
	if v.Status.Deprecated != "" {
		short["deprecated"] = v.Status.Deprecated
	}
	return short, nil
}

// abbreviated returns the document from which clients install.
func abbreviated(base string, p *feed.Package) ([]byte, error) {
	versions, err := allVersions(base, p, abbreviatedVersion)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"name": p.Name, "dist-tags": distTags(p), "modified": modified(p), "versions": versions})
}

func allVersions(base string, p *feed.Package, render func(string, *proget.Version) (map[string]any, error)) (map[string]any, error) {
	versions := make(map[string]any, len(p.Versions))
	for _, v := range p.Versions {
		if !feed.Allowed(v) {
			continue
		}
		fields, err := render(base, v)
		if err != nil {
			return nil, err
		}
		versions[v.Key] = fields
	}
	return versions, nil
}

func modified(p *feed.Package) time.Time {
	newest := slices.MaxFunc(p.Versions, func(a, b *proget.Version) int { return a.Published.Compare(b.Published) })
	return newest.Published.UTC()
}

// summaryFields are the fields of a package that come from its latest version.
var summaryFields = []string{"description", "keywords", "homepage", "repository", "author", "bugs", "license", "contributors", "maintainers"}

// full returns the complete document of a package.
func full(base string, p *feed.Package) ([]byte, error) {
	versions, err := allVersions(base, p, fullVersion)
	if err != nil {
		return nil, err
	}
	tags := distTags(p)
	times := map[string]time.Time{"modified": modified(p), "created": modified(p)}
	for _, v := range p.Versions {
		if feed.Allowed(v) {
			times[v.Key] = v.Published.UTC()
		}
		if v.Published.Before(times["created"]) {
			times["created"] = v.Published.UTC()
		}
	}
	doc := map[string]any{"_id": p.Name, "_rev": revision(p), "name": p.Name, "dist-tags": tags, "versions": versions, "time": times}
	if v, err := p.Version(tags[latest]); err == nil {
		if readme := readData(v).Readme; readme != "" {
			doc["readme"] = readme
		}
		fields, _ := versions[v.Key].(map[string]any)
		for _, name := range summaryFields {
			if value := fields[name]; value != nil {
				doc[name] = value
			}
		}
	}
	return json.Marshal(doc)
}
