package nuget

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// maxParts bounds the form fields that are skipped on the way to the file.
const maxParts = 16

// push stores a package while it arrives; nothing is kept of it here.
func (h *handler) push(w http.ResponseWriter, r *feed.Request) error {
	file, name, err := packageBody(r.Request)
	if err != nil {
		return err
	}
	body := &uploadReader{Reader: file}
	_, err = h.services.Publisher.Publish(r.Context(), feed.Upload{
		Feed: r.Feed,
		Body: body,
		Name: name,
		By:   r.Principal,
	})
	if body.err != nil {
		return body.err
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// packageBody returns the package within a request: the file of a form, as all
// NuGet clients send it, or else the body itself.
func packageBody(r *http.Request) (body io.Reader, name string, err error) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "multipart/form-data" {
		return r.Body, "", nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, "", proget.WrapError(proget.ErrInvalid, err, "The multipart body cannot be read: its Content-Type names no boundary.")
	}
	for range maxParts {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", uploadError(err)
		}
		if part.FileName() != "" || part.Header.Get("Content-Type") != "" {
			return part, part.FileName(), nil
		}
	}
	return nil, "", proget.Errorf(proget.ErrInvalid, "The multipart body contains no package file.")
}

// An uploadReader remembers why reading from the client failed, so that it can
// be told from a failure of storage.
type uploadReader struct {
	io.Reader
	err error
}

func (u *uploadReader) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = uploadError(err)
		u.err = err
	}
	return n, err
}

func uploadError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return proget.WrapError(proget.ErrTooLarge, err, "The package is larger than this server accepts.")
	}
	return proget.WrapError(proget.ErrInvalid, err, "The upload ended before the package was complete.")
}

// unlist implements the protocol's DELETE, which leaves its meaning to servers.
func (h *handler) unlist(w http.ResponseWriter, r *feed.Request, rt route) error {
	var err error
	if h.hardDelete {
		err = h.services.Publisher.Delete(r.Context(), rt.ref(r.Feed), r.Principal)
	} else {
		err = h.setListed(r, rt, false)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) relist(w http.ResponseWriter, r *feed.Request, rt route) error {
	if err := h.setListed(r, rt, true); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *handler) setListed(r *feed.Request, rt route, listed bool) error {
	return h.services.Publisher.SetStatus(r.Context(), rt.ref(r.Feed), r.Principal, func(s *proget.Status) {
		s.Listed = listed
	})
}

func (r route) ref(f *proget.Feed) feed.Ref {
	return feed.Ref{Feed: f, NameKey: r.id, VersionKey: r.version}
}
