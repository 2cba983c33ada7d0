package pypi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// inspect is feed.Type's Inspect. The file's own metadata decides; the file's name must
// agree with it. A file without a name gets the one that the specifications define.
func inspect(ctx context.Context, f feed.File) (*feed.Manifest, error) {
	d := new(distribution)
	var err error
	if f.Name != "" {
		d, err = parseFileName(f.Name)
	} else {
		d.kind, d.ending, err = sniff(f)
	}
	if err != nil {
		return nil, err
	}
	if d.kind == wheelType {
		return inspectWheel(f, d)
	}
	return inspectSdist(ctx, f, d)
}

// The first bytes of archives.
const (
	zipMagic  = "PK\x03\x04"
	gzipMagic = "\x1f\x8b"
)

// sniff determines the type of a file without a name.
func sniff(f feed.File) (kind, ending string, err error) {
	head := make([]byte, len(zipMagic))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return "", "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte(gzipMagic)):
		return sdistType, tarEnding, nil
	case !bytes.HasPrefix(head, []byte(zipMagic)):
		return "", "", proget.Errorf(proget.ErrInvalid, "The file is neither a wheel nor a source distribution: it is not an archive.")
	}
	a, err := openZip(f, f.Size)
	if err != nil {
		return "", "", err
	}
	if files, _, _ := findDistInfo(a); files != nil {
		return wheelType, wheelEnding, nil
	}
	return sdistType, zipEnding, nil
}

func inspectWheel(f feed.File, d *distribution) (*feed.Manifest, error) {
	a, err := openZip(f, f.Size)
	if err != nil {
		return nil, err
	}
	w, err := readWheel(a)
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(w.metadata)
	if err != nil {
		return nil, err
	}
	if d.file == "" {
		if d, err = w.named(m); err != nil {
			return nil, err
		}
	}
	if !isOf(w.name, w.version, m.name, m.version) {
		return nil, proget.Errorf(proget.ErrInvalid, "The wheel's metadata is of %s %s, but lies in the folder of %.100s %.100s.", m.name, m.version, w.name, w.version)
	}
	sum := sha256.Sum256(w.metadata)
	return manifest(f, d, m, &fileData{Metadata: hex.EncodeToString(sum[:])})
}

// inspectSdist reads a source distribution. Unlike a wheel's, its metadata is not
// served separately: PyPI does not do so either, and an sdist may not know its
// dependencies until it is built (PEP 643).
func inspectSdist(ctx context.Context, f feed.File, d *distribution) (*feed.Manifest, error) {
	read := readTar
	if d.ending == zipEnding {
		read = readZip
	}
	text, err := read(ctx, f)
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(text)
	if err != nil {
		return nil, err
	}
	if d.file == "" { // the name that PEP 625 defines
		if d, err = parseFileName(escaped(nameKey(m.name)) + "-" + m.version.String() + d.ending); err != nil {
			return nil, err
		}
	}
	return manifest(f, d, m, &fileData{})
}

// manifest combines the results.
func manifest(f feed.File, d *distribution, m *metadata, file *fileData) (*feed.Manifest, error) {
	if err := d.belongsTo(m.name, m.version); err != nil {
		return nil, err
	}
	file.Type, file.Python, file.digests = d.kind, d.python, f.Digests
	file.RequiresPython, file.RequiresDist, file.ProvidesExtra = m.requiresPython(), m.fields["requires-dist"], m.fields["provides-extra"]
	return &feed.Manifest{Name: m.name, Version: m.version.String(), Prerelease: m.version.prerelease(), Role: feed.Part, FileName: d.file, Data: m.data(), FileData: file}, nil
}
