package web

import (
	"net/http"
	"strconv"

	"github.com/proget-go/ha/proget"
)

const shownDeleted = 100 // deleted versions on one page

// deletedView is the data of deleted.tmpl.
type deletedView struct {
	FeedName, FeedURL string
	URL               string // of this page
	Deleted           []deletedRow
	Older             string // URL of the next page; "" if this is the last
}

type deletedRow struct {
	proget.Deletion
	Label label
}

func deletedURL(f *proget.Feed) string { return feedURL(f) + "/deleted" }

// showDeleted lists the deleted versions of a feed that can be restored.
func (s *site) showDeleted(v *visit) error {
	f, t, err := s.openFeed(v, proget.TaskManage)
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(v.URL.Query().Get("before"), 10, 64) // an invalid value means the first page
	view := deletedView{FeedName: f.Name, FeedURL: feedURL(f), URL: deletedURL(f)}
	all, err := s.Deleted(v.Context(), f.ID, before, shownDeleted+1)
	if err != nil {
		return err
	}
	if len(all) > shownDeleted {
		all = all[:shownDeleted]
		view.Older = view.URL + "?before=" + strconv.FormatInt(all[shownDeleted-1].ID, 10)
	}
	for _, d := range all {
		view.Deleted = append(view.Deleted, deletedRow{d, shorten(t, d.Version)})
	}
	return s.render(v, http.StatusOK, page{name: "deleted", title: "Deleted versions of " + f.Name, section: "feeds", view: view})
}

// restore restores a deleted version.
func (s *site) restore(v *visit) error {
	f, _, err := s.openFeed(v, proget.TaskManage)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(v.PostFormValue("id"), 10, 64)
	if err != nil {
		return proget.Errorf(proget.ErrInvalid, "The form does not say which version to bring back.")
	}
	back, err := s.Restore(v.Context(), f, id, v.id.Principal)
	if err != nil {
		return err
	}
	return v.redirect(packageURL(f, back.Name, back.Version))
}
