package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/proget-go/ha/db/driver"
	"github.com/proget-go/ha/proget"
)

// LoadPackage returns a package with all its versions in the order in which they were
// published, or proget.ErrNotFound if it has none. It runs one query, so that versions
// and tags are of the same moment.
func (s *Store) LoadPackage(ctx context.Context, feedID int64, nameKey string) (*proget.Package, error) {
	var p *proget.Package
	err := s.read(ctx, func(c *conn) error {
		p = &proget.Package{FeedID: feedID}
		return c.each(ctx, "LoadPackage",
			[]sql.NamedArg{arg("feed_id", feedID), arg("name_key", nameKey)},
			func(rows *sql.Rows) error { return scanVersion(rows, p) })
	})
	if err == nil && (len(p.Versions) == 0 || p.Key != nameKey) { // SQL Server ignores spaces at the end
		err = proget.Errorf(proget.ErrNotFound, "There is no package %s.", nameKey)
	}
	if err != nil {
		return nil, err
	}
	p.Name = p.Versions[len(p.Versions)-1].Name
	return p, nil
}

// scanVersion adds a row to p, which is one tag, or one file of one version. The rows of
// one version are adjacent; only that of its first file contains its manifest, which may
// be large.
func scanVersion(rows *sql.Rows, p *proget.Package) error {
	var v proget.Version
	var f proget.File
	var manifest, sha256 string
	var sha1, md5, sha512 sql.NullString
	var fileID int64
	var tag, data string
	err := rows.Scan(&p.ID, &p.Key, &v.ID, &v.Name, &v.Version, &v.Key, &v.Prerelease,
		&v.Status.Listed, &v.Status.Deprecated, &v.Status.Blocked,
		&manifest, (*instant)(&v.Published), &v.PublishedBy, &v.Downloads,
		&f.Name, &f.Size, &sha256, &sha1, &md5, &sha512, &f.StorageID, &f.StorageKey, &fileID, &data, (*instant)(&f.Added), &tag)
	if err != nil {
		return err
	}
	if fileID == 0 {
		if p.Tags == nil {
			p.Tags = make(map[string]string)
		}
		p.Tags[tag] = v.Key
		return nil
	}
	f.Digests, f.Data = proget.Digests{proget.SHA256: sha256}, rawOrNil(data)
	for algorithm, digest := range map[proget.Algorithm]sql.NullString{
		proget.SHA1: sha1, proget.MD5: md5, proget.SHA512: sha512} {
		if digest.Valid {
			f.Digests[algorithm] = digest.String
		}
	}
	if n := len(p.Versions); n > 0 && p.Versions[n-1].ID == v.ID {
		p.Versions[n-1].Files = append(p.Versions[n-1].Files, f)
		return nil
	}
	v.PackageID, v.Manifest = p.ID, json.RawMessage(manifest)
	v.Files = []proget.File{f}
	p.Versions = append(p.Versions, &v)
	return nil
}

// rawOrNil returns text as JSON, or nil if it is empty.
func rawOrNil(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// ListPackageKeys returns up to limit name keys of a feed, in order, beginning with the
// first one greater than after.
func (s *Store) ListPackageKeys(ctx context.Context, feedID int64, after string, limit int) ([]string, error) {
	return list(ctx, s.read, "ListPackageKeys", column[string], arg("feed_id", feedID), arg("after", after), arg("limit", limit))
}

// ListPackageNames is ListPackageKeys that also returns each package's name as its
// newest version spells it.
func (s *Store) ListPackageNames(ctx context.Context, feedID int64, after string, limit int) (keys, names []string, err error) {
	rows, err := list(ctx, s.read, "ListPackageNames", func(r *[2]string) []any { return []any{&r[0], &r[1]} },
		arg("feed_id", feedID), arg("after", after), arg("limit", limit))
	for _, r := range rows {
		keys, names = append(keys, r[0]), append(names, r[1])
	}
	return keys, names, err
}

// A PackageQuery selects packages by their keys. Its texts must be in lower case. The
// letters a-z match in either case. Any other letter matches if it is in lower case in
// the key, too; if it is in upper case there, some engines match it only as written,
// and others in lower case.
type PackageQuery struct {
	FeedID      int64
	Prefix      string   // the key must begin with it
	Parts       []string // the key must contain them in this order
	Exact       string   // this key comes first
	Whole       bool     // match only Exact
	Prerelease  bool     // also packages without a listed stable version
	Skip, Limit int
}

// FindPackages returns a page of the keys of packages that have a listed version,
// ordered by their lower case, and the number of keys on all pages. It scans all
// packages of the feed, which the search index spares the database.
func (s *Store) FindPackages(ctx context.Context, q PackageQuery) (keys []string, total int, err error) {
	named := []sql.NamedArg{arg("feed_id", q.FeedID), arg("pattern", q.pattern()), arg("prerelease", flag(q.Prerelease))}
	err = s.read(ctx, func(c *conn) error {
		if err := c.one(ctx, "CountPackages", named, &total); err != nil {
			return err
		}
		keys, err = collect(ctx, c, "FindPackages", column[string], append(named, arg("exact", q.Exact), arg("skip", q.Skip), arg("limit", q.Limit))...)
		return err
	})
	return keys, total, err
}

// wildcards escapes the characters that LIKE interprets in any engine.
var wildcards = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `[`, `\[`)

