package web

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
)

// changeStatus lists, unlists, deprecates or blocks a version, or undoes that.
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

// statusEdit returns a function that changes the one status field in the form.
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
			reason = cmp.Or(strings.TrimSpace(v.PostFormValue("reason")), proget.NoReason)
		}
		edit = func(st *proget.Status) { st.Deprecated = reason }
	default:
		on, err = formFlag(v, "listed")
		edit = func(st *proget.Status) { st.Listed = on }
	}
	return edit, err
}

// formFlag reads a form's field that must be true or false. A missing field is an
// error, so that an incomplete form changes nothing.
func formFlag(v *visit, name string) (bool, error) {
	switch v.PostFormValue(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, proget.Errorf(proget.ErrInvalid, "The form's field %s must be true or false.", name)
}

// was is the prefix of the hidden fields that hold a form's original values.
const was = "was-"

// edited reports whether a field of a form differs from its original value. A field
// that the visitor has not edited must not be written: another may have changed it
// meanwhile.
func edited(v *visit, name string) bool {
	return !v.PostForm.Has(was+name) || v.PostForm.Get(name) != v.PostForm.Get(was+name)
}

// deleteView asks the visitor to confirm that a version is to be deleted.
type deleteView struct {
	FeedName, FeedURL string
	Version           *proget.Version
	Label             label
	Last              bool   // it is the last version, and the package is deleted with it
	Listed            bool   // it can be unlisted instead
	DeleteURL         string // where the form is sent
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
	ref := c.ref()
	ref.AllowBlocked = true
	if err := s.Publisher.Delete(v.Context(), ref, v.id.Principal); err != nil {
		return err
	}
	if len(c.pkg.Versions) == 1 {
		return v.redirect(feedURL(c.feed))
	}
	return v.redirect(packageURL(c.feed, c.version.Name, ""))
}
