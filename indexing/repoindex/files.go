package repoindex

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// Files reads and stores the files of indexes. It is safe for concurrent use.
type Files struct {
	db    *db.Store
	blobs *storage.Set
}

// NewFiles returns Files for a database and its storages.
func NewFiles(store *db.Store, blobs *storage.Set) *Files { return &Files{store, blobs} }

// A Generation is the difference between the next generation of an index and the
// present one.
type Generation struct {
	State string // for the builder of the following generation
	Files []File
	Ended []string // names of files that end, or are replaced by one of Files
	All   bool     // all present files end
	More  bool     // this is part of a rebuild, and more parts follow
}

// MaxName bounds a file's name in bytes.
const MaxName = db.MaxIndexName

// A File is a new file of an index.
type File struct {
	Name string // of at most MaxName bytes
	Body io.Reader

	// Object names an object that the file shares with others of its generation; with
	// "", the file gets its own. Files that end together should share an object,
	// because an object is kept as long as any of its files.
	Object string
}

// An Opened is a file that can be read once, from its beginning. If its bytes are not
// those that were stored, reading fails with [storage.ErrDamaged].
type Opened struct {
	db.IndexFile
	object *storage.Reader
	rest   int64
	sum    hash.Hash
}

// Open opens a file as it is in a generation, which may be [db.Present]. It returns
// proget.ErrNotFound if there is none.
func (x *Files) Open(ctx context.Context, feedID int64, kind, name string, generation int64) (*Opened, error) {
	f, err := x.db.FindIndexFile(ctx, feedID, kind, name, generation)
	if err != nil {
		return nil, err
	}
	blobs, err := x.blobs.Store(ctx, f.Blob.StorageID)
	if err != nil {
		return nil, err
	}
	object, err := blobs.Open(ctx, f.Blob.StorageKey)
	if err != nil {
		return nil, fmt.Errorf("open index file %s: %w", name, err)
	}
	if _, err := object.Seek(f.Start, io.SeekStart); err != nil {
		_ = object.Close()
		return nil, fmt.Errorf("open index file %s: %w", name, err)
	}
	return &Opened{IndexFile: f, object: object, rest: f.Size, sum: sha256.New()}, nil
}

// Read implements io.Reader.
func (o *Opened) Read(p []byte) (int, error) {
	if o.rest == 0 {
		return 0, o.verdict()
	}
	n, err := o.object.Read(p[:min(int64(len(p)), o.rest)])
	o.sum.Write(p[:n])
	o.rest -= int64(n)
	if err == io.EOF {
		if err = nil; o.rest > 0 {
			err = fmt.Errorf("%w: index file %s ends %d bytes early", storage.ErrDamaged, o.Name, o.rest)
		}
	}
	return n, err
}

func (o *Opened) verdict() error {
	if sum := hex.EncodeToString(o.sum.Sum(nil)); sum != o.SHA256 {
		return fmt.Errorf("%w: index file %s has the digest %s", storage.ErrDamaged, o.Name, sum)
	}
	return io.EOF
}

// Close releases the file.
func (o *Opened) Close() error { return o.object.Close() }

// MaxRead is the maximum number of bytes that Read and All return.
const MaxRead = 64 << 20

// Read returns the content of a present file of at most MaxRead bytes, or
// proget.ErrNotFound.
func (x *Files) Read(ctx context.Context, feedID int64, kind, name string) ([]byte, error) {
	f, err := x.Open(ctx, feedID, kind, name, db.Present)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.All()
}

// All returns the content of the file. It returns an error if the file has more than
// MaxRead bytes.
func (o *Opened) All() ([]byte, error) {
	if o.Size > MaxRead {
		return nil, fmt.Errorf("index file %s has %d bytes", o.Name, o.Size)
	}
	return io.ReadAll(o)
}

// home is the storage of all index files, wherever a feed keeps its packages: they are
// built from the database, and need not be moved when the feed is.
const home = 0

// Store stores the files of the generation that follows the given one, and returns the
// argument for db.Tx.SwitchIndex, which makes it the present one.
func (x *Files) Store(ctx context.Context, feedID int64, kind string, generation int64, next *Generation) (db.IndexSwitch, error) {
	sw := db.IndexSwitch{FeedID: feedID, Kind: kind, Generation: generation, Build: rand.Text(), State: next.State, Ended: next.Ended, All: next.All}
	for _, f := range next.Files {
		if len(f.Name) > MaxName { // the present generation would be the last, on some databases
			return sw, fmt.Errorf("index %s: the name of the file %.60s… has %d bytes, more than %d", kind, f.Name, len(f.Name), MaxName)
		}
	}
	blobs, err := x.blobs.Store(ctx, home)
	if err != nil {
		return sw, err
	}
	for _, files := range objects(next.Files) {
		stored, err := put(ctx, blobs, files)
		if err != nil {
			return sw, fmt.Errorf("store %s and %d more files of index %s: %w", files[0].Name, len(files)-1, kind, err)
		}
		sw.Files = append(sw.Files, stored...)
	}
	return sw, nil
}

// objects groups files by the objects that they share.
func objects(files []File) [][]File {
	var groups [][]File
	at := make(map[string]int)
	for _, f := range files {
		i, known := at[f.Object]
		if f.Object == "" || !known {
			i = len(groups)
			at[f.Object] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], f)
	}
	return groups
}

// put stores files one after the other in one object.
func put(ctx context.Context, blobs *storage.Store, files []File) ([]db.IndexFile, error) {
	readers, measures := make([]io.Reader, len(files)), make([]*measure, len(files))
	for i, f := range files {
		measures[i] = &measure{sum: sha256.New()}
		readers[i] = io.TeeReader(f.Body, measures[i])
	}
	blob, err := blobs.Put(ctx, io.MultiReader(readers...), nil)
	if err != nil {
		return nil, err
	}
	row := db.BlobRow{SHA256: blob.Digests[proget.SHA256], Size: blob.Size, StorageID: home, StorageKey: blob.Key}
	stored, start := make([]db.IndexFile, len(files)), int64(0)
	for i, f := range files {
		stored[i] = db.IndexFile{Name: f.Name, Blob: row, Start: start, Size: measures[i].size, SHA256: hex.EncodeToString(measures[i].sum.Sum(nil))}
		start += measures[i].size
	}
	return stored, nil
}

// measure counts and hashes what is written to it.
type measure struct {
	size int64
	sum  hash.Hash
}

func (m *measure) Write(p []byte) (int, error) {
	m.size += int64(len(p))
	return m.sum.Write(p)
}
