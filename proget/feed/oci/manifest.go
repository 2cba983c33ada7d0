package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// The media types of manifests.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

const (
	// maxManifest bounds a manifest in bytes: it is the minimum that clients may
	// expect.
	maxManifest = 4 << 20

	// maxBlobs bounds the blobs of a manifest: each is a row that is read whenever its
	// repository is. Docker's images have at most 127 layers, caches several hundred.
	maxBlobs = 1000

	// maxKept bounds a manifest that is also stored in the database, in bytes. Most are
	// far smaller and are then served without reading storage.
	maxKept = 64 << 10

	// maxAnnotations bounds the annotations that are stored of a manifest that is not a
	// referrer, in bytes.
	maxAnnotations = 16 << 10
)

// data is what the database stores of a manifest.
type data struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Subject      digest.Digest     `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Body         string            `json:"body,omitempty"`      // the manifest, if it is at most maxKept
	Manifests    []digest.Digest   `json:"manifests,omitempty"` // what an index lists, if its Body is not stored
}

func readData(v *proget.Version) (d data) {
	_ = json.Unmarshal(v.Manifest, &d) // it was made by inspect
	return d
}

// lists returns the digests of the manifests that an index lists.
func (d *data) lists() (all []digest.Digest) {
	m := manifest{MediaType: d.MediaType}
	if !m.isIndex() || d.Body == "" {
		return d.Manifests
	}
	_ = json.Unmarshal([]byte(d.Body), &m) // decode has read it before
	for _, listed := range m.Manifests {
		all = append(all, listed.Digest)
	}
	return all
}

// A manifest describes an image, an index or an artifact, in OCI's or Docker's format.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`

	body []byte
}

func invalid(format string, args ...any) error {
	return proget.WrapError(proget.ErrInvalid, manifestInvalid, "The manifest cannot be accepted: %s.", fmt.Sprintf(format, args...))
}

// decode parses a manifest. contentType is the media type in the request, or "".
func decode(body []byte, contentType string) (*manifest, error) {
	m := &manifest{body: body}
	if !utf8.Valid(body) {
		return nil, invalid("it is not UTF-8")
	}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, invalid("it is not the JSON of a manifest")
	}
	if contentType != "" && m.MediaType != "" && contentType != m.MediaType {
		return nil, invalid("it says that it is %.100q, but was sent as %.100q", m.MediaType, contentType)
	}
	if m.MediaType == "" {
		m.MediaType = contentType
	}
	if m.MediaType == "" {
		m.MediaType = v1.MediaTypeImageManifest
		if m.Manifests != nil {
			m.MediaType = v1.MediaTypeImageIndex
		}
	}
	return m, m.check()
}

// isIndex reports whether the manifest is a list of manifests.
func (m *manifest) isIndex() bool {
	return m.MediaType == v1.MediaTypeImageIndex || m.MediaType == dockerList
}

func (m *manifest) check() error {
	switch {
	case m.SchemaVersion != 2:
		return invalid("its schemaVersion is %d and not 2; push images with a client of 2017 or later", m.SchemaVersion)
	case m.isIndex():
		if m.Config != nil || m.Layers != nil {
			return invalid("an index must have neither a config nor layers")
		}
	case m.MediaType == v1.MediaTypeImageManifest || m.MediaType == dockerManifest:
		if m.Manifests != nil {
			return invalid("an image must not have manifests")
		}
		if m.Config == nil {
			return invalid("an image must have a config")
		}
	default:
		return invalid("its type %.100q is not supported", m.MediaType)
	}
	for _, d := range m.descriptors() {
		if _, err := readDigest(d.Digest.String()); err != nil {
			return invalid("%.80q in it is not a digest", d.Digest)
		}
		if d.Size < 0 {
			return invalid("the size of %s is %d", d.Digest, d.Size)
		}
	}
	return nil
}

