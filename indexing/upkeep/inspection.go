package upkeep

import "github.com/proget-go/ha/db"

// inspection is the progress of a job.
type inspection struct {
	Job     int64 `json:"job"`
	After   int64 `json:"after"` // id of the blob that was read last
	Done    int64 `json:"done"`
	Bytes   int64 `json:"bytes"`
	Damaged int64 `json:"damaged"`
	Mended  int64 `json:"mended"`

	// Behind contains the storages that were unavailable, with the last blob read
	// before that: the next attempt continues there, and does not reread the others.
	Behind map[int64]int64 `json:"behind,omitempty"`

	unread map[int64]*unread // storages that are unavailable in this attempt
}

// unread describes what could not be read of a storage.
type unread struct {
	files int64
	err   error
}

// begin returns the id of the blob after which an attempt begins.
func (at *inspection) begin() int64 {
	after := at.After
	for _, behind := range at.Behind {
		after = min(after, behind)
	}
	return after
}

// due reports whether a blob must still be read.
func (at *inspection) due(b db.BlobRow) bool {
	if after, behind := at.Behind[b.StorageID]; behind {
		return b.ID > after
	}
	return b.ID > at.After
}

// read records that a blob was read.
func (at *inspection) read(b db.BlobRow) {
	at.Done, at.Bytes = at.Done+1, at.Bytes+b.Size
	if _, behind := at.Behind[b.StorageID]; behind {
		at.Behind[b.StorageID] = b.ID
	} else {
		at.After = b.ID
	}
}

// skip leaves a blob, and those of its storage that come after it, to the next attempt.
func (at *inspection) skip(b db.BlobRow, err error) {
	if at.Behind == nil {
		at.Behind = make(map[int64]int64)
	}
	if _, behind := at.Behind[b.StorageID]; !behind {
		at.Behind[b.StorageID] = at.After
	}
	if at.unread[b.StorageID] == nil {
		at.unread[b.StorageID] = &unread{err: err}
	}
	at.unread[b.StorageID].files++
}