func (q PackageQuery) pattern() string {
	if q.Whole {
		return wildcards.Replace(q.Exact)
	}
	pattern := wildcards.Replace(q.Prefix)
	for _, part := range q.Parts {
		pattern += "%" + wildcards.Replace(part)
	}
	return pattern + "%"
}

// An Upload is what FindUpload found in the database before an upload's transaction.
type Upload struct {
	PackageID int64   // 0 if the package is new
	Blob      BlobRow // of the same bytes; its ID is 0 if there is none

	// The caller sets Mend if the blob's object is missing or damaged: the upload's
	// object then replaces it. If the caller also sets Stored, the upload's object has
	// a row of its own, and the version refers to that instead.
	Mend, Stored bool

	asked int64 // when, by the database's clock
}

// RecordWithin limits the time from the end of an upload until its object is recorded.
// An older object without a record belongs to nobody and may be removed.
const RecordWithin = 30 * time.Minute

// FindUpload looks up what the database has for a version with one file. It saves the
// transaction queries that need no lock.
func (s *Store) FindUpload(ctx context.Context, feedID int64, nameKey string, f proget.File) (*Upload, error) {
	u := new(Upload)
	err := s.on(ctx, s.pools.Read, s.changing, func(c *conn) error { // with the limits of a change, of which it is part
		return c.one(ctx, "FindUpload", []sql.NamedArg{arg("feed_id", feedID), arg("name_key", nameKey),
			arg("sha256", f.Digests[proget.SHA256]), arg("size", f.Size), arg("storage_id", f.StorageID)},
			append(append([]any{&u.PackageID}, u.Blob.fields()...), &u.asked)...)
	})
	return u, err
}

// AddVersion records a version with its files under a package, which it creates if need
// be. It sets v's ids and times and each file's storage key, and reports whether the
// package is new. A file whose bytes are already stored gets the existing blob's key; a
// file without a key must be such, or AddVersion returns proget.ErrNotFound. If the
// version exists, it returns a unique violation, which leaves the store as
// proget.ErrConflict and matches ErrVersionExists. It returns proget.ErrUnavailable if
// an object that the caller takes for new has a row: garbage collection records objects
// that nobody recorded in time.
//
// aliases and known are those of the first file. known is what FindUpload found for it,
// or nil. It may be out of date: the transaction then fails, and its retry does not
// trust known. Ids are never reused, so a remembered id cannot mean another package.
func (tx *Tx) AddVersion(ctx context.Context, feedID int64, nameKey string, v *proget.Version, aliases []string, known *Upload) (created bool, err error) {
	if err := distinct(v.Files); err != nil {
		return false, err
	}
	if known != nil && tx.attempt == 1 && known.PackageID != 0 {
		v.PackageID = known.PackageID
		err = tx.addVersion(ctx, v)
	} else {
		created, err = tx.addFirstVersion(ctx, feedID, nameKey, v)
	}
	if err != nil && tx.classify(err) == driver.Unique {
		err = &conflict{err, ErrVersionExists}
	}
	if err != nil {
		return false, err
	}
	v.Status.Listed = true
	for i := range v.Files {
		v.Files[i].Added = v.Published
		if err := tx.addFile(ctx, v.ID, &v.Files[i], aliases, known); err != nil {
			return false, err
		}
		aliases, known = nil, nil
	}
	return created, nil
}

