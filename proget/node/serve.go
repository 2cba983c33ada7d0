package node

import (
	"context"
	"net"
	"net/http"

	"github.com/proget-go/ha/internal/cork"
)

// Serve is server.Serve for a server whose handler is a node's: documents leave
// in one piece, which costs a fifth less. Any other way to serve works, too.
func Serve(server *http.Server, l net.Listener) error {
	inner := server.ConnContext
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if inner != nil {
			ctx = inner(ctx, c)
		}
		return cork.Context(ctx, c)
	}
	return server.Serve(cork.Listener{Listener: l})
}
