package main_test

import (
	"bufio"
	"encoding/json"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPausedNodeEnds: a node that stands still ends with a cluster that is killed.
func TestPausedNodeEnds(t *testing.T) {
	t.Parallel()
	cmd := command(t, "-web", "1", "-index", "0", "-json")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	var c cluster
	require.NoError(t, json.Unmarshal(line, &c))
	node, err := url.Parse(c.Nodes[0].URL)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(c.Nodes[0].PID, syscall.SIGSTOP))
	killCluster(t, cmd)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", node.Host) // which the system answers for one that is paused
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, time.Minute, 20*time.Millisecond)
}
