package universal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxParts bounds the parts of one package: all of them are looked at for each download.
const maxParts = 10_000

// A part is a package or an asset that was put into an assembled file, directly or with
// another virtual package. It has normal forms.
type part struct {
	Feed    int64  `json:"feed,omitempty"` // ID of an asset directory; 0 for the feed of the virtual package
	Name    string `json:"name"`
	Version string `json:"version"`
}

// constructedData is stored with an assembled file. A list that is made anew from the
// manifests would not do: a virtual package in the middle may be deleted or replaced.
type constructedData struct {
	Parts []part `json:"parts"`
}

func readParts(f proget.File) ([]part, error) {
	var d constructedData
	if len(f.Data) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(f.Data, &d); err != nil {
		return nil, fmt.Errorf("read what is kept of %s: %w", f.Name, err)
	}
	return d.Parts, nil
}

// data is what is stored with the assembled file.
func (a *assembly) data() constructedData {
	return constructedData{slices.Collect(maps.Keys(a.parts))}
}

// note records what was put into the assembled file.
func (a *assembly) note(parts ...part) error {
	for _, p := range parts {
		a.parts[p] = true
	}
	if len(a.parts) > maxParts {
		return proget.Errorf(proget.ErrInvalid, "The virtual package would be made from more than %d packages and assets.", maxParts)
	}
	return nil
}

// notePackage records a package, and what that was made from if it is virtual.
func (a *assembly) notePackage(p *feed.Package, v *proget.Version, f proget.File) error {
	var parts []part
	if isVirtual(v) {
		var err error
		if parts, err = readParts(f); err != nil {
			return err
		}
	}
	return a.note(append(parts, part{0, p.Key, v.Key})...)
}

// checkParts returns proget.ErrNotFound if something in an assembled file is blocked. It
// does not mind what was deleted.
func (h *handler) checkParts(ctx context.Context, r *feed.Request, f proget.File) error {
	parts, err := readParts(f)
	if err != nil {
		return err
	}
	for _, part := range parts {
		in := r.Feed
		if part.Feed != 0 { // whoever downloads the file need not be allowed to view the directory
			in = &proget.Feed{ID: part.Feed, Type: assetType}
		}
		p, err := h.services.Packages.Package(ctx, in, part.Name)
		if errors.Is(err, proget.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if v, err := p.Version(part.Version); err == nil {
			if err := feed.CheckAllowed(v); err != nil {
				return err
			}
		}
	}
	return nil
}
