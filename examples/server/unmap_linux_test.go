package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnwritten: what has pages of its own is left alone, or they would be lost.
func TestUnwritten(t *testing.T) {
	t.Parallel()
	all, err := unwritten(strings.NewReader(`00400000-00401000 r-xp 00000000 fe:00 1      /server
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd ex
00401000-00402000 r--p 00001000 fe:00 1      /library, relocated
Anonymous:             4 kB
00402000-00403000 rw-p 00002000 fe:00 1      /data
Anonymous:             0 kB
00403000-00404000 r--p 00000000 00:00 0
Anonymous:             0 kB
00404000-00405000 r-xp 00000000 00:00 0      [vdso]
Anonymous:             0 kB
ffff00405000-ffff00407000 r--s 00000000 fe:00 2      /index
Anonymous:             0 kB
`))
	require.NoError(t, err)
	require.Equal(t, []mapping{{0x400000, 0x401000}, {0xffff00405000, 0xffff00407000}}, all)
	_, err = unwritten(strings.NewReader("what is this?\n"))
	require.Error(t, err)
}

// TestUnmapFiles: the program takes less memory, and goes on.
func TestUnmapFiles(t *testing.T) {
	resident := func() int {
		status, err := os.ReadFile("/proc/self/status")
		require.NoError(t, err)
		_, rest, _ := bytes.Cut(status, []byte("RssFile:"))
		kib := 0
		for _, c := range bytes.TrimSpace(rest) {
			if c < '0' || c > '9' {
				break
			}
			kib = 10*kib + int(c-'0')
		}
		return kib
	}
	before := resident()
	require.NoError(t, unmapFiles())
	require.Less(t, resident(), before)
}
