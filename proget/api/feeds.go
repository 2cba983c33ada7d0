package api

import (
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/feed"
)

// feedInfo is a feed in the native API, with those of ProGet's fields that this server
// uses. In a change, an absent field changes nothing.
type feedInfo struct {
	Name        *string `json:"name,omitempty"`
	FeedType    *string `json:"feedType,omitempty"`
	Description *string `json:"description,omitempty"`
	Active      *bool   `json:"active,omitempty"`
	Storage     *string `json:"storage,omitempty"` // the name of the storage for its files

	Redirect *bool `json:"redirectDownloads,omitempty"`

	// RetentionRules replace all rules of the feed.
	RetentionRules        *[]ruleInfo `json:"retentionRules,omitempty"`
	RetentionRulesEnabled *bool       `json:"retentionRulesEnabled,omitempty"`

	storageID int64 // of Storage

	EndpointURL string `json:"endpointUrl,omitempty"` // in responses only
	CanPublish  bool   `json:"canPublish"`            // in responses only
}

// describe describes feeds with their retention rules and storages, which it asks the
// database for once, however many feeds there are: anybody may call this.
func (a *api) describe(c *call, feeds ...*proget.Feed) ([]feedInfo, error) {
	rules, err := a.Admin.Retention(c.Context())
	if err != nil {
		return nil, err
	}
	storages, err := a.Cluster.Storages(c.Context())
	if err != nil {
		return nil, err
	}
	list := make([]feedInfo, len(feeds)) // an empty array, not null
	for i, f := range feeds {
		if list[i], err = a.newFeedInfo(c, f, storages); err != nil {
			return nil, err
		}
		list[i].tellRules(rules[f.ID])
	}
	return list, nil
}

func (a *api) newFeedInfo(c *call, f *proget.Feed, storages []proget.Storage) (feedInfo, error) {
	info := feedInfo{Name: &f.Name, FeedType: &f.Type, Description: &f.Description, Active: &f.Active}
	switch t, err := feed.TypeOf(a.Types, f); {
	case err != nil: // this server does not serve the type
	case t.Address != nil: // programs expect a URL here
		info.EndpointURL = t.URL(a.BaseURL(c.Request), f)
	default:
		info.EndpointURL = t.StartURL(a.BaseURL(c.Request), f)
	}
	if f.Redirect {
		info.Redirect = &f.Redirect
	}
	for _, st := range storages {
		if f.StorageID != 0 && st.ID == f.StorageID {
			info.Storage = &st.Name
		}
	}
	var err error
	info.CanPublish, err = a.Authority.Allows(c.id, proget.TaskPublish, f)
	return info, err
}

func (info *feedInfo) apply(f *proget.Feed) {
	if info.Storage != nil {
		f.StorageID = info.storageID
	}
	for text, to := range map[*string]*string{info.Name: &f.Name, info.FeedType: &f.Type, info.Description: &f.Description} {
		if text != nil {
			*to = *text
		}
	}
	if info.Redirect != nil {
		f.Redirect = *info.Redirect
	}
	if info.Active != nil {
		f.Active = *info.Active
	}
}

// visible returns the feeds that the caller may see.
func (a *api) visible(c *call) ([]*proget.Feed, error) {
	all, err := a.Catalog.Feeds(c.Context())
	if err != nil {
		return nil, err
	}
	return a.Authority.Visible(c.id, all)
}

// listFeeds lists the feeds that the caller may see, perhaps none.
func (a *api) listFeeds(w http.ResponseWriter, c *call) error {
	feeds, err := a.visible(c)
	if err != nil {
		return err
	}
	list, err := a.describe(c, feeds...)
	if err != nil {
		return err
	}
	feed.WriteJSON(w, http.StatusOK, list)
	return nil
}

func (a *api) getFeed(w http.ResponseWriter, c *call) error {
	feeds, err := a.visible(c)
	if err != nil {
		return err
	}
	for _, f := range feeds {
		if strings.EqualFold(f.Name, c.PathValue("feed")) {
			return a.tellFeed(w, c, f)
		}
	}
	return a.Authority.Disclose(c.id, proget.Errorf(proget.ErrNotFound, "There is no feed named %.60q.", c.PathValue("feed")))
}

func (a *api) tellFeed(w http.ResponseWriter, c *call, f *proget.Feed) error {
	list, err := a.describe(c, f)
	if err != nil {
		return err
	}
	feed.WriteJSON(w, http.StatusOK, list[0])
	return nil
}

// readFeed reads the body. It accepts types in any case, such as "NuGet".
func (a *api) readFeed(w http.ResponseWriter, c *call) (info feedInfo, err error) {
	if err := readJSON(w, c, &info, empty...); err != nil {
		return info, err
	}
	if info.Storage != nil {
		if info.storageID, err = a.storageNamed(c.Context(), *info.Storage); err != nil {
			return info, err
		}
	}
	for i := range a.Types {
		if t := &a.Types[i]; info.FeedType != nil && strings.EqualFold(t.Name, *info.FeedType) {
			info.FeedType = &t.Name
		}
	}
	return info, nil
}

func (a *api) createFeed(w http.ResponseWriter, c *call) error {
	info, err := a.readFeed(w, c)
	if err != nil {
		return err
	}
	f := &proget.Feed{Active: true}
	info.apply(f)
	rules, err := info.editRules(nil)
	if err != nil {
		return err
	}
	if err := a.Admin.CreateFeed(c.Context(), f, c.id.Principal, rules...); err != nil {
		return err
	}
	return a.tellFeed(w, c, f)
}

func (a *api) updateFeed(w http.ResponseWriter, c *call) error {
	info, err := a.readFeed(w, c)
	if err != nil {
		return err
	}
	var rules admin.EditRules
	if info.RetentionRules != nil || info.RetentionRulesEnabled != nil {
		rules = info.editRules
	}
	f, err := a.Admin.UpdateFeed(c.Context(), c.PathValue("feed"), c.id.Principal, info.apply, rules)
	if err != nil {
		return err
	}
	return a.tellFeed(w, c, f)
}

func (a *api) deleteFeed(w http.ResponseWriter, c *call) error {
	if err := a.Admin.DeleteFeed(c.Context(), c.PathValue("feed"), c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
