package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// A record is what the database will store of a manifest.
type record struct {
	*feed.Manifest
	ref  feed.Ref
	data []byte // nil keeps the description of an existing version
	file proget.File
}

// describe encodes a manifest and checks its bounds.
func (p *recording) describe(m *feed.Manifest) (*record, error) {
	if err := checkNames(m); err != nil {
		return nil, fmt.Errorf("feed type %s: %w", p.typ.Name, err)
	}
	u, blob := p.upload, p.blob
	r := &record{Manifest: m, ref: feed.Ref{Feed: u.Feed, NameKey: p.typ.NameKey(m.Name), VersionKey: p.typ.VersionKey(m.Version)},
		file: proget.File{Name: m.FileName, Size: blob.Size, Digests: blob.Digests, StorageID: u.Feed.StorageID, StorageKey: blob.Key}}
	var err error
	if r.data, err = encode(m.Data); err != nil {
		return nil, err
	}
	if r.file.Data, err = encode(m.FileData); err != nil {
		return nil, err
	}
	if err := r.checkTexts(); err != nil {
		return nil, err
	}
	if len(m.Aliases) > feed.MaxAliases {
		return nil, proget.Errorf(proget.ErrInvalid, "The file has more than %d parts that are to be found by name.", feed.MaxAliases)
	}
	seen := make(map[string]bool)
	for _, alias := range m.Aliases {
		if alias == "" || len(alias) > feed.MaxAlias || strings.HasSuffix(alias, " ") || strings.ContainsAny(alias, "\n\x00") || !utf8.ValidString(alias) || seen[alias] {
			return nil, proget.Errorf(proget.ErrInvalid, "The name %.60q of a part of the file is not valid: names must be unique, on one line, and 1 to %d bytes long, and none ends in a space.", alias, feed.MaxAlias)
		}
		seen[alias] = true
	}
	return r, nil
}

// checkTexts refuses texts that not every database could keep, or tell apart.
func (r *record) checkTexts() error {
	err := cmp.Or(
		checkText("package's name", r.Name, feed.MaxName, r.ref.NameKey),
		checkText("version", r.Version, feed.MaxVersion, r.ref.VersionKey),
		checkText("file's name", r.FileName, feed.MaxFileName, strings.ToLower(r.FileName)))
	for _, f := range r.Refers {
		err = cmp.Or(err, checkText("file's name", f.Name, feed.MaxFileName, strings.ToLower(f.Name)))
	}
	for _, tag := range r.Tags {
		err = cmp.Or(err, checkTag(tag))
	}
	return err
}

func checkTag(tag string) error { return checkText("tag", tag, feed.MaxTag, tag) }

// checkText returns an error if a text, as it is spelt or in its normal form, is longer
// than limit, or ends in a space, which SQL Server ignores in comparisons.
func checkText(what, text string, limit int, key string) error {
	switch {
	case max(feed.Length(text), feed.Length(key)) > limit:
		return proget.Errorf(proget.ErrInvalid, "The %s %.60q… is longer than %d characters: choose a shorter one.", what, text, limit)
	case strings.HasSuffix(key, " "):
		return proget.Errorf(proget.ErrInvalid, "The %s %.60q ends in a space: choose one that does not.", what, text)
	}
	return nil
}

// checkNames checks the manifest's names. Inspect must refuse a file without valid
// names, so an error is a bug of the feed type.
func checkNames(m *feed.Manifest) error {
	if m.Name == "" || m.Version == "" {
		return fmt.Errorf("the manifest has the name %.60q and the version %.60q", m.Name, m.Version)
	}
	if !validFileName(m.FileName) {
		return fmt.Errorf("the manifest of %s %s has %.60q for a file name", m.Name, m.Version, m.FileName)
	}
	for _, f := range m.Refers {
		if !validFileName(f.Name) {
			return fmt.Errorf("the manifest of %s %s refers to a file with the name %.60q", m.Name, m.Version, f.Name)
		}
	}
	return nil
}

// validFileName reports whether a file can be stored under a name, and saved by clients
// that download it.
func validFileName(name string) bool {
	return name != "" && name != "." && name != ".." &&
		utf8.ValidString(name) && !strings.ContainsRune(name, '/') && !strings.ContainsFunc(name, unicode.IsControl)
}

