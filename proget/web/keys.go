package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
)

// keysView is the data of keys.tmpl.
type keysView struct {
	refusal
	Keys    []keyRow
	Created string // the text of a key just created, which is shown only this once
	Next    string // the text of the key that the form will create
	Name    string
	Tasks   []option
	Feeds   []option
	Expires string
}

// keyRow is an API key in the table.
type keyRow struct {
	ID               int64
	Name, Task       string
	Feed             string // "" means all
	Created, Expires time.Time
	Never, Expired   bool
}

func (s *site) showKeys(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	return s.keys(v, keysView{refusal: refusal{status: http.StatusOK}}, "", "")
}

// keys shows the page with the form as the visitor filled it in.
func (s *site) keys(v *visit, view keysView, task, feed string) error {
	keys, err := s.Admin.Keys(v.Context())
	if err != nil {
		return err
	}
	names, err := s.feedNames(v)
	if err != nil {
		return err
	}
	if view.Feeds, err = s.feedOptions(v, feed); err != nil {
		return err
	}
	view.Tasks, view.Next = taskOptions(task), admin.NewKey()
	for _, k := range keys {
		view.Keys = append(view.Keys, newKeyRow(k, names[k.FeedID]))
	}
	return s.render(v, view.status, page{name: "keys", title: "API keys", section: "administration", view: view})
}

func newKeyRow(k db.Key, feed string) keyRow {
	never := k.Expires.IsZero()
	return keyRow{ID: k.ID, Name: k.Name, Task: taskTitle(k.Task), Feed: feed, Created: k.Created, Expires: k.Expires,
		Never: never, Expired: !never && time.Now().After(k.Expires)}
}

// createKey answers with the page itself instead of a redirect, because the key's text
// is not stored. The form contains the text, so that submitting it twice, even to
// different nodes, creates one key and shows it both times.
func (s *site) createKey(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	k := admin.NewAPIKey{Name: strings.TrimSpace(v.PostFormValue("name")), Text: v.PostFormValue("text"),
		Task: proget.Task(v.PostFormValue("task")), Feed: v.PostFormValue("feed")}
	expires := v.PostFormValue("expires")
	var err error
	var text string
	if k.Expires, err = endOfDay(expires); err == nil {
		_, text, err = s.Admin.CreateKeyOnce(v.Context(), k, v.id.Principal)
	}
	if r, ok := refused(err); ok {
		return s.keys(v, keysView{refusal: r, Name: k.Name, Expires: expires}, string(k.Task), k.Feed)
	}
	if err != nil {
		return err
	}
	return s.keys(v, keysView{refusal: refusal{status: http.StatusOK}, Created: text}, "", "")
}

// endOfDay returns the end of a day, or the zero time for "".
func endOfDay(day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return t, proget.WrapError(proget.ErrInvalid, err, "%.20q is not a date: use the form 2030-12-31.", day)
	}
	return t.AddDate(0, 0, 1), nil
}

func (s *site) deleteKey(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	id, err := strconv.ParseInt(v.PostFormValue("id"), 10, 64)
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "The form does not say which API key to delete.")
	}
	if err := s.Admin.DeleteKey(v.Context(), id, v.id.Principal); err != nil {
		return err
	}
	return v.redirect("/administration/keys")
}
