package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram takes the program's own file out of the process's memory, most of which only
// the start reads. It stays in the kernel's cache, and what is used again is mapped again.
// Other files are left alone: they may be unmapped, and their addresses used for something
// else, before a list of them is acted on.
func unmapProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer smaps.Close()
	all, err := unwritten(smaps, program)
	if err != nil {
		return err
	}
	for _, m := range all {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			err = errors.Join(err, fmt.Errorf("unmap %x-%x: %w", m.from, m.to, errno))
		}
	}
	return err
}

// A mapping is a range of the process's addresses.
type mapping struct{ from, to uintptr }

// unwritten returns the mappings of a file that have nothing but what the file has: those
// that cannot be written to, and have no page that was written earlier, as relocated
// tables have, neither in memory nor in swap. For the format of smaps see
// proc_pid_smaps(5).
func unwritten(smaps io.Reader, file string) (all []mapping, err error) {
	candidate := false // the newest of all, whose lines are being read
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) < 2:
		case !strings.HasSuffix(fields[0], ":"): // the first line: range, permissions, offset, device, inode, path
			candidate = strings.HasSuffix(lines.Text(), " "+file) && !strings.Contains(fields[1], "w")
			if !candidate {
				continue
			}
			var m mapping
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &m.from, &m.to); err != nil {
				return nil, fmt.Errorf("read the range of a mapping: %q: %w", lines.Text(), err)
			}
			all = append(all, m)
		case candidate && (fields[0] == "Anonymous:" || fields[0] == "Swap:") && fields[1] != "0":
			all, candidate = all[:len(all)-1], false
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the process's mappings: %w", err) // the last one may have been written to
	}
	return all, nil
}
