package node

import (
	"net/http"

	"github.com/proget-go/ha/proget"
)

// newPages answers what nothing else takes.
func (n *Node) newPages() (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.fail(w, r, proget.Errorf(proget.ErrNotFound, "There is nothing at this address."), writeText)
	}), nil
}
