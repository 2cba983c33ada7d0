// Package ports finds TCP ports for servers that are about to start, and keeps
// them.
//
// A port that is merely found free can be taken before its server listens: by
// another process that looks for one, or by a connection that the system gives it
// to. Neither happens to those that are reserved here. They are below the ports
// that systems give to connections, and whoever reserves one holds the UDP port of
// the same number, which nothing else uses, for as long as the server may start, or
// start again.
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

// Reserve returns a TCP address of the host, such as 127.0.0.1:12345, on which
// nobody listens, and which no other call returns, in whatever process of this
// machine, until the reservation is closed.
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
