package api

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/admin"
	"github.com/proget-go/ha/proget/feed"
)

// keyInfo is an API key in the native API. This server does not support User and
// FeedGroup, which must be empty, or the logging of bodies.
type keyInfo struct {
	ID                 int64    `json:"id,omitempty"`
	Type               string   `json:"type"`
	Key                string   `json:"key,omitempty"` // only in the response that creates the key
	DisplayName        string   `json:"displayName,omitempty"`
	Description        string   `json:"description,omitempty"` // stored only if there is no name
	SystemAPIs         []string `json:"systemApis,omitempty"`
	PackagePermissions []string `json:"packagePermissions,omitempty"`
	Feed               string   `json:"feed,omitempty"` // absent means all feeds
	FeedGroup          string   `json:"feedGroup,omitempty"`
	Expiration         string   `json:"expiration,omitempty"`
	Logging            string   `json:"logging"`
	User               string   `json:"user,omitempty"`
}

const (
	keyTypeSystem = "System"
	keyTypeFeed   = "Feed"
	noLogging     = "None"

	fullControlWord = "full-control"
	promotion       = "promote"
)

// The words for a key's permissions. A System key with all of its APIs administers. The
// permissions of a Feed key are the tasks, each of which includes those before it.
// There are no promotions here, but ProGet's client requests all four permissions if
// its user names none.
var (
	fullControl     = []string{"feeds", "sca", "sbom-upload"} // as ProGet's client spells it
	feedTasks       = []proget.Task{proget.TaskView, proget.TaskPublish, proget.TaskManage}
	feedPermissions = []string{"view", "add", "delete"}
	allPermissions  = append([]string{promotion}, feedPermissions...)
)

func newKeyInfo(k db.Key, feeds []*proget.Feed) keyInfo {
	info := keyInfo{ID: k.ID, Type: keyTypeSystem, DisplayName: k.Name, Logging: noLogging}
	if i := slices.Index(feedTasks, k.Task); i >= 0 {
		info.Type, info.PackagePermissions = keyTypeFeed, feedPermissions[:i+1]
	} else {
		info.SystemAPIs = fullControl
	}
	if i := slices.IndexFunc(feeds, func(f *proget.Feed) bool { return f.ID == k.FeedID }); i >= 0 {
		info.Feed = feeds[i].Name
	}
	if !k.Expires.IsZero() {
		info.Expiration = k.Expires.Format(time.RFC3339)
	}
	return info
}

// request returns the requested key, or an error if a key of this server would permit
// more or less than the words say.
func (info *keyInfo) request() (k admin.NewAPIKey, err error) {
	k = admin.NewAPIKey{Name: cmp.Or(info.DisplayName, info.Description, "unnamed key"), Text: info.Key, Feed: info.Feed}
	if info.User != "" || info.FeedGroup != "" || !strings.EqualFold(cmp.Or(info.Logging, noLogging), noLogging) {
		return k, proget.Errorf(proget.ErrInvalid, "This server does not support API keys with a user, a feed group or logging.")
	}
	if k.Task, err = info.task(); err != nil {
		return k, err
	}
	k.Expires, err = parseExpiration(info.Expiration)
	return k, err
}

func (info *keyInfo) task() (proget.Task, error) {
	switch {
	case strings.EqualFold(info.Type, keyTypeSystem):
		if info.Feed == "" && (slices.Contains(info.SystemAPIs, fullControlWord) || sameWords(info.SystemAPIs, fullControl)) {
			return proget.TaskAdminister, nil
		}
		return "", proget.Errorf(proget.ErrInvalid, "This server creates System keys with full control only: use systemApis [%q].", fullControlWord)
	case strings.EqualFold(info.Type, keyTypeFeed):
		switch {
		case sameWords(info.PackagePermissions, allPermissions):
			return proget.TaskManage, nil
		case slices.Contains(info.PackagePermissions, promotion):
			return "", proget.Errorf(proget.ErrInvalid, "This server does not support the permission %q: packages are not promoted here.", promotion)
		}
		for i, task := range feedTasks {
			if sameWords(info.PackagePermissions, feedPermissions[:i+1]) {
				return task, nil
			}
		}
		return "", proget.Errorf(proget.ErrInvalid, `Each permission includes those before it: use packagePermissions ["view"], ["view","add"] or ["view","add","delete"].`)
	}
	return "", proget.Errorf(proget.ErrInvalid, "This server creates API keys of the types System and Feed only.")
}

func sameWords(some, others []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(some)), slices.Sorted(slices.Values(others)))
}

// parseExpiration parses a time as ProGet's client writes it: without a zone, meaning
// UTC, if its user gave none.
func parseExpiration(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, proget.Errorf(proget.ErrInvalid, "%.60q is not a time: use the form 2030-12-31T23:59:59Z.", text)
}

func (a *api) listKeys(w http.ResponseWriter, c *call) error {
	keys, err := a.Admin.Keys(c.Context())
	if err != nil {
		return err
	}
	feeds, err := a.Catalog.Feeds(c.Context())
	if err != nil {
		return err
	}
	list := make([]keyInfo, len(keys)) // an empty array, not null
	for i, k := range keys {
		list[i] = newKeyInfo(k, feeds)
	}
	feed.WriteJSON(w, http.StatusOK, list)
	return nil
}

func (a *api) createKey(w http.ResponseWriter, c *call) error {
	var info keyInfo
	if err := readJSON(w, c, &info, empty...); err != nil {
		return err
	}
	request, err := info.request()
	if err != nil {
		return err
	}
	made, text, err := a.Admin.CreateKey(c.Context(), request, c.id.Principal)
	if err != nil {
		return err
	}
	answer := newKeyInfo(made, nil)
	answer.Key, answer.Feed = text, request.Feed
	feed.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (a *api) deleteKey(w http.ResponseWriter, c *call) error {
	id, err := strconv.ParseInt(c.URL.Query().Get("id"), 10, 64)
	if err != nil {
		return proget.WrapError(proget.ErrInvalid, err, "Give the id of the API key, as in ?id=1.")
	}
	if err := a.Admin.DeleteKey(c.Context(), id, c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
