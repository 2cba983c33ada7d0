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
// finished is cut off, of which an error tells. The server is used once, and not shut
// down by its own Shutdown. If it has a TLSConfig it speaks TLS, also on a plain TCP
// listener; if it has no handler, http.DefaultServeMux is.
//
// The server's handler is a node's, or one that has a node's below it. Others than the
// node's can take over a connection (http.Hijacker) if the request asks for an
// upgrade, as that of a WebSocket does.
//
// Any other way to serve a node's handler works, too. This one answers what has no
// body at less cost; see package internal/direct.
func Serve(ctx context.Context, server *http.Server, l net.Listener, grace time.Duration) error {
	return direct.Serve(ctx, server, l, grace)
}
