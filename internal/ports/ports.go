// Package ports finds TCP ports for servers that are about to start, and reserves them.
//
// A port that is merely found free can be taken before its server listens: by another
// process that looks for one, or by a connection to which the system assigns it.
// Neither happens to reserved ports. They are below the range that systems assign to
// connections, and their reservation holds the UDP port of the same number, which
// nothing else uses, for as long as the server may start or restart.
package ports

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	first = 10_000
	count = 20_000
	tries = 100
)

// Reserve returns a TCP address of host, such as 127.0.0.1:12345, on which nobody
// listens. No other call in any process of this machine returns the same address until
// the reservation is closed.
func Reserve(host string) (address string, reservation io.Closer, err error) {
	for range tries {
		address = net.JoinHostPort(host, strconv.Itoa(first+rand.N(count)))
		if reservation, err = reserve(address); err == nil {
			return address, reservation, nil
		}
	}
	return "", nil, fmt.Errorf("find a free port: %w", err)
}

func reserve(address string) (io.Closer, error) {
	reservation, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		_ = reservation.Close()
		return nil, err
	}
	return reservation, nil
}
