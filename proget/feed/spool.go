package feed

import (
	"context"
	"crypto/rand"
	"io"
	"time"

	"github.com/proget-go/ha/proget"
)

// A Spool keeps a body in the feed's storage while a request is served, for handlers
// that must read it more than once or from its end, as archives require. It is an
// upload that is never finished: if the process is killed, the upload is cleaned up
// like any other.
type Spool struct {
	Content
	cancel func()
}

// NewSpool stores a body. It returns proget.ErrInvalid if the body is empty or breaks
// off. The caller must close the spool.
func NewSpool(ctx context.Context, s Services, f *proget.Feed, by proget.Principal, body io.Reader) (*Spool, error) {
	ref := UploadRef{Feed: f, Scope: "spool", ID: rand.Text()}
	var err error
	if ref.Offer, err = s.Uploads.Offer(ref, by); err != nil {
		return nil, err
	}
	spool := &Spool{cancel: func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := s.Uploads.Cancel(ctx, ref); err != nil {
			s.Logger.WarnContext(ctx, "a spooled request body could not be discarded; a job will discard it", "feed", f.Name, "error", err)
		}
	}}
	if err = spool.fill(ctx, s, ref, body); err != nil {
		spool.cancel()
		return nil, err
	}
	return spool, nil
}

func (p *Spool) fill(ctx context.Context, s Services, ref UploadRef, body io.Reader) error {
	size, err := s.Uploads.Append(ctx, ref, 0, body)
	if err != nil {
		return err
	}
	if size == 0 {
		return proget.Errorf(proget.ErrInvalid, "The request has no body: send the file's bytes.")
	}
	file, err := s.Uploads.Held(ctx, ref)
	if err != nil {
		return err
	}
	p.Content, err = s.Files.Open(ctx, file)
	return err
}

// Close discards the stored body; garbage collection frees it.
func (p *Spool) Close() error {
	defer p.cancel()
	return p.Content.Close()
}
