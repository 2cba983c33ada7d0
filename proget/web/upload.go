package web

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// uploadView is the data of upload.tmpl.
type uploadView struct {
	refusal
	FeedName, FeedURL, Type string
	URL                     string // of this page
	Form                    feed.Form
	Path                    string // the entered path
}

func uploadURL(f *proget.Feed) string { return feedURL(f) + "/upload" }

// showUpload shows the form for uploading a package.
func (s *site) showUpload(v *visit) error {
	_, view, err := s.openUpload(v)
	if err != nil {
		return err
	}
	return s.renderUpload(v, view)
}

func (s *site) openUpload(v *visit) (*proget.Feed, *uploadView, error) {
	f, t, err := s.openFeed(v, proget.TaskPublish)
	if err != nil {
		return nil, nil, err
	}
	if t.Form == nil {
		return nil, nil, proget.Errorf(proget.ErrNotFound, "Packages cannot be uploaded to %s feeds here: use a client of this feed type.", t.Title)
	}
	return f, &uploadView{FeedName: f.Name, FeedURL: feedURL(f), Type: t.Title, URL: uploadURL(f), Form: *t.Form, refusal: refusal{status: http.StatusOK}}, nil
}

func (s *site) renderUpload(v *visit, view *uploadView) error {
	return s.render(v, view.status, page{name: "upload", title: "Upload to " + view.FeedName, section: "feeds", view: view})
}

// upload publishes the form's file while it arrives. It shows errors beside the form.
func (s *site) upload(v *visit) error {
	f, view, err := s.openUpload(v)
	if err != nil {
		return err
	}
	v.client.Body = v.whole
	body, err := feed.OpenBody(v.client)
	if err == nil {
		view.Path = body.Fields[feed.PathField]
		var published *proget.Version
		if published, err = s.publish(v, f, body); err == nil {
			return v.redirect(packageURL(f, published.Name, published.Version))
		}
	}
	if r, ok := refused(err); ok {
		view.refusal = r
		return s.renderUpload(v, view)
	}
	return err
}

func (s *site) publish(v *visit, f *proget.Feed, body *feed.Body) (*proget.Version, error) {
	ctx, name := v.client.Context(), body.Path()
	if s.Vet != nil {
		if err := s.Vet(ctx, f, name); err != nil {
			return nil, err
		}
	}
	return s.Publisher.Publish(ctx, feed.Upload{Feed: f, Body: body, Size: body.Size, Name: name, By: v.id.Principal})
}
