package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

// The states of storage that a server distinguishes, each a sentence for health reports
// and for the cluster's page.
const (
	storageForeign   = "The storage of this server is not the cluster's, or is not mounted: point every server at the same storage (in the reference server with -storage)."
	storageOther     = "Storage %s of this server is not the cluster's, or is not mounted: its URL must lead to the same place on every server."
	storageNested    = "The storage of this server and storage %s are the same, or one is inside the other: the files of one would be removed as leftovers of the other. Point all servers at a different storage that is apart from it (in the reference server with -storage)."
	storageFull      = "Storage is full: packages can be downloaded but not published, until room is made."
	storageReadOnly  = "Storage is read-only for this server: packages can be downloaded but not published. Check how it is mounted, and the permissions of this server's account."
	storageGone      = "Storage cannot be reached: packages can be neither downloaded nor published until it is back."
	storageUnchecked = "It is not yet known whether this server's storage is the cluster's: until then, this server does not take part in the cluster."
	storageSlow      = "Storage is slow: a check of it takes longer than %s. Check the network and the file server."
	storageUnread    = "This server cannot read what server %s wrote to storage: check that both use the same storage, and that the mount does not cache old contents."
	storageUnsound   = "Storage does not keep what this server writes: see the server's log for the error."
)

// finding is the result of a check of storage.
type finding struct {
	trouble string        // "" or one of the sentences above
	foreign bool          // storage is not known to be the cluster's
	known   bool          // this process has once verified that it is the cluster's
	probe   storage.Probe // what this server has left there for the others to find
}

// checkStorage checks storage. It identifies the cluster's storage by reading, so that
// this also works if storage cannot be written.
func (r *Registry) checkStorage(ctx context.Context, members []node) finding {
	before := r.look.last()
	f := before
	err := r.examine(ctx, &f, members)
	if errors.Is(ctx.Err(), context.Canceled) { // this server is leaving, and removes its probe
		before.probe = f.probe
		return before
	}
	if f.trouble != before.trouble && err != nil {
		r.opts.Logger.ErrorContext(ctx, "storage failed its check", "error", err)
	}
	return f
}

// examine updates f and returns the error behind its trouble. Storage that was once
// verified to be the cluster's counts as such until another one is seen.
func (r *Registry) examine(ctx context.Context, f *finding, members []node) error {
	err := r.checkShared(ctx)
	switch {
	case errors.Is(err, errDatabase) && (f.known || f.foreign):
		return err // the error says nothing about storage
	case errors.Is(err, errDatabase):
		f.trouble, f.foreign = storageUnchecked, true
		return err
	case errors.Is(err, storage.ErrNotShared):
		f.trouble, f.foreign, f.known = storageForeign, true, false
		return err
	case err != nil && !f.known:
		f.trouble, f.foreign = describe(err)+" "+storageUnchecked, true
		return err
	case err != nil:
		f.trouble = describe(err)
		return err
	}
	f.known, f.foreign = true, false
	if err := r.leaveProbe(ctx, f, members); err != nil {
		f.trouble = describe(err)
		return err
	}
	f.trouble, err = r.readOthers(ctx, members)
	f.foreign = errors.Is(err, storage.ErrNotShared) // it is at best a copy of the cluster's storage
	if f.trouble == "" {
		f.trouble, err = r.examineAdded(ctx)
		f.foreign = errors.Is(err, storage.ErrNotShared)
	}
	return err
}

// examineAdded checks the storages that were added besides the first. If this server
// stored files in a different place than the others read, they would be lost to them.
func (r *Registry) examineAdded(ctx context.Context) (trouble string, err error) {
	if r.opts.Stores == nil {
		return "", nil
	}
	all, err := r.db.ListStorages(ctx)
	if err != nil {
		return "", nil // the error says nothing about storage
	}
	for _, st := range all[1:] {
		if r.blobs.Place().Overlaps(storage.PlaceOf(st.URL)) {
			return fmt.Sprintf(storageNested, st.Name), storage.ErrNotShared
		}
		err := r.examineOne(ctx, st)
		if errors.Is(err, storage.ErrNotShared) {
			return fmt.Sprintf(storageOther, st.Name), err
		}
		if err != nil {
			return st.Name + ": " + describe(err), err
		}
	}
	return "", nil
}

func (r *Registry) examineOne(ctx context.Context, st proget.Storage) error {
	probe, err := storageProbe(st)
	if err != nil {
		return err
	}
	blobs, err := r.opts.Stores.Store(ctx, st.ID)
	if err != nil {
		return err
	}
	if err := blobs.CheckProbe(ctx, probe); err != nil {
		return err
	}
	return blobs.CheckWritable(ctx, r.opts.Name)
}

// leaveProbe checks that storage can be written and contains this server's probe for
// the others. If the probe is missing, it writes a new one; otherwise all others would
// believe that they have a different storage.
func (r *Registry) leaveProbe(ctx context.Context, f *finding, members []node) error {
	if err := r.blobs.CheckWritable(ctx, r.opts.Name); err != nil {
		return err
	}
	if f.probe.Key != "" {
		if err := r.blobs.CheckProbe(ctx, f.probe); !errors.Is(err, storage.ErrNotShared) {
			return err
		}
	}
	var err error
	f.probe, err = r.probe(ctx, members)
	return err
}

