package node

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/proget-go/ha/proget"
)

// storageInfo is a storage in the native API.
type storageInfo struct {
	Name    string    `json:"name"`
	URL     string    `json:"url"` // "" for the one that servers are started with
	Created time.Time `json:"created,omitzero"`
}

func (n *Node) listStorages(w http.ResponseWriter, c *call) error {
	all, err := n.registry.Storages(c.Context())
	if err != nil {
		return err
	}
	list := make([]storageInfo, len(all))
	for i, st := range all {
		list[i] = storageInfo{st.Name, st.URL, st.Created}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

func (n *Node) createStorage(w http.ResponseWriter, c *call) error {
	var info storageInfo
	if err := readJSON(w, c, &info, empty...); err != nil {
		return err
	}
	st, err := n.registry.AddStorage(c.Context(), info.Name, info.URL, c.id.Principal)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, storageInfo{Name: st.Name, URL: st.URL})
	return nil
}

func (n *Node) removeStorage(w http.ResponseWriter, c *call) error {
	if err := n.registry.RemoveStorage(c.Context(), c.PathValue("storage"), c.id.Principal); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// storageNamed returns the id of the storage with a name; "" is the one that servers
// are started with.
func (n *Node) storageNamed(ctx context.Context, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	all, err := n.registry.Storages(ctx)
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
