package upkeep

import (
	"cmp"
	"context"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
)

// KindUploads is the kind of job that ends abandoned uploads.
const KindUploads = "upload-cleanup"

// An UploadCleaner ends uploads in several requests that their clients have abandoned.
// A [Collector] frees their parts.
type UploadCleaner struct {
	db    *db.Store
	grace time.Duration
}

// NewUploadCleaner returns an UploadCleaner for uploads that have not grown for grace;
// 0 means 24 h.
func NewUploadCleaner(store *db.Store, grace time.Duration) *UploadCleaner {
	return &UploadCleaner{store, cmp.Or(grace, 24*time.Hour)}
}

// Kind implements [indexing.Worker].
func (*UploadCleaner) Kind() string { return KindUploads }

// Work implements [indexing.Worker].
func (u *UploadCleaner) Work(ctx context.Context, _ *proget.Job, p *indexing.Progress) error {
	for ended := int64(0); ; {
		n, err := u.db.PurgePartials(ctx, u.grace)
		if err != nil {
			return err
		}
		ended += n
		p.Set(ended, 0, quantity.Of(ended, "abandoned upload")+" discarded")
		if n == 0 {
			return nil
		}
	}
}
