package node

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/proget-go/ha/internal/direct"
)

// Serve serves until ctx ends, and closes the listener. From then on no connection
// is accepted, requests under way have the grace to finish, and what has not
// finished is cut off, of which an error tells. The server, whose handler is a
// node's, is used once, and not shut down by its own Shutdown.
//
// Any other way to serve a node's handler works, too. This one answers what has no
// body at less cost; see package internal/direct.
func Serve(ctx context.Context, server *http.Server, l net.Listener, grace time.Duration) error {
	return direct.Serve(ctx, server, l, grace)
}
