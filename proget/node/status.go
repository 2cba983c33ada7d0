package node

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/proget-go/ha/proget"
)

// statusChange is the body of POST /api/packages/{feed}/status. A field that is
// absent changes nothing.
type statusChange struct {
	Listed            *bool   `json:"listed"`
	Allow             *bool   `json:"allow"`
	Deprecated        *bool   `json:"deprecated"`
	DeprecationReason *string `json:"deprecationReason"`
}

const maxStatusBody = 64 << 10

func (n *Node) packageStatus(w http.ResponseWriter, c *call) error {
	var change statusChange
	err := json.NewDecoder(http.MaxBytesReader(w, c.Body, maxStatusBody)).Decode(&change)
	if err != nil && !errors.Is(err, io.EOF) {
		return proget.WrapError(proget.ErrInvalid, err, "The body is not the JSON object that this call takes.")
	}
	err = n.publisher.SetStatus(c.Context(), c.ref, c.id.Principal, change.apply)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (change statusChange) apply(s *proget.Status) {
	if change.Listed != nil {
		s.Listed = *change.Listed
	}
	if change.Allow != nil {
		s.Blocked = !*change.Allow
	}
	if change.Deprecated != nil {
		s.Deprecated = ""
		if *change.Deprecated {
			s.Deprecated = "This version is deprecated."
		}
	}
	if change.DeprecationReason != nil && *change.DeprecationReason != "" {
		s.Deprecated = *change.DeprecationReason
	}
}