// encode returns the JSON of a type's own description; nil for none.
func encode(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode what the package file says of itself: %w", err)
	}
	if len(data) > feed.MaxManifest {
		return nil, proget.Errorf(proget.ErrInvalid, "The package's manifest is larger than %d MiB.", feed.MaxManifest>>20)
	}
	return data, nil
}

// orNull returns the JSON of a description, or null if there is none.
func orNull(data []byte) json.RawMessage {
	if data == nil {
		return json.RawMessage("null")
	}
	return data
}

// exists returns a client's message about what already exists and what to do.
func (p *recording) exists(r *record) string {
	in := p.upload.Feed.Name
	switch {
	case r.Role != feed.Whole:
		return fmt.Sprintf("%s %s already has the file %s in feed %s: publish it under another version.", r.Name, r.Version, r.FileName, in)
	case p.typ.Naming.Unversioned:
		return fmt.Sprintf("%s already exists in feed %s: delete it first, or choose another name.", r.Name, in)
	}
	return fmt.Sprintf("%s %s already exists in feed %s: publish it under another version.", r.Name, r.Version, in)
}

// entering is one attempt of the transaction that records a file.
type entering struct {
	*recording
	tx *db.Tx
	ch *db.Change
}

// enter records a file in its version. If the version does not exist, it creates it,
// unless the file is an extra.
func (e *entering) enter(ctx context.Context, r *record) (*proget.Version, error) {
	if r.Role == feed.Whole && e.upload.Replace == nil {
		return e.begin(ctx, r) // a constraint detects an existing version
	}
	present, err := e.tx.FindVersion(ctx, r.ref.Feed.ID, r.ref.NameKey, r.ref.VersionKey)
	switch {
	case err == nil && r.Role == feed.Whole:
		return e.replace(ctx, r, present)
	case err == nil:
		return e.join(ctx, r, present)
	case !errors.Is(err, proget.ErrNotFound):
		return nil, err
	case r.Role == feed.Extra:
		return nil, proget.Errorf(proget.ErrNotFound, "There is no %s %s in feed %s that %s could belong to: publish that first.", r.Name, r.Version, r.ref.Feed.Name, r.FileName)
	}
	if r, err = e.carryOver(r, nil); err != nil {
		return nil, err
	}
	v, err := e.begin(ctx, r)
	if errors.Is(err, db.ErrVersionExists) { // another publisher has just created it
		return nil, fmt.Errorf("begin the version: %w (%v)", db.ErrTryAgain, err)
	}
	return v, err
}

// begin creates a version.
func (e *entering) begin(ctx context.Context, r *record) (*proget.Version, error) {
	v := &proget.Version{Name: r.Name, Version: r.Version, Key: r.ref.VersionKey, Prerelease: r.Prerelease,
		Manifest: orNull(r.data), PublishedBy: e.upload.By.String(), Files: append([]proget.File{r.file}, r.Refers...)}
	e.ch.Versions++
	for _, f := range v.Files {
		e.ch.Bytes += f.Size
	}
	if err := e.hold(ctx, r); err != nil {
		return nil, err
	}
	created, err := e.tx.AddVersion(ctx, r.ref.Feed.ID, r.ref.NameKey, v, r.Aliases, e.known)
	if created {
		e.ch.Packages++
	}
	if err != nil {
		return nil, err
	}
	return v, e.tag(ctx, r, v)
}

// hold locks the versions that the new one needs until the transaction ends. It locks
// in one order, so that transactions cannot deadlock.
func (e *entering) hold(ctx context.Context, r *record) error {
	for _, key := range slices.Compact(slices.Sorted(slices.Values(r.Needs))) {
		there, err := e.tx.HoldVersion(ctx, r.ref.Feed.ID, r.ref.NameKey, key)
		if err != nil {
			return err
		}
		if !there {
			return proget.Errorf(proget.ErrNotFound, "%s, which %s needs, is no longer in %s: push it again first.", key, r.Version, r.Name)
		}
	}
	return nil
}

