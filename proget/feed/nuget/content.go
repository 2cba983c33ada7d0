package nuget

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	slashpath "path"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// contentVersions lists the versions that can be downloaded, including unlisted ones: a
// restore must find what a project has pinned.
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
		if feed.Allowed(v) {
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

// contentNuspec serves the manifest exactly as its author wrote it, because clients
// compare it with the one in the package.
func (h *handler) contentNuspec(w http.ResponseWriter, r *feed.Request, rt route) error {
	p, v, err := h.find(r.Context(), r.Feed, rt)
	if err != nil {
		return err
	}
	doc, err := p.Document("nuspec "+v.Key, "application/xml", func() ([]byte, error) {
		return h.extract(r.Context(), v, (*nupkg).nuspec)
	})
	if err != nil {
		return err
	}
	serveForeign(w, r, doc)
	return nil
}

// serveForeign serves content from a stranger so that browsers do not run any of it.
func serveForeign(w http.ResponseWriter, r *feed.Request, doc *feed.Document) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	doc.Serve(w, r.Request)
}

// extract reads a part of a stored package.
func (h *handler) extract(ctx context.Context, v *proget.Version, read func(*nupkg) ([]byte, error)) ([]byte, error) {
	file, err := packageFile(v)
	if err != nil {
		return nil, err
	}
	content, err := h.services.Files.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	p, err := openPackage(content, content.Size())
	if err == nil {
		var text []byte
		if text, err = read(p); err == nil {
			return text, nil
		}
	}
	if errors.Is(err, proget.ErrInvalid) {
		// The file was accepted, so it was damaged since: not the client's fault.
		return nil, fmt.Errorf("read the package of %s %s: %s", v.Name, v.Key, err)
	}
	return nil, err
}

// contentIcon serves the icon in the package.
func (h *handler) contentIcon(w http.ResponseWriter, r *feed.Request, rt route) error {
	return h.contentExtra(w, r, rt, "icon", func(m *metadata) string { return m.Icon })
}

// contentLicense serves the license text in the package.
func (h *handler) contentLicense(w http.ResponseWriter, r *feed.Request, rt route) error {
	return h.contentExtra(w, r, rt, "license", func(m *metadata) string { return m.LicenseFile })
}

// extraTypes are the media types of files that NuGet accepts as icons and licenses.
var extraTypes = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
	".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", "": "text/plain; charset=utf-8",
}

// contentExtra serves a file in the package that its manifest names. Packages are
// accepted even if that file is missing or damaged, because nobody needs it.
func (h *handler) contentExtra(w http.ResponseWriter, r *feed.Request, rt route, what string, path func(*metadata) string) error {
	p, v, err := h.find(r.Context(), r.Feed, rt)
	if err != nil {
		return err
	}
	m, err := decode(v)
	if err != nil {
		return err
	}
	none := proget.Errorf(proget.ErrNotFound, "%s %s has no %s of its own that can be shown.", v.Name, v.Key, what)
	kind, known := extraTypes[strings.ToLower(slashpath.Ext(path(m)))]
	if path(m) == "" || !known {
		return none
	}
	doc, err := p.Document(what+" "+v.Key, kind, func() ([]byte, error) {
		return h.extract(r.Context(), v, func(p *nupkg) ([]byte, error) {
			bytes, err := p.entry(path(m), maxExtra)
			if err != nil && p.ReadError() == nil {
				err = none
			}
			return bytes, err
		})
	})
	if err != nil {
		return err
	}
	serveForeign(w, r, doc)
	return nil
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
	serveForeign(w, r, doc)
	return nil
}