// ReadManifest returns a version's manifest, and the database's time.
func (tx *Tx) ReadManifest(ctx context.Context, versionID int64) (data json.RawMessage, now time.Time, err error) {
	var text string
	err = tx.one(ctx, "ReadManifest", []sql.NamedArg{arg("version_id", versionID)}, &text, (*instant)(&now))
	return json.RawMessage(text), now, err
}

// SetManifest replaces a version's manifest.
func (tx *Tx) SetManifest(ctx context.Context, versionID int64, data json.RawMessage) error {
	_, err := tx.run(ctx, "SetManifest", arg("version_id", versionID), arg("manifest", string(data)))
	return err
}

// ErrVersionExists is matched by the error of AddVersion if the version exists, and
// ErrFileExists by that of JoinVersion if the version has a file of that name, in
// addition to proget.ErrConflict.
var (
	ErrVersionExists = errors.New("the version exists")
	ErrFileExists    = errors.New("the version has a file of that name")
)

// conflict is an error that also matches about.
type conflict struct {
	error
	about error
}

func (e *conflict) Is(target error) bool { return target == e.about }

func (e *conflict) Unwrap() error { return e.error }

func versionArgs(v *proget.Version, more ...sql.NamedArg) []sql.NamedArg {
	return append(more, arg("name", v.Name), arg("version", v.Version), arg("version_key", v.Key),
		arg("prerelease", flag(v.Prerelease)), arg("manifest", string(v.Manifest)), arg("published_by", v.PublishedBy))
}

func (tx *Tx) addVersion(ctx context.Context, v *proget.Version) error {
	return tx.one(ctx, "InsertVersion", versionArgs(v, arg("package_id", v.PackageID)), &v.ID, (*instant)(&v.Published))
}

func (tx *Tx) addFirstVersion(ctx context.Context, feedID int64, nameKey string, v *proget.Version) (created bool, err error) {
	err = tx.one(ctx, "InsertFirstVersion", versionArgs(v, arg("feed_id", feedID), arg("name_key", nameKey)),
		&v.PackageID, &v.ID, (*instant)(&v.Published), &created)
	if errors.Is(err, proget.ErrNotFound) {
		err = ErrTryAgain // another publisher has just created the package
	}
	return created, err
}

// A VersionRow is what a change of a version needs to know of it.
type VersionRow struct {
	ID        int64
	PackageID int64
	Status    proget.Status
}

// FindVersion finds a version by its keys and locks it until the transaction
// ends, or returns proget.ErrNotFound.
func (tx *Tx) FindVersion(ctx context.Context, feedID int64, nameKey, versionKey string) (VersionRow, error) {
	var v VersionRow
	var name, version string
	named := []sql.NamedArg{arg("feed_id", feedID), arg("name_key", nameKey), arg("version_key", versionKey)}
	err := tx.one(ctx, "FindVersion", named, &v.ID, &name, &version)
	if err == nil && (name != nameKey || version != versionKey) { // SQL Server ignores spaces at the end
		err = errNoRecord
	}
	if err == nil {
		var locked int64
		if locked, err = tx.run(ctx, "LockVersion", arg("version_id", v.ID)); err == nil && locked == 0 {
			err = ErrTryAgain // another transaction has just deleted or replaced it
		}
	}
	if err == nil { // read again: the values from before the lock may be outdated
		err = tx.one(ctx, "ReadVersion", []sql.NamedArg{arg("version_id", v.ID)},
			&v.PackageID, &v.Status.Listed, &v.Status.Deprecated, &v.Status.Blocked)
	}
	if errors.Is(err, proget.ErrNotFound) {
		err = proget.Errorf(proget.ErrNotFound, "There is no version %s of %s.", versionKey, nameKey)
	}
	return v, err
}

// HoldVersion prevents the deletion of a version until the transaction ends, and
// reports whether the version exists.
func (tx *Tx) HoldVersion(ctx context.Context, feedID int64, nameKey, versionKey string) (bool, error) {
	n, err := tx.run(ctx, "HoldVersion", arg("feed_id", feedID), arg("name_key", nameKey), arg("version_key", versionKey))
	return n > 0, err
}

