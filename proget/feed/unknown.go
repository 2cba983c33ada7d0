package feed

import (
	"net/http"
	"strings"

	"github.com/proget-go/ha/proget"
)

// ErrMethod is the kind of error of a request to an address that is there for
// other methods alone.
var ErrMethod = proget.NewKind("method not allowed")

// Unknown returns the error for a request that is not known: ErrMethod, with
// the Allow header set, if known says that the address is there for other
// methods, else proget.ErrNotFound. The hint ends the sentence that the client
// is told.
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
