package electionplugin

//go:generate protoc --go_out=internal/wire --go_opt=paths=source_relative --go-grpc_out=internal/wire --go-grpc_opt=paths=source_relative election.proto

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electionplugin/internal/wire"
	"github.com/proget-go/ha/proget"
)

// handshake lets a program find out that it was not started by a server. It is no
// protection.
func handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "PROGET_ELECTION_PLUGIN", MagicCookieValue: "1f3c6e5b9d0a4c77"}
}

const service = "election"

// bridge is go-plugin's view of the plugin, on both sides.
type bridge struct {
	plugin.NetRPCUnsupportedPlugin
	driver election.Driver // only on the serving side
}

func (b *bridge) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	wire.RegisterElectionServer(s, &server{driver: b.driver})
	return nil
}

func (b *bridge) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return wire.NewElectionClient(c), nil
}

func toFence(f proget.Fence) *wire.Fence { return &wire.Fence{Number: f.Number, Term: f.Term} }

func fromFence(f *wire.Fence) proget.Fence {
	return proget.Fence{Number: f.GetNumber(), Term: f.GetTerm()}
}

func toLease(l election.Lease) *wire.Lease {
	return &wire.Lease{Office: l.Office, Holder: l.Holder, Address: l.Address, Ttl: durationpb.New(l.TTL), Fence: toFence(l.Fence)}
}

func fromLease(l *wire.Lease) election.Lease {
	return election.Lease{Office: l.GetOffice(), Holder: l.GetHolder(), Address: l.GetAddress(), TTL: l.GetTtl().AsDuration(), Fence: fromFence(l.GetFence())}
}
