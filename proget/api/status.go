package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/proget-go/ha/proget"
)

// statusChange is the body of POST /api/packages/{feed}/status. An absent field changes
// nothing.
type statusChange struct {
	Listed            *bool     `json:"listed"`
	Allow             allowance `json:"allow"`
	Deprecated        *bool     `json:"deprecated"`
	DeprecationReason *string   `json:"deprecationReason"`
}

// allowance says whether a version may be downloaded: true, false or null. null leaves
// it to rules, which this server does not have.
type allowance struct{ given, refused bool }

// UnmarshalJSON implements json.Unmarshaler. The decoder calls it for null, too.
func (a *allowance) UnmarshalJSON(text []byte) error {
	allowed := true
	a.given = true
	err := json.Unmarshal(text, &allowed)
	a.refused = !allowed
	return err
}

func (a *api) packageStatus(w http.ResponseWriter, c *call) error {
	var change statusChange
	if err := readJSON(w, c, &change, "null"); err != nil && !errors.Is(err, io.EOF) { // without a body, nothing changes
		return err
	}
	if err := a.Publisher.SetStatus(c.Context(), c.ref, c.id.Principal, change.apply); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (change statusChange) apply(s *proget.Status) {
	if change.Listed != nil {
		s.Listed = *change.Listed
	}
	if change.Allow.given {
		s.Blocked = change.Allow.refused
	}
	if change.Deprecated != nil && !*change.Deprecated {
		s.Deprecated = ""
		return
	}
	if change.DeprecationReason != nil && *change.DeprecationReason != "" {
		s.Deprecated = *change.DeprecationReason
	} else if change.Deprecated != nil && s.Deprecated == "" {
		s.Deprecated = proget.NoReason
	}
}
