// Package indexing keeps derived data current and does background work:
//
//   - a [Tail] follows the logs of all feeds in this process;
//   - a [Follower], on the primary, applies the effects of the logs' entries: to the
//     database exactly once, elsewhere at least once; a [Deliver] function is the simplest
//     way to write one;
//   - a [Pool] works jobs on every indexing node, and a [Scheduler] queues recurring ones
//     on the primary.
//
// Of these, a read needs only the Tail; if that fails, what is in memory may be stale.
// The process may be killed at any instruction: positions move together with their
// effects, a job can finish only under its current claim, and what only the primary may
// do is written under its fence.
package indexing
