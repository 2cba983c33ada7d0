// Package etcd keeps leases in etcd, version 3.4 or newer.
//
// A term is a key under an etcd lease of its own, so that etcd ends it by itself,
// and a number that is kept beside it for good:
//
//	PREFIX/OFFICE/term    the term as JSON, under its lease; gone when the term is over
//	PREFIX/OFFICE/number  the greatest number that a term has had
//
// Both change in one transaction, which compares the revisions of what was read.
// So two candidates cannot both win, and a number is given once. The numbers are
// not etcd's revisions, which begin anew when the data was lost; ours go on from
// election.Candidacy.Above then.
//
// # What is guaranteed
//
// What etcd answers is linearizable, but no lock by lease excludes a holder that
// was paused: Jepsen's report on etcd 3.4.3 says so of etcd's own. A leader's
// effects are guarded by their fence, here as with any driver.
//
// etcd counts in whole seconds, and takes up to one to notice that a lease has
// run out. So that the office is free when the time is over that a candidate asks
// for, the lease has a second less, and whole ones: 4 s of 5 s, and of 2 s one,
// which is the least. That is what Acquire says was granted. An etcd whose
// shortest lease is longer, 2 s by default, keeps it for so long: a holder that
// counts by what was granted then stops earlier than it must, which is safe. So
// it is when a change of etcd's leader lets all leases begin anew.
package etcd
