package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is a small file system that only this process's main thread and its child
// processes can see. It ends with them.
type disk struct{ dir string }

// diskSize is enough for what the load stores.
const diskSize = "1g"

// newDisk makes one at a folder.
func newDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	err := syscall.Unshare(syscall.CLONE_NEWNS)
	if err == nil { // what is mounted from now on is seen by nobody else
		err = syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	}
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+diskSize)
	}
	if err != nil {
		return nil, fmt.Errorf("a small disk needs the rights of root: %w", err)
	}
	return &disk{dir}, nil
}

func (d *disk) balloon() string { return filepath.Join(d.dir, "balloon") }

// fill takes all the room there is.
func (d *disk) fill() error {
	f, err := os.Create(d.balloon())
	if err != nil {
		return err
	}
	defer f.Close()
	for piece := make([]byte, 1<<20); ; {
		_, err := f.Write(piece)
		if errors.Is(err, syscall.ENOSPC) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// keep replaces the disk by a folder with its content, for those who come after this
// process.
func (d *disk) keep() error {
	kept := d.dir + ".kept"
	err := d.empty()
	if err == nil {
		err = os.CopyFS(kept, os.DirFS(d.dir))
	}
	if err == nil {
		err = syscall.Unmount(d.dir, syscall.MNT_DETACH)
	}
	if err == nil {
		err = os.Remove(d.dir)
	}
	if err == nil {
		err = os.Rename(kept, d.dir)
	}
	return err
}

// empty gives the room back.
func (d *disk) empty() error {
	if err := os.Remove(d.balloon()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
