package nuget

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// catalog serves a document of the catalog with the URLs under which the client knows
// the feed.
func (h *handler) catalog(w http.ResponseWriter, r *feed.Request, name string) error {
	text, err := h.services.Indexes.Read(r.Context(), r.Feed.ID, catalogKind, name)
	if errors.Is(err, proget.ErrNotFound) && name == catalogIndex { // nothing has happened yet
		text, err = marshal(catalogRoot{ID: catalogIndex, Type: []string{"CatalogRoot", "AppendOnlyCatalog", "Permalink"}, Items: []catalogPageRef{}})
	}
	if err != nil {
		return err
	}
	body, err := complete(r.Base+"/v3/"+catalogKind+"/", name, text)
	if err != nil {
		return fmt.Errorf("read %s of the catalog of feed %s: %w", name, r.Feed.Name, err)
	}
	feed.NewDocument(jsonType, body).Serve(w, r.Request)
	return nil
}

// complete makes the URLs in a stored document absolute.
func complete(base, name string, text []byte) ([]byte, error) {
	var document interface{ locate(base string) } = new(catalogDetails)
	switch {
	case name == catalogIndex:
		document = new(catalogRoot)
	case strings.HasPrefix(name, "page"):
		document = new(catalogPage)
	}
	if err := json.Unmarshal(text, document); err != nil {
		return nil, err
	}
	document.locate(base)
	if leaf, ok := document.(*catalogDetails); ok && slices.Contains(leaf.Type, typeDelete) {
		return marshal(leaf.catalogLeaf) // there are no details
	}
	return marshal(document)
}

func (d *catalogRoot) locate(base string) {
	d.ID = base + d.ID
	for i := range d.Items {
		d.Items[i].ID = base + d.Items[i].ID
	}
}

func (d *catalogPage) locate(base string) {
	d.ID, d.Parent = base+d.ID, base+d.Parent
	for i := range d.Items {
		d.Items[i].ID = base + d.Items[i].ID
	}
}

func (d *catalogLeaf) locate(base string) { d.ID = base + d.ID }