func (e *entering) tag(ctx context.Context, r *record, v *proget.Version) error {
	for _, tag := range slices.Sorted(slices.Values(r.Tags)) {
		if err := e.tx.SetTag(ctx, v.PackageID, tag, v.ID); err != nil {
			return err
		}
	}
	return nil
}

// replace replaces a version with a new one.
func (e *entering) replace(ctx context.Context, r *record, present db.VersionRow) (*proget.Version, error) {
	old := &proget.Version{ID: present.ID, PackageID: present.PackageID, Key: r.ref.VersionKey, Status: present.Status}
	var err error
	if old.Manifest, _, err = e.tx.ReadManifest(ctx, present.ID); err != nil {
		return nil, err
	}
	if r, err = e.carryOver(r, old); err != nil {
		return nil, err
	}
	if err := remove(ctx, e.tx, present, e.ch); err != nil {
		return nil, err
	}
	e.known.PackageID = 0 // the package may be gone with its only version
	v, err := e.begin(ctx, r)
	if err != nil || !old.Status.Blocked {
		return v, err
	}
	v.Status.Blocked = true // publishers may not unblock a version
	return v, e.tx.SetStatus(ctx, v.ID, v.Status)
}

// errSame ends a transaction that would change nothing, because the version already has
// the file, byte for byte.
var errSame = errors.New("the same file is there")

// join adds a file to a version. The result has only that file, also with errSame.
func (e *entering) join(ctx context.Context, r *record, present db.VersionRow) (*proget.Version, error) {
	e.ch.Kind = proget.VersionEdited
	v := &proget.Version{ID: present.ID, PackageID: present.PackageID, Name: r.Name, Version: r.Version, Key: r.ref.VersionKey, Status: present.Status}
	file := r.file
	if e.upload.Replace == nil {
		if err := e.refuseFile(ctx, r, v); err != nil {
			return v, err
		}
	} else {
		var err error
		if r, err = e.replaceFile(ctx, r, v); err != nil {
			return nil, err
		}
		file.Data = r.file.Data
	}
	if err := e.tx.JoinVersion(ctx, present, &file, r.Aliases, e.known); err != nil {
		return nil, err
	}
	v.Files = []proget.File{file}
	e.ch.Bytes += file.Size
	if r.data != nil {
		if err := e.tx.SetManifest(ctx, present.ID, r.data); err != nil {
			return nil, err
		}
	}
	return v, e.tag(ctx, r, v)
}

// refuseFile returns proget.ErrConflict if the version has another file of that name.
// If that file has the same bytes, refuseFile sets it in v and returns errSame.
func (e *entering) refuseFile(ctx context.Context, r *record, v *proget.Version) error {
	f, err := e.tx.FindFile(ctx, v.ID, r.FileName)
	switch {
	case errors.Is(err, proget.ErrNotFound):
		return nil
	case err != nil:
		return err
	case f.Name != r.FileName || f.Digests[proget.SHA256] != r.file.Digests[proget.SHA256]:
		return proget.ErrConflict
	}
	v.Files = []proget.File{f}
	return errSame
}

// replaceFile removes the file that the upload replaces from a version, if it has one.
func (e *entering) replaceFile(ctx context.Context, r *record, v *proget.Version) (*record, error) {
	f, err := e.tx.FindFile(ctx, v.ID, r.FileName)
	if errors.Is(err, proget.ErrNotFound) {
		return e.carryOver(r, nil)
	}
	if err != nil {
		return nil, err
	}
	old := *v
	if old.Manifest, _, err = e.tx.ReadManifest(ctx, v.ID); err != nil {
		return nil, err
	}
	old.Files = []proget.File{f}
	if r, err = e.carryOver(r, &old); err != nil {
		return nil, err
	}
	e.ch.Bytes -= f.Size
	return r, e.tx.DeleteFile(ctx, v.ID, f.Name)
}

// carryOver lets Upload.Replace copy what is to stay from the old version to the
// manifest. It works on a copy, because the transaction may run again.
func (e *entering) carryOver(r *record, old *proget.Version) (*record, error) {
	if e.upload.Replace == nil {
		return r, nil
	}
	m := *r.Manifest
	if err := e.upload.Replace(old, &m); err != nil {
		return nil, err
	}
	return e.describe(&m)
}
