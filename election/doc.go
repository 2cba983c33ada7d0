// Package election finds, among several candidates, the one that leads.
//
// A [Driver] keeps leases somewhere that all candidates reach; an [Elector] is
// the loop that campaigns, renews and steps down.
//
// # What is guaranteed, and what is not
//
// A lease avoids double work; it does not make it impossible. A process can be
// paused for any time between finding that it leads and acting on it, and no
// lease can prevent that. What makes leadership safe is the fence: a number
// that grows with every term, which every effect of leadership carries to where
// it is refused if a newer term has been seen (see db.Store.LeaderTx).
//
// An Elector ends the context of its leader before the lease can have run out,
// counting on the monotonic clock from before it asked for the renewal. Clocks
// of different machines are never compared, but a clock may not run faster or
// slower than another by more than Margin/TTL (10 % by default).
package election
