package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
)

// createFeedView is the data of create-feed.tmpl.
type createFeedView struct {
	refusal
	Name, Description string
	Types             []option
}

func (s *site) showCreateFeed(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	return s.createFeedForm(v, http.StatusOK, createFeedView{Types: s.typeOptions("")})
}

func (s *site) createFeedForm(v *visit, status int, view createFeedView) error {
	return s.render(v, status, page{name: "create-feed", title: "Create feed", section: "administration", view: view})
}

func (s *site) typeOptions(selected string) []option {
	var options []option
	for _, t := range s.Types {
		options = append(options, option{t.Name, t.Title, t.Name == selected})
	}
	return options
}

func (s *site) createFeed(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	f := &proget.Feed{Name: strings.TrimSpace(v.PostFormValue("name")), Type: v.PostFormValue("type"),
		Description: strings.TrimSpace(v.PostFormValue("description")), Active: true}
	err := s.Admin.CreateFeed(v.Context(), f, v.id.Principal)
	if r, ok := refused(err); ok {
		return s.createFeedForm(v, r.status, createFeedView{r, f.Name, f.Description, s.typeOptions(f.Type)})
	}
	if err != nil {
		return err
	}
	return v.redirect(feedURL(f))
}

// feedSettingsView is the data of feed-settings.tmpl.
type feedSettingsView struct {
	refusal
	Name, Type, Description string
	Active, Redirect        bool
	URL                     string // of this page
	FeedURL                 string // URL of its packages; "" if this server does not serve the feed
	Storages                []option
	Was                     map[string]string // the form's original values
}

func settingsURL(f *proget.Feed) string { return "/administration/feeds/" + url.PathEscape(f.Name) }

// anyFeed returns the feed in the path, even if it is inactive.
func (s *site) anyFeed(v *visit) (*proget.Feed, error) {
	if err := s.administer(v); err != nil {
		return nil, err
	}
	feeds, err := s.Catalog.Feeds(v.Context())
	if err != nil {
		return nil, err
	}
	for _, f := range feeds {
		if strings.EqualFold(f.Name, v.PathValue("feed")) {
			return f, nil
		}
	}
	return nil, proget.Errorf(proget.ErrNotFound, "There is no feed named %.60q.", v.PathValue("feed"))
}

func (s *site) showFeedSettings(v *visit) error {
	f, err := s.anyFeed(v)
	if err != nil {
		return err
	}
	return s.feedSettings(v, f, refusal{status: http.StatusOK})
}

func (s *site) feedSettings(v *visit, f *proget.Feed, r refusal) error {
	view := feedSettingsView{refusal: r, Name: f.Name, Type: f.Type, Description: f.Description, Active: f.Active, Redirect: f.Redirect, URL: settingsURL(f)}
	var err error
	if view.Storages, err = s.storageOptions(v, f.StorageID); err != nil {
		return err
	}
	view.Was = map[string]string{"description": f.Description, "active": strconv.FormatBool(f.Active), "redirect": strconv.FormatBool(f.Redirect), "storage": strconv.FormatInt(f.StorageID, 10)}
	for name := range view.Was {
		if v.PostForm.Has(was + name) {
			view.Was[name] = v.PostForm.Get(was + name)
		}
	}
	if t := s.types[f.Type]; t != nil {
		view.Type = t.Title
		if f.Active {
			view.FeedURL = feedURL(f)
		}
	}
	return s.render(v, r.status, page{name: "feed-settings", title: "Settings of " + f.Name, section: "administration", view: view})
}

func (s *site) changeFeed(v *visit) error {
	f, err := s.anyFeed(v)
	if err != nil {
		return err
	}
	active, err := formFlag(v, "active")
	if err != nil {
		return err
	}
	redirect, err := formFlag(v, "redirect")
	if err != nil {
		return err
	}
	storage, err := s.formStorage(v, f.StorageID)
	if err != nil {
		return err
	}
	edit := func(f *proget.Feed) {
		if edited(v, "description") {
			f.Description = strings.TrimSpace(v.PostFormValue("description"))
		}
		if edited(v, "active") {
			f.Active = active
		}
		if edited(v, "redirect") {
			f.Redirect = redirect
		}
		if edited(v, "storage") {
			f.StorageID = storage
		}
	}
	entered := *f
	edit(&entered)
	_, err = s.Admin.UpdateFeed(v.Context(), f.Name, v.id.Principal, edit, nil)
	if r, ok := refused(err); ok {
		return s.feedSettings(v, &entered, r)
	}
	if err != nil {
		return err
	}
	return v.redirect("/administration#feeds")
}

func (s *site) deleteFeed(v *visit) error {
	f, err := s.anyFeed(v)
	if err != nil {
		return err
	}
	err = s.Admin.DeleteFeed(v.Context(), f.Name, v.id.Principal)
	if r, ok := refused(err); ok {
		return s.feedSettings(v, f, r)
	}
	if err != nil {
		return err
	}
	return v.redirect("/administration#feeds")
}
