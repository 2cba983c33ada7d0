package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
)

// storagesView is the data of storages.tmpl.
type storagesView struct {
	refusal
	Name, URL string // as entered
	Storages  []proget.Storage
}

func (s *site) showStorages(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	return s.storages(v, storagesView{refusal: refusal{status: http.StatusOK}})
}

func (s *site) storages(v *visit, view storagesView) (err error) {
	if view.Storages, err = s.Cluster.Storages(v.Context()); err != nil {
		return err
	}
	return s.render(v, view.status, page{name: "storages", title: "Storages", section: "administration", view: view})
}

func (s *site) createStorage(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	name, url := v.PostFormValue("name"), v.PostFormValue("url")
	_, err := s.Cluster.AddStorage(v.Context(), name, url, v.id.Principal)
	if r, ok := refused(err); ok {
		if strings.Contains(url, "@") {
			url = "" // it may contain a password
		}
		return s.storages(v, storagesView{refusal: r, Name: name, URL: url})
	}
	if err != nil {
		return err
	}
	return v.redirect("/administration/storages")
}

func (s *site) removeStorage(v *visit) error {
	if err := s.administer(v); err != nil {
		return err
	}
	err := s.Cluster.RemoveStorage(v.Context(), v.PostFormValue("name"), v.id.Principal)
	if r, ok := refused(err); ok {
		return s.storages(v, storagesView{refusal: r})
	}
	if err != nil {
		return err
	}
	return v.redirect("/administration/storages")
}

// storageOptions returns the storages as options; nil if there is no choice.
func (s *site) storageOptions(v *visit, selected int64) ([]option, error) {
	all, err := s.Cluster.Storages(v.Context())
	if err != nil || len(all) < 2 {
		return nil, err
	}
	var options []option
	for _, st := range all {
		options = append(options, option{strconv.FormatInt(st.ID, 10), st.Name, st.ID == selected})
	}
	return options, nil
}

// formStorage returns the storage that the visitor chose, or present if the form had no
// such choice.
func (s *site) formStorage(v *visit, present int64) (int64, error) {
	text := v.PostFormValue("storage")
	if text == "" {
		return present, nil
	}
	options, err := s.storageOptions(v, present)
	if err != nil {
		return 0, err
	}
	for _, o := range options {
		if o.Value == text {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return 0, proget.Errorf(proget.ErrInvalid, "There is no such storage.")
}