// descriptors returns everything that the manifest names.
func (m *manifest) descriptors() []v1.Descriptor {
	all := slices.Concat(m.Layers, m.Manifests)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	if m.Subject != nil {
		all = append(all, *m.Subject)
	}
	return all
}

// blobs returns the blobs that belong to the manifest, each once, sorted by digest, so
// that concurrent pushes lock them in the same order. They include foreign layers, and
// what an index lists although it is not a manifest here, as in BuildKit's caches.
func (m *manifest) blobs(isManifest func(digest.Digest) bool) []v1.Descriptor {
	byDigest := make(map[digest.Digest]v1.Descriptor)
	for _, d := range m.Layers {
		byDigest[d.Digest] = d
	}
	for _, d := range m.Manifests {
		if !isManifest(d.Digest) {
			byDigest[d.Digest] = d
		}
	}
	if m.Config != nil {
		byDigest[m.Config.Digest] = *m.Config
	}
	var blobs []v1.Descriptor
	for _, key := range slices.Sorted(maps.Keys(byDigest)) {
		blobs = append(blobs, byDigest[key])
	}
	return blobs
}

// manifests returns the keys of the manifests that an index lists.
func (m *manifest) manifests(isManifest func(digest.Digest) bool) (keys []string) {
	for _, d := range m.Manifests {
		if isManifest(d.Digest) {
			keys = append(keys, d.Digest.String())
		}
	}
	return keys
}

// isForeign reports whether a layer is to be fetched from elsewhere, as its licence
// demands. Clients push it only if they are told to.
func isForeign(d v1.Descriptor) bool {
	return strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.")
}

// data returns what the database stores of the manifest.
func (m *manifest) data() *data {
	d := &data{MediaType: m.MediaType, ArtifactType: m.ArtifactType}
	if m.Subject != nil {
		d.Subject = m.Subject.Digest
	}
	if d.ArtifactType == "" && m.Config != nil && d.Subject != "" {
		d.ArtifactType = m.Config.MediaType
	}
	size := 0
	for key, value := range m.Annotations {
		size += len(key) + len(value)
	}
	if d.Subject != "" || size <= maxAnnotations {
		d.Annotations = m.Annotations
	}
	if len(m.body) <= maxKept {
		d.Body = string(m.body)
		return d
	}
	for _, listed := range m.Manifests {
		d.Manifests = append(d.Manifests, listed.Digest)
	}
	return d
}

// needs is feed.Type's Needs: an index needs what it lists, and an image needs what is
// attached to it, such as its signature.
func needs(versions []*proget.Version) map[string][]string {
	keys := make(map[digest.Digest]string) // of both digests
	for _, v := range versions {
		keys[digest.Digest(v.Key)] = v.Key
		if sum, ok := v.Files[0].Digests[proget.SHA512]; ok {
			keys[digest.NewDigestFromEncoded(digest.SHA512, sum)] = v.Key
		}
	}
	all := make(map[string][]string)
	need := func(key, other string) {
		if key != "" && other != "" {
			all[key] = append(all[key], other)
		}
	}
	for _, v := range versions {
		d := readData(v)
		for _, listed := range d.lists() {
			need(v.Key, keys[listed])
		}
		need(keys[d.Subject], v.Key)
	}
	return all
}

// inspect is feed.Type's Inspect. The file does not say which repository it belongs to
// or with which media type it was sent; Upload.Check adds that.
func inspect(_ context.Context, f feed.File) (*feed.Manifest, error) {
	if f.Size > maxManifest {
		return nil, tooLarge()
	}
	body, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	m, err := decode(body, "")
	if err != nil {
		return nil, err
	}
	return &feed.Manifest{Version: "sha256:" + f.Digests[proget.SHA256], FileName: "manifest.json", Data: m.data()}, nil
}

func tooLarge() error {
	return proget.WrapError(proget.ErrTooLarge, sizeInvalid, "The manifest has more than %d bytes.", maxManifest)
}
