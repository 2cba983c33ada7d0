package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// storageInfo is a storage in the native API.
type storageInfo struct {
	Name    string    `json:"name"`
	URL     string    `json:"url"` // "" for the storage that servers are started with
	Created time.Time `json:"created,omitzero"`
}

func (a *api) listStorages(w http.ResponseWriter, c *call) error {
	all, err := a.Cluster.Storages(c.Context())
	if err != nil {
		return err
	}
	list := make([]storageInfo, len(all))
	for i, st := range all {
		list[i] = storageInfo{st.Name, st.URL, st.Created}
	}
	feed.WriteJSON(w, http.StatusOK, list)
	return nil
}

func (a *api) createStorage(w http.ResponseWriter, c *call) error {
	var info storageInfo
	if err := readJSON(w, c, &info, empty...); err != nil {
		return err
	}
	st, err := a.Cluster.AddStorage(c.Context(), info.Name, info.URL, c.id.Principal)
	if err != nil {
		return err
	}
	feed.WriteJSON(w, http.StatusOK, storageInfo{Name: st.Name, URL: st.URL})
	return nil
}

func (a *api) removeStorage(w http.ResponseWriter, c *call) error {
	if err := a.Cluster.RemoveStorage(c.Context(), c.PathValue("storage"), c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// storageNamed returns the ID of the storage with that name; "" means the storage that
// servers are started with.
func (a *api) storageNamed(ctx context.Context, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	all, err := a.Cluster.Storages(ctx)
	if err != nil {
		return 0, err
	}
	for _, st := range all {
		if strings.EqualFold(st.Name, name) {
			return st.ID, nil
		}
	}
	return 0, proget.Errorf(proget.ErrInvalid, "There is no storage named %.60q.", name)
}
