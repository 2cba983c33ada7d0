package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/proget-go/ha/indexing"
	"github.com/proget-go/ha/internal/quantity"
	"github.com/proget-go/ha/proget"
)

// KindStale is the kind of job that removes stale servers.
const KindStale = "stale-servers"

// StaleServers returns the worker that removes servers without a heartbeat for the time
// silence: those that were killed and never came back. A server that comes back is a
// member again with its next heartbeat.
func (r *Registry) StaleServers(silence time.Duration) indexing.Worker {
	return &staleServers{r, silence}
}

type staleServers struct {
	registry *Registry
	silence  time.Duration
}

func (*staleServers) Kind() string { return KindStale }

func (s *staleServers) Work(ctx context.Context, _ *proget.Job, p *indexing.Progress) error {
	members, err := s.registry.members(ctx)
	if err != nil {
		return err
	}
	var removed int64
	for _, m := range members {
		if m.Age <= s.silence {
			continue
		}
		err := s.registry.remove(ctx, m.Name, s.silence, proget.Principal{User: "Scheduled Jobs"})
		if errors.Is(err, proget.ErrConflict) { // it has come back, or somebody else has removed it
			continue
		}
		if err != nil {
			return fmt.Errorf("remove server %s: %w", m.Name, err)
		}
		removed++
		p.Log("The server %s was removed: it sent its last heartbeat %s ago.", m.Name, m.Age.Round(time.Minute))
	}
	p.Set(removed, removed, quantity.Of(removed, "stale server")+" removed")
	return nil
}
