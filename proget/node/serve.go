package node

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/proget-go/ha/internal/direct"
)

// Serve serves requests from l until ctx ends, then closes l. Requests under way may
// finish within grace; then Serve cuts off the rest and returns an error. The server
// cannot be used again, and its own Shutdown must not be called. If server has a
// TLSConfig, Serve speaks TLS, even on a plain TCP listener; if it has no handler,
// Serve uses http.DefaultServeMux.
//
// The server's handler is a node's, or one that calls a node's. Handlers other than the
// node's can take over the connection (http.Hijacker) if the request asks for an
// upgrade, as for a WebSocket.
//
// Any other way to serve a node's handler works, too. Serve answers requests without a
// body at less cost; see package internal/direct.
func Serve(ctx context.Context, server *http.Server, l net.Listener, grace time.Duration) error {
	return direct.Serve(ctx, server, l, grace)
}
