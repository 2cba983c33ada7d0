package node

import (
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
)

// feedInfo is a feed in the native API, with those of ProGet's fields that this
// server has a use for. In a change, a field that is absent changes nothing.
type feedInfo struct {
	Name        *string `json:"name,omitempty"`
	FeedType    *string `json:"feedType,omitempty"`
	Description *string `json:"description,omitempty"`
	Active      *bool   `json:"active,omitempty"`
	Storage     *string `json:"storage,omitempty"` // the name of the storage that keeps its files

	Redirect *bool `json:"redirectDownloads,omitempty"`

	// RetentionRules replace all those of the feed.
	RetentionRules        *[]ruleInfo `json:"retentionRules,omitempty"`
	RetentionRulesEnabled *bool       `json:"retentionRulesEnabled,omitempty"`

	storageID int64 // of Storage

	EndpointURL string `json:"endpointUrl,omitempty"` // told, not taken
	CanPublish  bool   `json:"canPublish"`            // told, not taken
}

// newFeedInfo is a feed with its retention rules.
func (n *Node) newFeedInfo(c *call, f *proget.Feed, rules []proget.RetentionRule) (feedInfo, error) {
	info := feedInfo{Name: &f.Name, FeedType: &f.Type, Description: &f.Description, Active: &f.Active}
	info.tellRules(rules)
	switch t, err := n.typeOf(f); {
	case err != nil: // it is not served here
	case t.Address != nil: // programs take this for a URL
		info.EndpointURL = t.URL(n.baseURL(c.Request), f)
	default:
		info.EndpointURL = t.StartURL(n.baseURL(c.Request), f)
	}
	if f.Redirect {
		info.Redirect = &f.Redirect
	}
	if f.StorageID != 0 {
		all, err := n.registry.Storages(c.Context())
		if err != nil {
			return info, err
		}
		for _, st := range all {
			if st.ID == f.StorageID {
				info.Storage = &st.Name
			}
		}
	}
	var err error
	info.CanPublish, err = n.authority.Allows(c.id, proget.TaskPublish, f)
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

// visible returns the feeds that the caller may see: those to view, and for
// administrators the inactive ones too.
func (n *Node) visible(c *call) ([]*proget.Feed, error) {
	all, err := n.catalog.Feeds(c.Context())
	if err != nil {
		return nil, err
	}
	administers, err := n.authority.Allows(c.id, proget.TaskAdminister, nil)
	if err != nil {
		return nil, err
	}
	var seen []*proget.Feed
	for _, f := range all {
		views, err := n.authority.Allows(c.id, proget.TaskView, f)
		if err != nil {
			return nil, err
		}
		if administers || f.Active && views {
			seen = append(seen, f)
		}
	}
	return seen, nil
}

// listFeeds lists what the caller may see, which can be nothing.
func (n *Node) listFeeds(w http.ResponseWriter, c *call) error {
	feeds, err := n.visible(c)
	if err != nil {
		return err
	}
	rules, err := n.admin.Retention(c.Context())
	if err != nil {
		return err
	}
	list := make([]feedInfo, len(feeds)) // an empty array, not null
	for i, f := range feeds {
		if list[i], err = n.newFeedInfo(c, f, rules[f.ID]); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (n *Node) getFeed(w http.ResponseWriter, c *call) error {
	feeds, err := n.visible(c)
	if err != nil {
		return err
	}
	for _, f := range feeds {
		if strings.EqualFold(f.Name, c.PathValue("feed")) {
			return n.tellFeed(w, c, f)
		}
	}
	return n.authority.Disclose(c.id, proget.Errorf(proget.ErrNotFound, "There is no feed named %.60q.", c.PathValue("feed")))
}

func (n *Node) tellFeed(w http.ResponseWriter, c *call, f *proget.Feed) error {
	rules, err := n.admin.Retention(c.Context())
	if err != nil {
		return err
	}
	info, err := n.newFeedInfo(c, f, rules[f.ID])
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, info)
	return nil
}

// readFeed reads the body. Types are written as people write them: "NuGet".
func (n *Node) readFeed(w http.ResponseWriter, c *call) (info feedInfo, err error) {
	if err := readJSON(w, c, &info, empty...); err != nil {
		return info, err
	}
	if info.Storage != nil {
		if info.storageID, err = n.storageNamed(c.Context(), *info.Storage); err != nil {
			return info, err
		}
	}
	if _, err := info.editRules(nil); err != nil { // before anything is changed
		return info, err
	}
	for i := range n.cfg.Feeds {
		if t := &n.cfg.Feeds[i]; info.FeedType != nil && strings.EqualFold(t.Name, *info.FeedType) {
			info.FeedType = &t.Name
		}
	}
	return info, nil
}

func (n *Node) createFeed(w http.ResponseWriter, c *call) error {
	info, err := n.readFeed(w, c)
	if err != nil {
		return err
	}
	f := &proget.Feed{Active: true}
	info.apply(f)
	rules, err := info.editRules(nil)
	if err != nil {
		return err
	}
	if err := n.admin.CreateFeed(c.Context(), f, c.id.Principal, rules...); err != nil {
		return err
	}
	return n.tellFeed(w, c, f)
}

func (n *Node) updateFeed(w http.ResponseWriter, c *call) error {
	info, err := n.readFeed(w, c)
	if err != nil {
		return err
	}
	var rules admin.EditRules
	if info.RetentionRules != nil || info.RetentionRulesEnabled != nil {
		rules = info.editRules
	}
	f, err := n.admin.UpdateFeed(c.Context(), c.PathValue("feed"), c.id.Principal, info.apply, rules)
	if err != nil {
		return err
	}
	return n.tellFeed(w, c, f)
}

func (n *Node) deleteFeed(w http.ResponseWriter, c *call) error {
	if err := n.admin.DeleteFeed(c.Context(), c.PathValue("feed"), c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
