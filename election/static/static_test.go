package static_test

import (
	"testing"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electiontest"
	"github.com/proget-go/ha/election/static"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	electiontest.Run(t, func(*testing.T) func(*testing.T) election.Driver {
		d := static.New()
		return func(*testing.T) election.Driver { return d }
	})
}
