// Command electionplugin is a program that keeps leases for servers, as an
// example of one: in a file of a folder that all of them use.
//
//	server -elect "plugin:/opt/electionplugin /var/lib/election"
//
// Expiry is counted by the machine's clock, and the file is guarded by a lock of
// the machine's kernel. So this one is for the processes of one machine, each
// with its own process of this program. Over NFS, where locks may work, the
// machines' clocks would be compared with each other: a lease would end early or
// late by as much as they differ, and early means that two primaries work for a
// while. The fence would refuse what the former one writes, as it always does.
package main

import (
	"fmt"
	"os"

	"github.com/proget-go/ha/election/electionplugin"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "electionplugin: name the folder for the leases")
		os.Exit(2)
	}
	d, err := newFolder(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "electionplugin:", err)
		os.Exit(1)
	}
	electionplugin.Serve(d)
}
