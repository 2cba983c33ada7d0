package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

// usersView is the data of users.tmpl.
type usersView struct {
	refusal
	Subjects []subjectRow
	Name     string
}

// subjectRow is a user, or everybody, with permissions.
type subjectRow struct {
	Subject, Name string
	URL           string
	User          bool // has an account
	Self          bool // is the visitor
	Grants        []grantRow
}

// grantRow is one permission of a subject.
type grantRow struct {
	Task string
	Feed string // "" means all
}

func userURL(subject string) string {
	return "/administration/user?" + url.Values{"subject": {subject}}.Encode()
}

// subjects returns everybody and then all users by name, with their permissions.
func (s *site) subjects(v *visit) ([]subjectRow, error) {
	users, err := s.Admin.Users(v.Context())
	if err != nil {
		return nil, err
	}
	rows := []subjectRow{
		{Subject: auth.SubjectAnonymous, Name: "Everybody"},
		{Subject: auth.SubjectAuthenticated, Name: "Everybody with a password or an API key"},
	}
	for _, name := range users {
		subject := auth.SubjectUser(name)
		rows = append(rows, subjectRow{Subject: subject, Name: name, User: true, Self: subject == auth.SubjectUser(v.id.User)})
	}
	grants, err := s.grants(v)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].URL, rows[i].Grants = userURL(rows[i].Subject), grants[rows[i].Subject]
	}
	return rows, nil
}

// grants returns all permissions, by subject.
func (s *site) grants(v *visit) (map[string][]grantRow, error) {
	permissions, err := s.Admin.Permissions(v.Context())
	if err != nil {
		return nil, err
	}
	feeds, err := s.feedNames(v)
	if err != nil {
		return nil, err
	}
	grants := make(map[string][]grantRow)
	for _, p := range permissions {
		if feed, ok := feeds[p.FeedID]; ok { // the feed may have been deleted meanwhile
			grants[p.Subject] = append(grants[p.Subject], grantRow{taskTitle(p.Task), feed})
		}
	}
	return grants, nil
}

func (s *site) showUsers(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	return s.users(v, refusal{status: http.StatusOK}, "")
}

func (s *site) users(v *visit, r refusal, name string) error {
	rows, err := s.subjects(v)
	if err != nil {
		return err
	}
	return s.render(v, r.status, page{name: "users", title: "Users and permissions", section: "administration", view: usersView{r, rows, name}})
}

func (s *site) createUser(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	name := strings.TrimSpace(v.PostFormValue("name"))
	err := s.Admin.CreateUser(v.Context(), name, v.PostFormValue("password"), v.id.Principal)
	if r, ok := refused(err); ok {
		return s.users(v, r, name)
	}
	if err != nil {
		return err
	}
	return v.redirect(userURL(auth.SubjectUser(name)))
}

// subject returns the subject that the query names.
func (s *site) subject(v *visit) (subjectRow, error) {
	if err := s.administer(v); err != nil {
		return subjectRow{}, err
	}
	rows, err := s.subjects(v)
	if err != nil {
		return subjectRow{}, err
	}
	for _, row := range rows {
		if row.Subject == v.URL.Query().Get("subject") {
			return row, nil
		}
	}
	return subjectRow{}, proget.Errorf(proget.ErrNotFound, "There is no such user.")
}
