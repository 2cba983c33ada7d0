package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// show prints the table, and again whenever it changes, until ctx ends. On a
// terminal it stays in its place.
func (c *cluster) show(ctx context.Context) {
	fmt.Printf("\nLoad balancer  %s   (%s)\nPassword       %s   (of user Admin)\nAPI key        %s\nData and logs  %s\n\nCtrl-C stops everything. Kill a process by its PID to see what happens.\n\n",
		c.balancer.URL, c.balancer.kind, c.secrets.AdminPassword, c.secrets.APIKey, c.options.data)
	terminal := false
	if info, err := os.Stdout.Stat(); err == nil {
		terminal = info.Mode()&os.ModeCharDevice != 0
	}
	var last string
	for ctx.Err() == nil {
		c.look(ctx)
		if table := c.table(); table != last {
			if last != "" && terminal {
				fmt.Printf("\x1b[%dA\x1b[J", bytes.Count([]byte(last), []byte("\n"))) // up, and clear what is below
			}
			fmt.Print(table)
			last = table
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	fmt.Println("\nstopping …")
}

func (c *cluster) table() string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLE\tURL\tPID\tSTATE")
	for _, n := range c.nodes {
		state := n.state
		if n.primary {
			state += ", primary"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", n.Name, n.Role, n.URL, n.PID, state)
	}
	_ = w.Flush() // a bytes.Buffer does not fail
	return b.String()
}
