package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// TestUnwritten: what has pages of its own, in memory or in swap, would be lost, and is left
// alone, as are other files.
func TestUnwritten(t *testing.T) {
	t.Parallel()
	all, err := unwritten(strings.NewReader(`00400000-00401000 r-xp 00000000 fe:00 1      /a folder/server
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex
00401000-00402000 r--p 00001000 fe:00 1      /a folder/server
Anonymous:             4 kB
Swap:                  0 kB
00402000-00403000 r--p 00001000 fe:00 1      /a folder/server
Anonymous:             0 kB
Swap:                  4 kB
00403000-00404000 rw-p 00002000 fe:00 1      /a folder/server
Anonymous:             0 kB
00404000-00405000 r--p 00000000 00:00 0
Anonymous:             0 kB
00405000-00406000 r-xp 00000000 fe:00 2      /lib/another/server
Anonymous:             0 kB
ffff00405000-ffff00407000 r--p 00000000 fe:00 1      /a folder/server
Anonymous:             0 kB
Swap:                  0 kB
`), "/a folder/server")
	require.NoError(t, err)
	require.Equal(t, []mapping{{0x400000, 0x401000}, {0xffff00405000, 0xffff00407000}}, all)
	_, err = unwritten(strings.NewReader("what is this? /server\n"), "/server")
	require.Error(t, err)
	all, err = unwritten(io.MultiReader(strings.NewReader("00400000-00401000 r-xp 00000000 fe:00 1      /server\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), "/server")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Empty(t, all, "what follows is not known")
}

// TestUnmapProgram: the program takes less memory.
func TestUnmapProgram(t *testing.T) {
	resident := func() (kib int) {
		status, err := os.ReadFile("/proc/self/status")
		require.NoError(t, err)
		_, rest, _ := strings.Cut(string(status), "RssFile:")
		_, err = fmt.Sscan(rest, &kib)
		require.NoError(t, err)
		return kib
	}
	before := resident()
	require.NoError(t, unmapProgram())
	require.Less(t, resident(), before)
}
