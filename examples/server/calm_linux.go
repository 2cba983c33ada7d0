package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Go's runtime has a thread that looks after the others. While the process is not idle,
// it sleeps for 20 µs at a time, and takes the processor from a goroutine that is still
// in the same system call, for example to flush a file, and starts another thread to use
// it. For a server that waits a lot, both cost more than they gain.
//
// Linux lets the sleeps of a thread be late by its timer slack. A thread has the slack of
// the one that made it, and a program that of the one in whose place it runs
// (PR_SET_TIMERSLACK(2const)). No program can set that of the runtime's thread otherwise
// without privileges.
const (
	usualSlack = 50 * time.Microsecond // Linux's
	calmSlack  = time.Millisecond
)

// restarted is the environment variable that tells a process, by its number, that it was
// restarted by becomeCalm.
const restarted = "PROGET_SERVER_RESTARTED"

var calm = os.Getenv(restarted) == strconv.Itoa(os.Getpid())

// becomeCalm gives the thread that looks after the others the longer slack: it runs this
// program anew, in the same process, and then gives the other threads the usual slack
// again. It does nothing if whoever starts the server has decided on another slack.
func becomeCalm() {
	if calm {
		keepOthersUsual()
		_ = os.Unsetenv(restarted)
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	program, err := os.Executable()
	if err != nil || slack() != usualSlack || setSlack(calmSlack) != nil {
		return
	}
	_ = syscall.Exec(program, os.Args, append(os.Environ(), restarted+"="+strconv.Itoa(os.Getpid())))
	_ = setSlack(usualSlack) // it could not be run anew
}

// keepOthersUsual sets the slack of the threads that run goroutines, from which later
// ones have it. The runtime may have made one more meanwhile.
func keepOthersUsual() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	var set sync.WaitGroup
	set.Add(len(threads))
	for range threads {
		go func() {
			_ = setSlack(usualSlack) // first: locking lets the runtime make a thread, of which it makes others
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			set.Done()
			set.Wait() // each is on a thread of its own
		}()
	}
	set.Wait()
}

// slack returns the timer slack of the calling thread, 0 if it is unknown.
func slack() time.Duration {
	ns, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(max(ns, 0))
}

func setSlack(d time.Duration) error {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d.Nanoseconds()), 0, 0, 0)
}
