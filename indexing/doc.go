// Package indexing is what keeps derived data true and works in the background:
//
//   - the [Tail] of all feeds' logs in this process;
//   - a [Follower], which gives the log its effect in the database exactly once
//     and elsewhere at least once, for the primary; a [Deliver] function is the
//     simplest;
//   - the [Pool] that works jobs on every indexing node, and the [Scheduler] by
//     which the primary queues what is done again and again.
//
// Nothing here is needed to serve a read, and all of it may be killed at any
// instruction: positions move with their effects, jobs finish only under the
// claim that holds them, and what the primary alone does is written under its
// fence.
package indexing
