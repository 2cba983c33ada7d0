package web

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// changeStatus lists or unlists a version.
func (s *site) changeStatus(v *visit) error {
	f, _, p, version, err := s.openVersion(v, proget.TaskManage)
	if err != nil {
		return err
	}
	listed := v.PostFormValue("listed")
	if listed != "true" && listed != "false" {
		return proget.Errorf(proget.ErrInvalid, "The form does not say whether to list the version.")
	}
	ref := feed.Ref{Feed: f, NameKey: p.Key, VersionKey: version.Key}
	err = s.Publisher.SetStatus(v.client.Context(), ref, v.id.Principal, func(st *proget.Status) { st.Listed = listed == "true" })
	if err != nil {
		return err
	}
	return v.redirect(packageURL(f, version.Name, version.Version))
}

// deleteView asks whether a version is really to be deleted.
type deleteView struct {
	Feed          *proget.Feed
	Version       *proget.Version
	Action, Abort string // URLs
}

func (s *site) confirmDelete(v *visit) error {
	f, _, _, version, err := s.openVersion(v, proget.TaskManage)
	if err != nil {
		return err
	}
	view := deleteView{f, version, v.URL.RequestURI(), packageURL(f, version.Name, version.Version)}
	return s.render(v, http.StatusOK, page{name: "delete", title: "Delete " + version.Name, section: "feeds", view: view})
}

func (s *site) deleteVersion(v *visit) error {
	f, _, p, version, err := s.openVersion(v, proget.TaskManage)
	if err != nil {
		return err
	}
	ref := feed.Ref{Feed: f, NameKey: p.Key, VersionKey: version.Key}
	if err := s.Publisher.Delete(v.client.Context(), ref, v.id.Principal); err != nil {
		return err
	}
	return v.redirect("/feeds/" + f.Name)
}
