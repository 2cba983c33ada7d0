package election_test

import (
	"context"
	"fmt"
	"time"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/static"
	"github.com/proget-go/ha/proget"
)

// Whoever is elected works until the term ends, and shows the fence of the term
// to everything it writes to.
func Example() {
	elector, err := election.New(static.New(), "indexing", "node-1", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = elector.Run(ctx, func(ctx context.Context, fence proget.Fence) error {
		_, leads := elector.Leading()
		fmt.Println("node-1 leads:", leads, "under a fence:", fence.Number > 0)
		cancel() // a real one works until its ctx ends
		<-ctx.Done()
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// node-1 leads: true under a fence: true
	// error: <nil>
}
