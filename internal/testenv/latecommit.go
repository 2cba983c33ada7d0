package testenv

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A LateCommits is a proxy to a PostgreSQL server that breaks the connection of a
// transaction's client while the commit is on its way.
type LateCommits struct {
	listener net.Listener
	target   string
	armed    atomic.Pointer[lateCommit]
	closed   atomic.Bool // the proxy admits nobody
	lost     atomic.Int64
	all      sync.WaitGroup
}

type lateCommit struct {
	delay time.Duration
	close bool
}

// StartLateCommits starts a proxy to the server at target, which stops with the test.
func StartLateCommits(t testing.TB, target string) *LateCommits {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &LateCommits{listener: l, target: target}
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.all.Wait()
	})
	return p
}

// Host returns the proxy's address.
func (p *LateCommits) Host() string { return p.listener.Addr().String() }

// LoseNext breaks the connection of the client that sends the next commit, which
// reaches the server after delay.
func (p *LateCommits) LoseNext(delay time.Duration) { p.armed.Store(&lateCommit{delay: delay}) }

// CloseWithNext is like LoseNext without a delay; the proxy then admits nobody until
// Open.
func (p *LateCommits) CloseWithNext() { p.armed.Store(&lateCommit{close: true}) }

// Open makes the proxy admit clients again.
func (p *LateCommits) Open() { p.closed.Store(false) }

// Lost returns how many commits have arrived without their clients.
func (p *LateCommits) Lost() int64 { return p.lost.Load() }

func (p *LateCommits) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

func (p *LateCommits) serve(client *net.TCPConn) {
	defer client.Close()
	if p.closed.Load() {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	answered := make(chan struct{})
	p.all.Go(func() {
		defer close(answered)
		_, _ = io.Copy(client, server) // ends with either connection, as an answer to a lost client cannot be written
		_ = client.Close()
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if late := p.armed.Load(); late != nil && bytes.Contains(buffer[:n], []byte("commit")) && p.armed.CompareAndSwap(late, nil) {
			p.lose(client, late)
			_, _ = server.Write(buffer[:n])
			<-answered
			p.lost.Add(1)
			return
		}
		if _, failed := server.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// lose resets the client's connection, so that the client does not wait for an answer.
func (p *LateCommits) lose(client *net.TCPConn, late *lateCommit) {
	p.closed.Store(late.close)
	_ = client.SetLinger(0)
	_ = client.Close()
	time.Sleep(late.delay)
}
