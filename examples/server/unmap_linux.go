package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapFiles takes the mapped files out of the process's memory: the program and the
// search index, most of which only the start reads. They stay in the kernel's cache, and
// what is used again is mapped again.
func unmapFiles() error {
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer smaps.Close()
	all, err := unwritten(smaps)
	if err != nil {
		return err
	}
	for _, m := range all {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("unmap %x-%x: %w", m.from, m.to, errno)
		}
	}
	return nil
}

// A mapping is a range of the process's addresses.
type mapping struct{ from, to uintptr }

// unwritten returns the mappings that have nothing but what their file has: those that
// cannot be written to, and have no page that was written earlier, as the relocated tables
// of a library have. For the format of smaps see proc_pid_smaps(5).
func unwritten(smaps io.Reader) (all []mapping, err error) {
	var present mapping
	candidate := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		switch fields := strings.Fields(lines.Text()); {
		case len(fields) == 0:
		case !strings.HasSuffix(fields[0], ":"): // the first line of a mapping: range, permissions, offset, device, inode, path
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &present.from, &present.to); err != nil {
				return nil, fmt.Errorf("read the range of a mapping: %q: %w", lines.Text(), err)
			}
			candidate = len(fields) > 5 && strings.HasPrefix(fields[5], "/") && !strings.Contains(fields[1], "w")
		case fields[0] == "Anonymous:" && len(fields) > 1 && fields[1] == "0" && candidate: // pages that are no longer the file's
			all = append(all, present)
		}
	}
	return all, lines.Err()
}
