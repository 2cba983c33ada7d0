package electionplugin

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electionplugin/internal/wire"
	"github.com/proget-go/ha/proget"
)

// Serve serves a driver to the server that started this program, and returns when the
// server no longer needs it. It is the last line of a program's main.
//
// Serve sends the output of slog's default logger to the server's log. It ignores
// SIGTERM, because service managers send that to all processes of a server, which still
// has to release its office.
func Serve(d election.Driver) {
	signal.Ignore(syscall.SIGTERM)
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: asHclog})))
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake(),
		Plugins:         plugin.PluginSet{service: &bridge{driver: d}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			w := new(watchdog)
			s := grpc.NewServer(append(opts, grpc.StatsHandler(w))...)
			w.orphaned = time.AfterFunc(orphanedAfter, s.Stop)
			return s
		},
	})
}

// server maps calls to a driver's methods.
type server struct {
	wire.UnimplementedElectionServer
	driver election.Driver
}

func (s *server) Acquire(ctx context.Context, c *wire.Candidacy) (*wire.Answer, error) {
	l, err := s.driver.Acquire(ctx, election.Candidacy{Office: c.GetOffice(), Holder: c.GetHolder(), Address: c.GetAddress(),
		TTL: c.GetTtl().AsDuration(), Above: c.GetAbove(), Over: fromFence(c.GetOver())})
	return answer(ctx, l, err)
}

func (s *server) Renew(ctx context.Context, l *wire.Lease) (*wire.Answer, error) {
	return answer(ctx, election.Lease{}, s.driver.Renew(ctx, fromLease(l)))
}

func (s *server) Release(ctx context.Context, l *wire.Lease) (*wire.Answer, error) {
	return answer(ctx, election.Lease{}, s.driver.Release(ctx, fromLease(l)))
}

func (s *server) Current(ctx context.Context, o *wire.Office) (*wire.Answer, error) {
	l, err := s.driver.Current(ctx, o.GetName())
	return answer(ctx, l, err)
}

func answer(ctx context.Context, l election.Lease, err error) (*wire.Answer, error) {
	switch {
	case err == nil && l.Fence == (proget.Fence{}):
		return &wire.Answer{Outcome: wire.Outcome_OUTCOME_DONE}, nil
	case err == nil:
		return &wire.Answer{Outcome: wire.Outcome_OUTCOME_DONE, Lease: toLease(l)}, nil
	case errors.Is(err, election.ErrHeld):
		return &wire.Answer{Outcome: wire.Outcome_OUTCOME_HELD}, nil
	case errors.Is(err, election.ErrLost):
		return &wire.Answer{Outcome: wire.Outcome_OUTCOME_LOST}, nil
	case errors.Is(err, election.ErrNone):
		return &wire.Answer{Outcome: wire.Outcome_OUTCOME_NONE}, nil
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	// Never Unavailable, which tells the other end that this process is gone.
	return nil, status.Error(codes.Unknown, err.Error())
}

// orphanedAfter is how long a program continues without a connection. The kernel closes
// the connection of a server that was killed.
const orphanedAfter = 10 * time.Second

// watchdog ends a program whose server is gone.
type watchdog struct {
	mu          sync.Mutex
	connections int
	orphaned    *time.Timer
}

func (w *watchdog) HandleConn(_ context.Context, s stats.ConnStats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s.(type) {
	case *stats.ConnBegin:
		w.connections++
		w.orphaned.Stop()
	case *stats.ConnEnd:
		if w.connections--; w.connections == 0 {
			w.orphaned.Reset(orphanedAfter)
		}
	}
}

func (w *watchdog) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (w *watchdog) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (w *watchdog) HandleRPC(context.Context, stats.RPCStats)                         {}
