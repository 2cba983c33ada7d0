// Package election elects one leader among several candidates.
//
// A [Driver] keeps leases somewhere that all candidates can reach; an [Elector] is the
// loop that campaigns, renews and steps down.
//
// # What is guaranteed, and what is not
//
// A lease avoids double work but does not rule it out. A process can be paused for any
// time between finding that it leads and acting on it, and no lease can prevent that.
// What makes leadership safe is the fence, a number that grows with every term. Every
// effect of leadership carries it to a place that refuses it if a newer term has been
// seen there (see db.Store.LeaderTx).
//
// An Elector ends the context of its leader before the lease can run out. It counts, on
// the monotonic clock, from the moment before it asked for the renewal. It never
// compares clocks of different machines, but no clock may run faster or slower than
// another by more than Margin/TTL (10 % by default).
package election
