package bleve_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// killFolder names the folder of the index that a process of TestKilled fills.
const killFolder = "PROGET_TEST_KILLED_INDEX"

// TestKilled: a process that is killed while it writes loses nothing that it was told is written.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killFolder); dir != "" {
		fillUntilKilled(t, dir)
	}
	t.Parallel()
	dir := t.TempDir()
	for round := range 10 {
		written := killAfter(t, dir, 1+round%4)
		x := open(t, dir)
		position, _ := x.Position(1)
		require.GreaterOrEqual(t, position, int64(written))
		require.EqualValues(t, position*50, total(t, x, "company"), "position and packages belong together")
		require.NoError(t, x.Close())
	}
}

// fillUntilKilled writes the position to standard output after each update.
func fillUntilKilled(t *testing.T, dir string) {
	x := open(t, dir)
	for position, _ := x.Position(1); ; position++ {
		fmt.Println(fillBatch(t, x, fmt.Sprint("lot", position)))
	}
}

// killAfter kills a process that fills the index after so many updates, and returns the last
// position that it wrote.
func killAfter(t *testing.T, dir string, updates int) (position int) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$", "-test.count=1")
	cmd.Env = append(os.Environ(), killFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range updates {
		require.True(t, lines.Scan(), "it ended by itself")
		position, err = strconv.Atoi(lines.Text())
		require.NoError(t, err, lines.Text())
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	return position
}
