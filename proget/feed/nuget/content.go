package nuget

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// contentVersions lists the versions that can be downloaded, unlisted ones
// included: a restore must find what a project has pinned.
func (h *handler) contentVersions(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, err := h.services.Packages.Package(r.Context(), r.Feed, rt.id)
	if err != nil {
		return err
	}
	return serveDocument(w, r, p, "content", func() ([]byte, error) { return renderVersions(p) })
}

type contentDocument struct {
	Versions []string `json:"versions"`
}

func renderVersions(p *feed.Package) ([]byte, error) {
	var doc contentDocument
	for _, v := range p.Versions {
		if available(v) {
			doc.Versions = append(doc.Versions, v.Key)
		}
	}
	if len(doc.Versions) == 0 {
		return nil, proget.Errorf(proget.ErrNotFound, "All versions of %s are blocked in this feed.", p.Name)
	}
	return marshal(doc)
}

func (h *handler) contentPackage(w http.ResponseWriter, r *feed.Request, rt route) error {
	_, v, err := h.find(r.Context(), r.Feed, rt)
	if err != nil {
		return err
	}
	file, err := packageFile(v)
	if err != nil {
		return err
	}
	return h.services.Files.Serve(w, r, v, file, "application/octet-stream")
}

// packageFile returns the .nupkg, which is a version's first file.
func packageFile(v *proget.Version) (proget.File, error) {
	if len(v.Files) == 0 {
		return proget.File{}, fmt.Errorf("%s %s has no file", v.Name, v.Key)
	}
	return v.Files[0], nil
}

// contentNuspec serves the manifest as its author wrote it: clients compare it
// with the one inside the package.
func (h *handler) contentNuspec(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, v, err := h.find(r.Context(), r.Feed, rt)
	if err != nil {
		return err
	}
	doc, err := p.Document("nuspec "+v.Key, "application/xml", func() ([]byte, error) {
		return h.extractNuspec(r.Context(), v)
	})
	if err != nil {
		return err
	}
	// A browser would run scripts in XML that a stranger has uploaded.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	doc.Serve(w, r.Request)
	return nil
}

func (h *handler) extractNuspec(ctx context.Context, v *proget.Version) ([]byte, error) {
	file, err := packageFile(v)
	if err != nil {
		return nil, err
	}
	content, err := h.services.Files.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := readStoredNuspec(content)
	if errors.Is(err, proget.ErrInvalid) {
		// What was accepted once is damaged now: no mistake of this client.
		return nil, fmt.Errorf("read the nuspec of %s %s: %s", v.Name, v.Key, err)
	}
	return text, err
}

func readStoredNuspec(content feed.Content) ([]byte, error) {
	p, err := openPackage(content, content.Size())
	if err != nil {
		return nil, err
	}
	return p.nuspec()
}

func (h *handler) contentReadme(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, v, err := h.find(r.Context(), r.Feed, rt)
	if err != nil {
		return err
	}
	doc, err := p.Document("readme "+v.Key, "text/markdown; charset=utf-8", func() ([]byte, error) {
		m, err := decode(v)
		if err == nil && m.Readme == "" {
			err = proget.Errorf(proget.ErrNotFound, "%s %s has no readme.", v.Name, v.Key)
		}
		if err != nil {
			return nil, err
		}
		return []byte(m.Readme), nil
	})
	if err != nil {
		return err
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	doc.Serve(w, r.Request)
	return nil
}
