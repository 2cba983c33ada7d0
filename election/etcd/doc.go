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
// etcd counts in whole seconds, and its servers have a shortest lease of their
// own (2 s by default). So a lease is the next whole second, or longer: a holder
// that counts by what it asked for stops earlier than it must, which is safe. A
// change of etcd's leader lets all leases begin anew.
package etcd