// announce writes a heartbeat. A server that is no longer listed was suspended and
// removed meanwhile. Whoever removed it deletes its probe now or soon, so it announces
// no probe until a check has written a new one.
func (r *Registry) announce(ctx context.Context, self Self, started time.Time) error {
	details, err := json.Marshal(self)
	if err != nil {
		return err
	}
	n := db.Node{Name: r.opts.Name, Instance: r.instance, Started: started, Details: string(details)}
	listed, err := r.db.RenewNode(ctx, n)
	if err == nil && !listed && r.listed.Swap(false) {
		r.look.forget(self.Probe)
		self.Probe = storage.Probe{}
		return r.announce(ctx, self, started)
	}
	if err == nil && !listed {
		err = r.db.BeatNode(ctx, n)
	}
	if err == nil {
		r.listed.Store(true)
	}
	return err
}

// describe returns the sentence for an error of storage.
func describe(err error) string {
	switch {
	case errors.Is(err, proget.ErrNoSpace):
		return storageFull
	case errors.Is(err, storage.ErrReadOnly):
		return storageReadOnly
	case errors.Is(err, proget.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return storageGone
	}
	return storageUnsound
}

// readOthers checks that the probes of the other servers are in storage.
func (r *Registry) readOthers(ctx context.Context, members []node) (trouble string, err error) {
	for _, m := range members {
		if m.Name == r.opts.Name || !m.shows() {
			continue
		}
		err := r.blobs.CheckProbe(ctx, m.Probe)
		if errors.Is(err, storage.ErrNotShared) && r.outdated(ctx, m) {
			continue
		}
		if errors.Is(err, storage.ErrNotShared) {
			return fmt.Sprintf(storageUnread, m.Name), err
		}
		if err != nil {
			return describe(err), err
		}
	}
	return "", nil
}

// shows reports whether a server says that its probe is in storage for others to find.
func (m *node) shows() bool { return m.Alive() && m.Probe.Key != "" && m.Storage == "" }

// outdated reports whether a server has left, was removed or has changed its probe
// since m was read, so that the old probe is gone. It asks the database.
func (r *Registry) outdated(ctx context.Context, m node) bool {
	members, err := r.members(ctx)
	return err == nil && !slices.ContainsFunc(members, func(now node) bool {
		return now.Name == m.Name && now.Probe == m.Probe && now.shows()
	})
}

// probe returns this server's probe in storage: the one from before a restart, or a new
// one.
func (r *Registry) probe(ctx context.Context, members []node) (storage.Probe, error) {
	for _, m := range members {
		if m.Name == r.opts.Name && m.Probe.Key != "" && r.blobs.CheckProbe(ctx, m.Probe) == nil {
			return m.Probe, nil
		}
	}
	return r.blobs.NewProbe(ctx, r.opts.Name)
}

// errDatabase marks errors that storage did not cause.
var errDatabase = errors.New("the database failed during a look at storage")

// checkShared checks that storage contains the probe that identifies the cluster's
// storage. The first server writes it.
func (r *Registry) checkShared(ctx context.Context) error {
	probe, found, err := r.sharedProbe(ctx)
	if err != nil {
		return err
	}
	if !found {
		if probe, err = r.shareProbe(ctx); err != nil {
			return err
		}
	}
	return r.blobs.CheckProbe(ctx, probe)
}

func (r *Registry) sharedProbe(ctx context.Context) (probe storage.Probe, found bool, err error) {
	settings, err := r.db.Settings(ctx)
	if err != nil {
		return probe, false, fmt.Errorf("%w: %w", errDatabase, err)
	}
	text, found := settings[SettingStorage]
	if !found {
		return probe, false, nil
	}
	if err := json.Unmarshal([]byte(text), &probe); err != nil {
		return probe, true, fmt.Errorf("%w: read the setting %s: %w", errDatabase, SettingStorage, err)
	}
	return probe, true, nil
}

// shareProbe makes this server's storage the cluster's, unless another server was
// first, and returns the probe that identifies it. It reads the setting again
// afterwards: a conflict may come from its own earlier attempt whose answer was lost.
func (r *Registry) shareProbe(ctx context.Context) (storage.Probe, error) {
	former, err := r.formerOwner(ctx)
	if err != nil {
		return storage.Probe{}, err
	}
	probe, err := r.blobs.NewProbe(ctx, "cluster")
	if err != nil {
		return probe, err
	}
	text, err := json.Marshal(probe)
	if err != nil {
		return probe, err
	}
	err = r.db.Tx(ctx, func(tx *db.Tx) error {
		if _, found, err := tx.Setting(ctx, SettingStorage); found || err != nil {
			return err
		}
		return tx.AddSetting(ctx, SettingStorage, string(text))
	})
	if err != nil && !errors.Is(err, proget.ErrConflict) {
		return probe, fmt.Errorf("%w: %w", errDatabase, err)
	}
	shared, found, err := r.sharedProbe(ctx)
	if err == nil && found && shared != probe { // another server was first
		return shared, r.blobs.Delete(ctx, probe.Key)
	}
	if former != "" {
		r.opts.Logger.WarnContext(ctx, "the database is new, but this storage was used with another database: files that only the other database knows are kept, but cannot be downloaded. "+
			"If the database was lost, restore it; if this is the wrong database, stop this server and give it the right one; two installations must not share a storage", "mark", former)
	}
	return shared, err
}

// formerOwner returns the mark of an installation that used this storage before, or "".
// A mark less than a minute old belongs to a server that is starting at the same time.
func (r *Registry) formerOwner(ctx context.Context) (string, error) {
	for o, err := range r.blobs.List(ctx, storage.OwnerPrefix) {
		if err != nil {
			return "", err
		}
		if time.Since(o.ModTime) > time.Minute {
			return o.Key, nil
		}
	}
	return "", nil
}
