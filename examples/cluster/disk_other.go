//go:build !linux

package main

import "errors"

// disk is a small file system, which this system does not let a process have.
type disk struct{ dir string }

var errNoDisk = errors.New("only Linux lets a process have a small disk of its own")

func newDisk(string) (*disk, error) { return nil, errNoDisk }

func (d *disk) fill() error { return errNoDisk }

func (d *disk) keep() error { return errNoDisk }

func (d *disk) empty() error { return errNoDisk }
