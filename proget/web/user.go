package web

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
)

// userView is the data of user.tmpl.
type userView struct {
	refusal
	subjectRow
	Tasks, Feeds []option
}

func (s *site) showUser(v *visit) error {
	row, err := s.subject(v)
	if err != nil {
		return err
	}
	return s.user(v, row, refusal{status: http.StatusOK})
}

func (s *site) user(v *visit, row subjectRow, r refusal) error {
	view := userView{refusal: r, subjectRow: row, Tasks: taskOptions(v.PostFormValue("task"))}
	if !row.User {
		view.Tasks = view.Tasks[:len(view.Tasks)-1] // only accounts can administer
	}
	var err error
	if view.Feeds, err = s.feedOptions(v, v.PostFormValue("feed")); err != nil {
		return err
	}
	return s.render(v, r.status, page{name: "user", title: row.Name, section: "administration", view: view})
}

// changeUser changes the subject that the query names, and redirects to a page.
func (s *site) changeUser(v *visit, change func(subjectRow) error, next func(subjectRow) string) error {
	row, err := s.subject(v)
	if err != nil {
		return err
	}
	err = change(row)
	if r, ok := refused(err); ok {
		return s.user(v, row, r)
	}
	if err != nil {
		return err
	}
	return v.redirect(next(row))
}

func (s *site) grant(v *visit) error {
	return s.changeUser(v, func(row subjectRow) error {
		g := admin.Grant{Subject: row.Subject, Feed: v.PostFormValue("feed"), Task: proget.Task(v.PostFormValue("task"))}
		return s.Admin.Grant(v.Context(), g, v.id.Principal)
	}, toUser)
}

func (s *site) revoke(v *visit) error {
	return s.changeUser(v, func(row subjectRow) error {
		feed := v.PostFormValue("feed")
		if !v.PostForm.Has("feed") {
			return proget.Errorf(proget.ErrInvalid, "The form does not say in which feed.")
		}
		return s.Admin.Revoke(v.Context(), row.Subject, feed, v.id.Principal)
	}, toUser)
}

func toUser(row subjectRow) string { return row.URL }

func (s *site) setUserPassword(v *visit) error {
	return s.changeAccount(v, func(name string) error {
		return s.Admin.SetPassword(v.Context(), name, v.PostFormValue("password"), v.id.Principal)
	})
}

func (s *site) deleteUser(v *visit) error {
	return s.changeAccount(v, func(name string) error { return s.Admin.DeleteUser(v.Context(), name, v.id.Principal) })
}

// changeAccount is changeUser for changes that require an account.
func (s *site) changeAccount(v *visit, change func(name string) error) error {
	return s.changeUser(v, func(row subjectRow) error {
		if !row.User {
			return proget.Errorf(proget.ErrInvalid, "%s is not a user account.", row.Name)
		}
		return change(row.Name)
	}, func(subjectRow) string { return "/administration/users" })
}
