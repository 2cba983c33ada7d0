package nuget

import (
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// push stores a package while it arrives, without buffering it.
func (h *handler) push(w http.ResponseWriter, r *feed.Request) error {
	body, err := feed.OpenBody(r.Request)
	if err != nil {
		return err
	}
	_, err = h.services.Publisher.Publish(r.Context(), feed.Upload{
		Feed: r.Feed,
		Body: body,
		Size: body.Size,
		Name: body.Name,
		By:   r.Principal,
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// unlist handles the protocol's DELETE, whose meaning is up to the server.
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
