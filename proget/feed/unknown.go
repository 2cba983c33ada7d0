package feed

import (
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
)

// ErrMethod is the kind of error for a request whose address exists for other methods
// only.
var ErrMethod = proget.NewKind("method not allowed")

// Unknown returns the error for a request that the type does not know. If known reports
// that the address exists for other methods, Unknown sets the Allow header and returns
// ErrMethod, otherwise proget.ErrNotFound. The hint ends the sentence that the client
// sees.
func Unknown(w http.ResponseWriter, r *http.Request, known func(method string) bool, hint string) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		if known(method) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return proget.Errorf(proget.ErrNotFound, "There is nothing at this address; %s", hint)
	}
	list := strings.Join(allowed, ", ")
	w.Header().Set("Allow", list)
	return proget.Errorf(ErrMethod, "This address takes %s and not %.20s; %s", list, r.Method, hint)
}
