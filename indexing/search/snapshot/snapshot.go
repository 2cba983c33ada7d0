// Package snapshot keeps a copy of the search index in storage, so that a new node
// starts with it instead of reading every package.
//
// The primary publishes the copy. Files are named by their content, so that those of
// the previous snapshot are not stored again. A manifest lists the files, the format of
// the copy and its positions in the feeds' logs.
package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing/repoindex"
	"github.com/proget-go/ha/indexing/search"
	"github.com/proget-go/ha/proget"
)

// An Index can copy itself, and continue from such a copy.
type Index interface {
	search.Index

	// Format returns the version of what CopyTo writes. Adopt accepts no other.
	Format() string

	// CopyTo writes a consistent copy into an empty or new folder while the index is in
	// use.
	CopyTo(dir string) error

	// Adopt replaces the index's content by a copy and removes the folder of the copy.
	// If the copy is unusable, the index is empty afterwards.
	Adopt(dir string) error
}

// A Manifest describes a snapshot.
type Manifest struct {
	Format    string          `json:"format"`
	Made      time.Time       `json:"made"`      // by the clock of the node that made it
	Positions map[int64]int64 `json:"positions"` // in each feed's log; the copy may go further
	Files     []File          `json:"files"`
}

// A File is a file of the copy.
type File struct {
	Path   string `json:"path"` // below the index's folder, with slashes
	Size   int64  `json:"size"` // in bytes
	SHA256 string `json:"sha256"`
}

// Bytes returns the total size of the copy.
func (m *Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

const (
	kind     = "search"
	manifest = "manifest.json"

	maxFiles = 10_000 // of a snapshot
	width    = 4      // downloads at once
)

// owner is the feed under which snapshots are stored as index files: the installation
// itself.
const owner = proget.SystemFeed

// A Shelf is the place where snapshots are kept.
type Shelf struct {
	DB    *db.Store
	Files *repoindex.Files
}

// Newest returns the manifest of the present snapshot, or proget.ErrNotFound.
func (s *Shelf) Newest(ctx context.Context) (*Manifest, error) {
	m, _, err := s.newest(ctx)
	return m, err
}

// newest returns the present snapshot and its generation, whose files remain readable
// while a newer one is published.
func (s *Shelf) newest(ctx context.Context) (*Manifest, int64, error) {
	head, err := s.DB.FindIndex(ctx, owner, kind)
	if err != nil {
		return nil, 0, err
	}
	if head.Generation == 0 {
		return nil, 0, proget.Errorf(proget.ErrNotFound, "There is no snapshot of the search index.")
	}
	f, err := s.Files.Open(ctx, owner, kind, manifest, head.Generation)
	if err != nil {
		return nil, head.Generation, err
	}
	defer f.Close()
	m := new(Manifest)
	text, err := f.All()
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil {
		return nil, head.Generation, fmt.Errorf("read the manifest of the search index: %w", err)
	}
	return m, head.Generation, nil
}

// Publish copies an index into the folder dir, makes the copy the present snapshot, and
// removes dir. Only the leader of the office may call it: for others, it returns
// proget.ErrStale. It returns the manifest and the number of bytes that were newly
// stored.
func (s *Shelf) Publish(ctx context.Context, x Index, positions map[int64]int64, dir, office string, fence proget.Fence) (m *Manifest, stored int64, err error) {
	former, generation, err := s.newest(ctx)
	if err != nil && generation == 0 && !errors.Is(err, proget.ErrNotFound) {
		return nil, 0, err // a manifest that exists but cannot be read is replaced
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.RemoveAll(dir); err != nil {
		return nil, 0, err
	}
	m = &Manifest{Format: x.Format(), Made: time.Now().UTC(), Positions: maps.Clone(positions)}
	if err := x.CopyTo(dir); err != nil {
		return nil, 0, err
	}
	if m.Files, err = describe(dir); err != nil {
		return nil, 0, fmt.Errorf("read the copy of the search index: %w", err)
	}
	next, stored, err := difference(s.stored(ctx, former, generation), m, dir)
	if err != nil {
		return nil, 0, err
	}
	defer closeAll(next.Files)
	next.All = former == nil
	sw, err := s.Files.Store(ctx, owner, kind, generation, next)
	if err != nil {
		return nil, 0, err
	}
	err = s.DB.LeaderTx(ctx, office, fence, func(tx *db.Tx) error { return tx.SwitchIndex(ctx, sw) })
	return m, stored, err
}

// describe lists the files below a folder.
func describe(dir string) (files []File, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		size, err := io.Copy(sum, f)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, path)
		files = append(files, File{filepath.ToSlash(below), size, hex.EncodeToString(sum.Sum(nil))})
		return err
	})
	return files, err
}

