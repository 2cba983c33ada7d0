package universal

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// contentPrefix is the folder in a package with the content for its users.
const contentPrefix = "package/"

// version finds the version that the path names, or the latest one.
func (h *handler) version(r *feed.Request, rt route) (*proget.Version, error) {
	if rt.name == "" {
		return nil, proget.Errorf(proget.ErrInvalid, "Name the package: [group/]name/version.")
	}
	p, err := h.find(r, rt.name)
	if err != nil {
		return nil, err
	}
	switch {
	case rt.version != "":
		return namedVersion(p, rt.version)
	case !r.URL.Query().Has("latest"):
		return nil, proget.Errorf(proget.ErrInvalid, "Name a version, or add ?latest for the newest one.")
	}
	return latest(p)
}

// namedVersion returns a version, or an error if it is blocked.
func namedVersion(p *feed.Package, version string) (*proget.Version, error) {
	v, err := p.Version(versionKey(version))
	if err != nil {
		return nil, err
	}
	return v, feed.CheckAllowed(v)
}

func (h *handler) download(w http.ResponseWriter, r *feed.Request, rt route) error {
	v, err := h.version(r, rt)
	if err != nil {
		return err
	}
	format := r.URL.Query().Get("contentOnly")
	switch format {
	case "":
		file, err := h.packageFile(r.Context(), r, v, outermost())
		if err != nil {
			return err
		}
		return h.services.Files.Serve(w, r, v, file, "application/zip")
	case "zip", "tgz":
		return h.contentOnly(w, r, v, format)
	}
	return proget.Errorf(proget.ErrInvalid, "contentOnly is %.20q; use zip or tgz.", format)
}

// downloadVirtual sends the manifest of a virtual package.
func (h *handler) downloadVirtual(w http.ResponseWriter, r *feed.Request, rt route) error {
	v, err := h.version(r, rt)
	if err != nil {
		return err
	}
	if !isVirtual(v) {
		return proget.Errorf(proget.ErrInvalid, "%s %s is not a virtual package: download it.", v.Name, v.Version)
	}
	return h.services.Files.Serve(w, r, nil, v.Files[0], "application/json")
}

// openPackage opens the file of a package. The caller must close it.
func (h *handler) openPackage(r *feed.Request, v *proget.Version) (*upack, feed.Content, error) {
	file, err := h.packageFile(r.Context(), r, v, outermost())
	if err != nil {
		return nil, nil, err
	}
	content, err := h.services.Files.Open(r.Context(), file)
	if err != nil {
		return nil, nil, err
	}
	a, err := open(content, content.Size())
	if err != nil {
		_ = content.Close()
		return nil, nil, err
	}
	return a, content, nil
}

// contentOnly sends the content under package/ as an archive, which it creates while
// sending.
func (h *handler) contentOnly(w http.ResponseWriter, r *feed.Request, v *proget.Version, format string) error {
	a, content, err := h.openPackage(r, v)
	if err != nil {
		return err
	}
	defer content.Close()
	name := strings.TrimSuffix(strings.TrimSuffix(v.Files[0].Name, upackEnding), vpackEnding) + "." + format
	w.Header().Set("Content-Type", map[string]string{"zip": "application/zip", "tgz": "application/gzip"}[format])
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	if r.Method == http.MethodHead {
		return nil
	}
	write := a.writeZip
	if format == "tgz" {
		write = a.writeTar
	}
	if err := write(w); err != nil {
		h.services.Logger.WarnContext(r.Context(), "an archive of a package's content was cut short", "package", v.Name, "version", v.Version, "error", err)
		panic(http.ErrAbortHandler) // an incomplete response must not look complete
	}
	return nil
}

// each calls fn for every file of the content, with its name below package/.
func (a *upack) each(fn func(name string, f *zip.File) error) error {
	for i, f := range a.File {
		name, ok := strings.CutPrefix(a.Names[i], contentPrefix)
		if !ok || name == "" || strings.HasSuffix(name, "/") {
			continue
		}
		if err := fn(name, f); err != nil {
			return err
		}
	}
	return nil
}

// writeZip copies the entries without recompressing them.
func (a *upack) writeZip(w io.Writer) error {
	out := zip.NewWriter(w)
	err := a.each(func(name string, f *zip.File) error {
		return a.copyEntry(out, f, name)
	})
	return errors.Join(err, out.Close())
}

func (a *upack) writeTar(w io.Writer) error {
	compressed := gzip.NewWriter(w)
	out := tar.NewWriter(compressed)
	err := a.each(func(name string, f *zip.File) error {
		header := &tar.Header{Name: name, Size: int64(f.UncompressedSize64), Mode: 0o644, ModTime: f.Modified}
		if f.Mode()&0o100 != 0 {
			header.Mode = 0o755
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		in, err := f.Open()
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(out, io.LimitReader(in, header.Size))
		return err
	})
	return errors.Join(err, out.Close(), compressed.Close())
}

// downloadFile sends one file of a package.
func (h *handler) downloadFile(w http.ResponseWriter, r *feed.Request, rt route) error {
	v, err := h.version(r, rt)
	if err != nil {
		return err
	}
	want := strings.TrimPrefix(strings.ReplaceAll(r.URL.Query().Get("path"), `\`, "/"), "/")
	if want == "" {
		return proget.Errorf(proget.ErrInvalid, "Name the file within the package, as in ?path=package/FILE.")
	}
	a, content, err := h.openPackage(r, v)
	if err != nil {
		return err
	}
	defer content.Close()
	for i, name := range a.Names {
		if strings.EqualFold(name, want) {
			return h.serveEntry(w, r, a.File[i], path.Base(name))
		}
	}
	return proget.Errorf(proget.ErrNotFound, "%s %s has no file %.300s.", v.Name, v.Version, want)
}

func (h *handler) serveEntry(w http.ResponseWriter, r *feed.Request, f *zip.File, name string) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.Copy(w, in); err != nil {
		h.services.Logger.WarnContext(r.Context(), "a file of a package was cut short", "file", f.Name, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}
