package web

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
)

// noReason is what a deprecation says for which none was given.
const noReason = "This version is deprecated."

// changeStatus lists, deprecates or blocks a version, or undoes it.
func (s *site) changeStatus(v *visit) error {
	c, err := s.choose(v, proget.TaskManage)
	if err != nil {
		return err
	}
	edit, err := statusEdit(v)
	if err != nil {
		return err
	}
	if err := s.Publisher.SetStatus(v.Context(), c.ref(), v.id.Principal, edit); err != nil {
		return err
	}
	return v.redirect(c.url("package"))
}

// statusEdit reads the one field that a form changes.
func statusEdit(v *visit) (edit func(*proget.Status), err error) {
	var on bool
	switch {
	case v.PostFormValue("blocked") != "":
		on, err = formFlag(v, "blocked")
		edit = func(st *proget.Status) { st.Blocked = on }
	case v.PostFormValue("deprecated") != "":
		on, err = formFlag(v, "deprecated")
		reason := ""
		if on {
			reason = cmp.Or(strings.TrimSpace(v.PostFormValue("reason")), noReason)
		}
		edit = func(st *proget.Status) { st.Deprecated = reason }
	default:
		on, err = formFlag(v, "listed")
		edit = func(st *proget.Status) { st.Listed = on }
	}
	return edit, err
}

// formFlag reads a form's field that is true or false. That it is missing is an
// error: nothing is to be switched by a form that says nothing.
func formFlag(v *visit, name string) (bool, error) {
	switch v.PostFormValue(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, proget.Errorf(proget.ErrInvalid, "The form's field %s must be true or false.", name)
}

// was is what the names of hidden fields begin with that say how a form was shown.
const was = "was-"

// edited reports whether a field of a form has another value than it was shown with. What
// its sender has not touched is not changed: another may have changed it meanwhile.
func edited(v *visit, name string) bool {
	return !v.PostForm.Has(was+name) || v.PostForm.Get(name) != v.PostForm.Get(was+name)
}

// deleteView asks whether a version is really to be deleted.
type deleteView struct {
	FeedName, FeedURL string
	Version           *proget.Version
	Label             label
	Last              bool   // the package goes with it
	Listed            bool   // so that it can be unlisted instead
	DeleteURL         string // to which the form is sent
	StatusURL, Keep   string
}

func (s *site) confirmDelete(v *visit) error {
	c, err := s.choose(v, proget.TaskManage)
	if err != nil {
		return err
	}
	view := deleteView{FeedName: c.feed.Name, FeedURL: feedURL(c.feed), Version: c.version, Label: c.label(), Last: len(c.pkg.Versions) == 1 && !c.typ.Naming.Unversioned,
		Listed: c.version.Status.Listed, DeleteURL: c.url("delete"), StatusURL: c.url("status"), Keep: c.url("package")}
	return s.render(v, http.StatusOK, page{name: "delete", title: "Delete " + c.version.Name, section: "feeds", view: view})
}

func (s *site) deleteVersion(v *visit) error {
	if v.URL.Query().Get("version") == "" {
		return proget.Errorf(proget.ErrInvalid, "The address does not say which version to delete.")
	}
	c, err := s.choose(v, proget.TaskManage)
	if err != nil {
		return err
	}
	if err := s.Publisher.Delete(v.Context(), c.ref(), v.id.Principal); err != nil {
		return err
	}
	if len(c.pkg.Versions) == 1 {
		return v.redirect(feedURL(c.feed))
	}
	return v.redirect(packageURL(c.feed, c.version.Name, ""))
}
