package pypi

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/proget-go/ha/internal/tarfile"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// Bounds of a source distribution.
const (
	maxEntries  = 200_000
	maxUnpacked = 8 << 30 // bytes
)

// pkgInfo holds the metadata, in the one folder at the top of the archive.
const pkgInfo = "PKG-INFO"

func errNoInfo() error {
	return proget.Errorf(proget.ErrInvalid, "The source distribution has no %s in the folder that holds everything: build it with \"python -m build --sdist\".", pkgInfo)
}

// readZip returns a zipped sdist's metadata.
func readZip(_ context.Context, f feed.File) ([]byte, error) {
	a, err := openZip(f, f.Size)
	if err != nil {
		return nil, err
	}
	folder := new(topFolder)
	at := -1
	for i, name := range a.Names {
		file, err := folder.inside(name)
		if err != nil {
			return nil, err
		}
		if file == pkgInfo {
			at = i
		}
	}
	if at < 0 {
		return nil, errNoInfo()
	}
	text, err := a.Read(a.File[at], maxMetadata)
	return text, archiveError(a, err)
}

// topFolder is the folder in which everything of an sdist lies: "Source
// distribution file format" of the PyPA's specifications.
type topFolder struct{ name string }

// inside returns a path within the folder, "" for the folder itself.
func (t *topFolder) inside(name string) (string, error) {
	top, rest, _ := strings.Cut(path.Clean(name), "/")
	if top == "." {
		return "", nil
	}
	if t.name != "" && t.name != top {
		return "", proget.Errorf(proget.ErrInvalid, "The source distribution has %.100q and %.100q at its top, where there must be one folder.", t.name, top)
	}
	t.name = top
	return rest, nil
}

// readTar returns an sdist's metadata. The archive is read to its end, so that
// a damaged one is not taken.
func readTar(ctx context.Context, f feed.File) ([]byte, error) {
	t := new(tarball)
	limits := tarfile.Limits{Expanded: maxUnpacked, Entries: maxEntries}
	if err := refusal(tarfile.Walk(ctx, f, f.Size, limits, t.entry)); err != nil {
		return nil, err
	}
	if t.info == nil {
		return nil, errNoInfo()
	}
	return t.info, nil
}

// refusal says what is wrong with an archive, if that is what an error means.
func refusal(err error) error {
	switch {
	case errors.Is(err, tarfile.ErrUnsafeName):
		return proget.WrapError(proget.ErrInvalid, err, "The source distribution has an entry with an unsafe path (%s).", err)
	case errors.Is(err, tarfile.ErrTooManyEntries):
		return proget.WrapError(proget.ErrInvalid, err, "The source distribution has more than %d entries.", maxEntries)
	case errors.Is(err, tarfile.ErrTooLarge):
		return proget.WrapError(proget.ErrInvalid, err, "The source distribution unpacks to more than %d GiB.", maxUnpacked>>30)
	case errors.Is(err, tarfile.ErrNotTar):
		return proget.WrapError(proget.ErrInvalid, err, "The file is no gzipped tar archive, or it is damaged.")
	}
	return err
}

type tarball struct {
	info   []byte
	folder topFolder
}

func (t *tarball) entry(h *tar.Header, r io.Reader) error {
	if err := checkEntry(h); err != nil {
		return err
	}
	name, err := t.folder.inside(h.Name)
	if err != nil || name != pkgInfo || h.Typeflag != tar.TypeReg {
		return err
	}
	if t.info != nil {
		return proget.Errorf(proget.ErrInvalid, "The source distribution has more than one %s.", pkgInfo)
	}
	if h.Size > maxMetadata {
		return proget.Errorf(proget.ErrInvalid, "The file's metadata is longer than %d MiB.", maxMetadata>>20)
	}
	t.info, err = io.ReadAll(r)
	return err
}

// checkEntry refuses what could lead out of the folder into which an archive is
// unpacked, and what is neither file, folder nor link: "Source distribution
// archive features" of the PyPA's specifications, from PEP 721.
func checkEntry(h *tar.Header) error {
	if unsafePath(h.Name) {
		return fmt.Errorf("%w: %.200q", tarfile.ErrUnsafeName, h.Name)
	}
	target := h.Linkname
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeCont, tar.TypeGNUSparse:
		return nil
	case tar.TypeSymlink:
		target = path.Join(path.Dir(h.Name), target)
	case tar.TypeLink:
	default:
		return proget.Errorf(proget.ErrInvalid, "The source distribution has an entry that is no file, folder or link (%.100q).", h.Name)
	}
	if strings.HasPrefix(h.Linkname, "/") || unsafePath(target) {
		return proget.Errorf(proget.ErrInvalid, "The source distribution has a link that leads out of it (%.100q).", h.Name)
	}
	return nil
}

// unsafePath refuses backslashes, too: what they mean differs from system to system.
func unsafePath(name string) bool { return strings.Contains(name, `\`) || !tarfile.Safe(name) }