// stored returns the digests of a snapshot's files, and whether storage still has each
// file. A file that it has lost is stored again.
func (s *Shelf) stored(ctx context.Context, m *Manifest, generation int64) map[string]bool {
	there := make(map[string]bool)
	if m == nil {
		return there
	}
	for _, f := range m.Files {
		opened, err := s.Files.Open(ctx, owner, kind, f.SHA256, generation)
		if err == nil {
			err = opened.Close()
		}
		there[f.SHA256] = err == nil
	}
	return there
}

// difference returns the generation that adds a snapshot to the stored files, and how
// many bytes it adds.
func difference(stored map[string]bool, m *Manifest, dir string) (next *repoindex.Generation, fresh int64, err error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, 0, err
	}
	next = &repoindex.Generation{Ended: []string{manifest}, Files: []repoindex.File{{Name: manifest, Body: bytes.NewReader(text)}}}
	wanted := make(map[string]bool)
	for _, f := range m.Files {
		if !stored[f.SHA256] && !wanted[f.SHA256] {
			next.Files = append(next.Files, repoindex.File{Name: f.SHA256, Body: &lazyFile{path: filepath.Join(dir, filepath.FromSlash(f.Path))}})
			fresh += f.Size
		}
		wanted[f.SHA256] = true
	}
	for sum, sound := range stored {
		if !wanted[sum] || !sound {
			next.Ended = append(next.Ended, sum)
		}
	}
	return next, fresh, nil
}

// lazyFile is a file that is opened when it is first read.
type lazyFile struct {
	path string
	file *os.File
}

func (l *lazyFile) Read(p []byte) (n int, err error) {
	if l.file == nil {
		if l.file, err = os.Open(l.path); err != nil {
			return 0, err
		}
	}
	return l.file.Read(p)
}

func closeAll(files []repoindex.File) {
	for _, f := range files {
		if l, ok := f.Body.(*lazyFile); ok && l.file != nil {
			_ = l.file.Close()
		}
	}
}

// ErrFormat means that another version of the program made the snapshot.
var ErrFormat = errors.New("the snapshot of the search index has another format")

// Fetch empties the folder dir, downloads the present snapshot into it, and makes the
// index adopt it. It returns proget.ErrNotFound if there is none, [ErrFormat], or
// storage.ErrDamaged; the index is then unchanged.
func (s *Shelf) Fetch(ctx context.Context, x Index, dir string) (*Manifest, error) {
	m, generation, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	if m.Format != x.Format() {
		return nil, fmt.Errorf("%w: %.20q, not %q", ErrFormat, m.Format, x.Format())
	}
	if len(m.Files) > maxFiles {
		return nil, fmt.Errorf("the snapshot of the search index has %d files", len(m.Files))
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	g, downloading := errgroup.WithContext(ctx)
	g.SetLimit(width)
	for _, f := range m.Files {
		g.Go(func() error { return s.download(downloading, f, generation, dir) })
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(fmt.Errorf("fetch the search index: %w", err), os.RemoveAll(dir))
	}
	return m, x.Adopt(dir)
}

func (s *Shelf) download(ctx context.Context, f File, generation int64, dir string) error {
	below, err := filepath.Localize(f.Path)
	if err != nil {
		return fmt.Errorf("the manifest names a file %.100q", f.Path)
	}
	path := filepath.Join(dir, below)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	from, err := s.Files.Open(ctx, owner, kind, f.SHA256, generation)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
