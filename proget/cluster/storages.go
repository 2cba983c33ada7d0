package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// maxStorageName bounds the name of a storage, in bytes.
const maxStorageName = 100

// Storages returns the storages of the installation, beginning with the one that
// servers are started with.
func (r *Registry) Storages(ctx context.Context) ([]proget.Storage, error) {
	return r.db.ListStorages(ctx)
}

// AddStorage adds a storage for feeds. It first opens it, writes to it and marks it as
// this installation's, so that every server can tell whether it sees the same one. It
// returns proget.ErrInvalid, with the reason, if the storage cannot be used, and
// proget.ErrConflict if the name is taken. After proget.ErrUnavailable, the storage may
// have been added nevertheless.
func (r *Registry) AddStorage(ctx context.Context, name, url string, by proget.Principal) (*proget.Storage, error) {
	st := &proget.Storage{Name: strings.TrimSpace(name), URL: strings.TrimSpace(url)}
	if st.Name == "" || len(st.Name) > maxStorageName {
		return nil, proget.Errorf(proget.ErrInvalid, "Give the storage a name of 1 to %d bytes.", maxStorageName)
	}
	if strings.HasPrefix(st.URL, "mem:") {
		return nil, proget.Errorf(proget.ErrInvalid, "What is kept in memory is not shared by the servers. Use another storage.")
	}
	if err := r.checkApart(ctx, st); err != nil {
		return nil, err
	}
	blobs, err := r.blobs.OpenAnother(ctx, st.URL)
	if err != nil {
		return nil, unopened(err)
	}
	defer blobs.Close()
	probe, err := r.claim(ctx, blobs)
	if errors.Is(err, proget.ErrUnavailable) { // advice to wait and try again would be wrong for a read-only folder
		return nil, proget.WrapError(proget.ErrInvalid, err, "The storage cannot be used. %s", proget.Message(err))
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(probe)
	if err != nil {
		return nil, err
	}
	st.Probe = string(text)
	created := false // by an attempt that reached its commit
	err = r.db.Administer(ctx, by.String(), func(tx *db.Tx) error {
		err := tx.CreateStorage(ctx, st)
		created = created || err == nil
		return err
	})
	switch {
	case err == nil:
		return st, nil
	case created && errors.Is(err, proget.ErrUnavailable): // if it was added, no server would recognise it without its mark
		return nil, proget.WrapError(proget.ErrUnavailable, err, "The database did not say whether the storage was added. If it is not listed, delete %s from it before you try again.", probe.Key)
	case errors.Is(err, proget.ErrConflict):
		err = proget.WrapError(proget.ErrConflict, err, "There is a storage named %s already.", st.Name)
	}
	return nil, errors.Join(err, blobs.Delete(ctx, probe.Key))
}

// unopened returns proget.ErrInvalid for a storage that could not be opened, with the
// reason as a sentence.
func unopened(err error) error {
	why := strings.TrimSuffix(proget.Message(err), ".")
	if errors.Is(err, proget.ErrInvalid) {
		return proget.WrapError(proget.ErrInvalid, err, "The URL of the storage cannot be used: %s.", why)
	}
	why = cmp.Or(why, "check that its folder, bucket or container exists and that this server may use it")
	return proget.WrapError(proget.ErrInvalid, err, "This server cannot open the storage: %s.", why)
}

// RemoveStorage removes a storage that no feed uses and that contains no feed's files.
// Its files stay where they are; deleted versions whose files they are can no longer be
// restored. The storage need not be reachable.
func (r *Registry) RemoveStorage(ctx context.Context, name string, by proget.Principal) error {
	all, err := r.db.ListStorages(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(st proget.Storage) bool { return strings.EqualFold(st.Name, name) })
	switch {
	case i < 0:
		return proget.Errorf(proget.ErrNotFound, "There is no storage named %.60q.", name)
	case i == 0:
		return proget.Errorf(proget.ErrConflict, "The servers are started with this storage: it cannot be removed.")
	}
	err = r.db.ForgetBlobs(ctx, all[i].ID)
	if err == nil {
		err = r.db.Administer(ctx, by.String(), func(tx *db.Tx) error { return tx.DeleteStorage(ctx, all[i].ID) })
	}
	if err != nil {
		return err
	}
	r.opts.Logger.InfoContext(ctx, "a storage was removed", "name", all[i].Name, "by", by)
	if err := r.release(ctx, all[i]); err != nil {
		r.opts.Logger.WarnContext(ctx, "the mark of this installation could not be deleted from a removed storage: delete this object by hand before you add the storage again", "name", all[i].Name, "error", err)
	}
	return nil
}

// release removes the mark from a removed storage, so that the storage can be added
// again.
func (r *Registry) release(ctx context.Context, st proget.Storage) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	probe, err := storageProbe(st)
	if err != nil {
		return err
	}
	blobs, err := r.blobs.OpenKnown(ctx, st.URL)
	if err == nil {
		defer blobs.Close()
		err = blobs.Delete(ctx, probe.Key)
	}
	if err != nil {
		return fmt.Errorf("object %s: %w", probe.Key, err)
	}
	return nil
}

// checkApart refuses a storage that overlaps another, inside or around it: to the outer
// one, the inner one's files would be objects without rows, which are swept. It must be
// called before the storage is opened, because that may create a folder.
func (r *Registry) checkApart(ctx context.Context, st *proget.Storage) error {
	all, err := r.db.ListStorages(ctx)
	if err != nil {
		return err
	}
	place := storage.PlaceOf(st.URL)
	for i, other := range all {
		if place.Overlaps(r.placeOf(i, other)) {
			return proget.Errorf(proget.ErrInvalid, "This is the place of the storage %s, or one is inside the other: the files of one would be removed as leftovers of the other. Choose another folder or prefix.", other.Name)
		}
	}
	return nil
}

// placeOf returns the location of storage i of the list. The first is the one that this
// server was started with.
func (r *Registry) placeOf(i int, st proget.Storage) storage.Place {
	if i == 0 {
		return r.blobs.Place()
	}
	return storage.PlaceOf(st.URL)
}

// claim marks a storage as this installation's, unless an installation already uses it.
func (r *Registry) claim(ctx context.Context, blobs *storage.Store) (storage.Probe, error) {
	for o, err := range blobs.List(ctx, storage.OwnerPrefix) {
		if err != nil {
			return storage.Probe{}, err
		}
		return storage.Probe{}, proget.Errorf(proget.ErrInvalid, "This storage is already in use by this installation or another: it contains %s. Choose another folder or prefix.", o.Key)
	}
	return blobs.NewProbe(ctx, "cluster")
}

// storageProbe returns the probe that identifies an added storage.
func storageProbe(st proget.Storage) (p storage.Probe, err error) {
	if err := json.Unmarshal([]byte(st.Probe), &p); err != nil {
		return p, fmt.Errorf("read the probe of storage %s: %w", st.Name, err)
	}
	return p, nil
}

// Probes returns the keys of the objects by which the cluster and its servers identify
// storage.
func (r *Registry) Probes(ctx context.Context) (map[string]bool, error) {
	used := make(map[string]bool)
	shared, _, err := r.sharedProbe(ctx)
	if err != nil {
		return nil, err
	}
	used[shared.Key] = true
	storages, err := r.db.ListStorages(ctx)
	if err != nil {
		return nil, err
	}
	for _, st := range storages[1:] { // the first is the storage that servers are started with
		probe, err := storageProbe(st)
		if err != nil {
			return nil, err
		}
		used[probe.Key] = true
	}
	members, err := r.members(ctx)
	for _, m := range members {
		used[m.Probe.Key] = true
	}
	return used, err
}
