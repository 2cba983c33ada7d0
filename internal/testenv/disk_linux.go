package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// SmallDisk mounts a file system of 8 MiB until the test ends.
func SmallDisk(t testing.TB) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "a small file system", "run the test as root")
	}
	dir = t.TempDir()
	for _, name := range []string{"mkfs.ext4", "mount", "umount"} {
		Program(t, "apt-get install e2fsprogs mount", name)
	}
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 8<<20))
	out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", image).CombinedOutput()
	require.NoError(t, err, string(out))
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		Missing(t, "a loop device", "allow this system to mount one: "+string(out))
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", dir).CombinedOutput()
		require.NoError(t, err, string(out))
	})
	return dir
}
