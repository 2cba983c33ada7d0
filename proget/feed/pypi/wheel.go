package pypi

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/proget-go/ha/internal/zipfile"
	"github.com/proget-go/ha/proget"
)

// openZip opens a wheel or a zipped sdist.
func openZip(r io.ReaderAt, size int64) (*zipfile.Archive, error) {
	a, err := zipfile.Open(r, size, nil)
	return a, archiveError(a, err)
}

// archiveError returns proget.ErrInvalid for a broken archive, and the read error if
// storage could not be read.
func archiveError(a *zipfile.Archive, err error) error {
	switch {
	case err == nil:
		return nil
	case a.ReadError() != nil:
		return fmt.Errorf("read the archive: %w", a.ReadError())
	case errors.Is(err, zipfile.ErrEntryTooLong):
		return proget.WrapError(proget.ErrInvalid, err, "The file's metadata is longer than %d MiB.", maxMetadata>>20)
	case errors.Is(err, zipfile.ErrUnsafeName), errors.Is(err, zipfile.ErrDuplicateName), errors.Is(err, zipfile.ErrTooManyEntries), errors.Is(err, zipfile.ErrDirectoryTooLarge):
		return proget.WrapError(proget.ErrInvalid, err, "The archive cannot be accepted: %s.", err)
	}
	return proget.WrapError(proget.ErrInvalid, err, "The file is not a zip archive, or it is damaged.")
}

const distInfo = ".dist-info"

// findDistInfo returns the files in a wheel's .dist-info folder by name, and the
// folder's name. files is nil if there is no such folder.
func findDistInfo(a *zipfile.Archive) (files map[string]*zip.File, folder string, err error) {
	for i, name := range a.Names {
		top, file, ok := strings.Cut(name, "/")
		if !ok || !strings.HasSuffix(top, distInfo) {
			continue
		}
		if folder != "" && folder != top {
			return nil, "", proget.Errorf(proget.ErrInvalid, "The wheel has two folders of metadata, %.100q and %.100q.", folder, top)
		}
		if folder = top; files == nil {
			files = make(map[string]*zip.File)
		}
		files[file] = a.File[i]
	}
	return files, folder, nil
}

// A wheel is the content read from a wheel.
type wheel struct {
	name, version string // from the name of its .dist-info folder
	metadata      []byte
	tags          []string // as in WHEEL: "py3-none-any"
	build         string
}

// readWheel reads a wheel's metadata: "File contents" in the PyPA's "Binary
// distribution format".
func readWheel(a *zipfile.Archive) (*wheel, error) {
	files, folder, err := findDistInfo(a)
	if err != nil {
		return nil, err
	}
	if files == nil {
		return nil, proget.Errorf(proget.ErrInvalid, "The file is not a wheel: it has no .dist-info folder.")
	}
	w := new(wheel)
	w.name, w.version, _ = strings.Cut(strings.TrimSuffix(folder, distInfo), "-")
	for _, name := range []string{"METADATA", "WHEEL", "RECORD"} {
		if files[name] == nil {
			return nil, proget.Errorf(proget.ErrInvalid, "The wheel has no %s in its .dist-info folder: no client can install it.", name)
		}
	}
	if w.metadata, err = a.Read(files["METADATA"], maxMetadata); err != nil {
		return nil, archiveError(a, err)
	}
	text, err := a.Read(files["WHEEL"], maxMetadata)
	if err != nil {
		return nil, archiveError(a, err)
	}
	facts := &metadata{fields: make(map[string][]string)}
	if err := facts.parse(string(text)); err != nil {
		return nil, err
	}
	w.tags, w.build = facts.fields["tag"], facts.text("build")
	return w, nil
}

// named derives a wheel's file name from its tags, which must be all combinations of
// the three sets of tags in the name.
func (w *wheel) named(m *metadata) (*distribution, error) {
	var sets [3][]string
	for _, tag := range w.tags {
		parts := strings.Split(tag, "-")
		if len(parts) != len(sets) {
			sets = [3][]string{}
			break
		}
		for i, part := range parts {
			if !slices.Contains(sets[i], part) {
				sets[i] = append(sets[i], part)
			}
		}
	}
	if n := len(sets[0]) * len(sets[1]) * len(sets[2]); n == 0 || n != len(w.tags) {
		return nil, proget.Errorf(proget.ErrInvalid, "The wheel was sent without a file name, and its tags do not determine one: send it with its file name.")
	}
	parts := []string{escaped(nameKey(m.name)), m.version.String()}
	if w.build != "" {
		parts = append(parts, w.build)
	}
	for _, set := range sets {
		parts = append(parts, strings.Join(set, "."))
	}
	return parseFileName(strings.Join(parts, "-") + wheelEnding)
}
