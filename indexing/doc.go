// Package indexing is what keeps derived data true and works in the background:
// the [Tail] of all feeds' logs in this process, a [Follower] that gives a
// stretch of log its effect in the database exactly once, and the [Pool] that
// works jobs on every indexing node.
//
// Nothing here is needed to serve a read, and all of it may be killed at any
// instruction: positions only move forward, jobs finish only under the claim
// that holds them, and what the primary alone does is written under its fence.
package indexing
