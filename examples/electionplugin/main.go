// Command electionplugin is an example of a program that keeps leases for servers: in a
// file for each office, in a folder that all of them use.
//
//	server -elect "plugin:/opt/electionplugin /var/lib/election"
//
// It counts expiry by the machine's clock, and a lock of the machine's kernel guards
// the files. So it is for servers on one machine, each of which runs its own process of
// this program. Over NFS, where locks may work, it would compare the clocks of
// different machines: a lease would end early or late by as much as they differ, and
// early means that two primaries work for a while. The fence would refuse the former
// one's writes, as it always does.
package main

import (
	"fmt"
	"os"

	"github.com/proget-go/ha/election/electionplugin"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "electionplugin: give the folder for the leases, which must exist, as the only argument")
		os.Exit(2)
	}
	d, err := newFolder(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "electionplugin:", err)
		os.Exit(1)
	}
	electionplugin.Serve(d)
}
