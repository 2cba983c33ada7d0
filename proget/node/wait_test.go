package node_test

import "time"

// How long a test waits for what will happen, and how often it looks.
const (
	waitLong  = 10 * time.Second
	waitShort = 10 * time.Millisecond
)