// HasPackage reports whether a feed has a package with that key.
func (tx *Tx) HasPackage(ctx context.Context, feedID int64, nameKey string) (bool, error) {
	_, err := tx.findPackage(ctx, feedID, nameKey)
	if errors.Is(err, proget.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (tx *Tx) findPackage(ctx context.Context, feedID int64, nameKey string) (id int64, err error) {
	var name string
	err = tx.one(ctx, "FindPackage", []sql.NamedArg{arg("feed_id", feedID), arg("name_key", nameKey)}, &id, &name)
	if err == nil && name != nameKey { // SQL Server ignores spaces at the end
		err = errNoRecord
	}
	return id, err
}

// HasPackages reports whether a feed has packages whose keys begin with a prefix.
func (tx *Tx) HasPackages(ctx context.Context, feedID int64, prefix string) (bool, error) {
	var next string // in any collation, the key that follows the prefix begins with it if any does
	err := tx.one(ctx, "NextPackage", []sql.NamedArg{arg("feed_id", feedID), arg("from_key", prefix)}, &next)
	return err == nil && next != "" && strings.HasPrefix(next, prefix), err
}

// SetStatus changes the status of a version.
func (tx *Tx) SetStatus(ctx context.Context, versionID int64, st proget.Status) error {
	_, err := tx.run(ctx, "SetVersionStatus", arg("version_id", versionID),
		arg("listed", flag(st.Listed)), arg("deprecated", st.Deprecated), arg("blocked", flag(st.Blocked)))
	return err
}

// SetTag points a tag of a package at one of its versions. Set several tags in the
// order of their names, or two transactions could deadlock.
func (tx *Tx) SetTag(ctx context.Context, packageID int64, tag string, versionID int64) error {
	_, err := tx.run(ctx, "SetTag", arg("package_id", packageID), arg("tag", tag), arg("version_id", versionID))
	return err
}

// DeleteTag removes a tag, or returns proget.ErrNotFound.
func (tx *Tx) DeleteTag(ctx context.Context, feedID int64, nameKey, tag string) error {
	packageID, err := tx.findPackage(ctx, feedID, nameKey)
	named := []sql.NamedArg{arg("package_id", packageID), arg("tag", tag)}
	var found string
	if err == nil {
		err = tx.one(ctx, "FindTag", named, &found)
	}
	if err == nil && found != tag { // SQL Server ignores spaces at the end
		err = errNoRecord
	}
	var n int64
	if err == nil {
		n, err = tx.run(ctx, "DeleteTag", named...)
	}
	if errors.Is(err, proget.ErrNotFound) || err == nil && n == 0 {
		err = proget.Errorf(proget.ErrNotFound, "%s has no tag %s.", nameKey, tag)
	}
	return err
}

// DeleteVersion removes a version with its files and the tags that point at it and, if
// it was the last version, its package. It keeps a record of all this, so that
// RestoreVersion can restore the version until garbage collection takes its blobs. It
// returns the total bytes of the files and whether it removed the package.
func (tx *Tx) DeleteVersion(ctx context.Context, v VersionRow, by string) (bytes int64, last bool, err error) {
	id := arg("version_id", v.ID)
	if err := tx.one(ctx, "VersionBytes", []sql.NamedArg{id}, &bytes); err != nil {
		return 0, false, err
	}
	if _, err := tx.run(ctx, "KeepDeletedVersion", id, arg("deleted_by", by)); err != nil {
		return 0, false, err
	}
	for _, name := range versionEnd {
		if _, err := tx.run(ctx, name, id); err != nil {
			return 0, false, err
		}
	}
	pkg := arg("package_id", v.PackageID)
	if _, err := tx.run(ctx, "LockPackage", pkg); err != nil { // another deletion may leave no version, either
		return 0, false, err
	}
	n, err := tx.run(ctx, "DeleteEmptyPackage", pkg)
	return bytes, n > 0, err
}

// versionEnd are the statements that delete a version and begin the grace period of its
// blobs.
var versionEnd = []string{"KeepDeletedTags", "KeepDeletedFiles", "TouchVersionBlobs", "DeleteVersionFiles", "DeleteVersion"}
