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

// pkgInfo is the file with the metadata, in the only top-level folder of the archive.
const pkgInfo = "PKG-INFO"

func errNoInfo() error {
	return proget.Errorf(proget.ErrInvalid, "The source distribution has no %s in the folder that holds everything: build it with \"python -m build --sdist\".", pkgInfo)
}

// readZip returns the metadata of a zipped sdist.
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

// topFolder is the folder that contains all of an sdist: "Source distribution file
// format" in the PyPA's specifications.
type topFolder struct{ name string }

// inside returns a path relative to the folder; "" for the folder itself.
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

// readTar returns an sdist's metadata. It reads the archive to its end, so that it
// detects a damaged one.
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

// refusal returns proget.ErrInvalid if err means that an archive is invalid, otherwise
// err.
func refusal(err error) error {
	switch {
	case errors.Is(err, tarfile.ErrUnsafeName):
		return proget.WrapError(proget.ErrInvalid, err, "The source distribution has an entry with an unsafe path (%s).", err)
	case errors.Is(err, tarfile.ErrTooManyEntries):
		return proget.WrapError(proget.ErrInvalid, err, "The source distribution has more than %d entries.", maxEntries)
	case errors.Is(err, tarfile.ErrTooLarge):
		return proget.WrapError(proget.ErrInvalid, err, "The source distribution unpacks to more than %d GiB.", maxUnpacked>>30)
	case errors.Is(err, tarfile.ErrNotTar):
		return proget.WrapError(proget.ErrInvalid, err, "The file is not a gzipped tar archive, or it is damaged.")
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

// checkEntry returns an error for an entry that could lead out of the folder into which
// the archive is unpacked, or that is neither a file, a folder nor a link: "Source
// distribution archive features" in the PyPA's specifications, from PEP 721.
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
		return proget.Errorf(proget.ErrInvalid, "The source distribution has an entry that is not a file, folder or link (%.100q).", h.Name)
	}
	if strings.HasPrefix(h.Linkname, "/") || unsafePath(target) {
		return proget.Errorf(proget.ErrInvalid, "The source distribution has a link that leads out of it (%.100q).", h.Name)
	}
	return nil
}

// unsafePath also reports true for backslashes, whose meaning depends on the system.
func unsafePath(name string) bool { return strings.Contains(name, `\`) || !tarfile.Safe(name) }
