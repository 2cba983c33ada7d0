// Package etcd keeps leases in etcd, version 3.4 or newer.
//
// A term is a key under its own etcd lease, so that etcd itself ends the term. Beside
// it is a number that stays for good:
//
//	PREFIX/OFFICE/term    the term as JSON, under its lease; gone when the term is over
//	PREFIX/OFFICE/number  the greatest number that a term has had
//
// One transaction changes both, and compares the revisions of what was read. So two
// candidates cannot both win, and each number is given once. The numbers are not etcd's
// revisions, which restart when the data is lost; ours then continue from
// election.Candidacy.Above.
//
// # What is guaranteed
//
// What etcd answers is linearizable, but no lease-based lock excludes a holder that was
// paused: Jepsen's report on etcd 3.4.3 says so of etcd's own locks. As with any
// driver, the fence guards a leader's effects.
//
// etcd counts in whole seconds and takes up to one to notice that a lease has run out.
// So that the office is free when a candidate's TTL is over, the lease is a second
// shorter, in whole seconds: 4 s for a TTL of 5 s, and 1 s, the minimum, for 2 s.
// Acquire returns that as the TTL granted. An etcd with a longer minimum, 2 s by
// default, keeps the lease for that time; a holder that counts by what was granted then
// stops earlier than it must, which is safe. The same holds when all leases restart
// because etcd's leader changes.
package etcd
