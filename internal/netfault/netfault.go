// Package netfault provides a TCP proxy that does to connections what networks do: it
// cuts them off, breaks them, and delays what they carry.
package netfault

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Proxy forwards connections to one address. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	target string
	conns  map[net.Conn]bool
	ended  bool
	gate   chan struct{} // nil while bytes get through; closed when they get through again
	delay  time.Duration
	loss   float64
	lose   func(sent []byte) bool
}

// Listen starts a proxy to the address target, on a free port of 127.0.0.1.
func Listen(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: l, conns: make(map[net.Conn]bool)}
	p.running.Go(p.accept)
	return p, nil
}

// Address returns where the proxy listens, as host:port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Close ends all connections and waits for the proxy's goroutines.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.ended = true // for connections that were held back until now
	p.delay, p.loss = 0, 0
	p.mu.Unlock()
	p.Heal()
	p.Break()
	p.running.Wait()
}

// Point makes new connections go to the address target.
func (p *Proxy) Point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut stops all bytes in both directions while connections stay open, which is how both
// sides see a lost network.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate == nil {
		p.gate = make(chan struct{})
	}
}

// Heal lets bytes through again.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate != nil {
		close(p.gate)
		p.gate = nil
	}
}

// Break closes all connections.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// Delay delays every piece by d.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// retransmission is the minimum time after which Linux resends what was not
// acknowledged (TCP_RTO_MIN).
const retransmission = 200 * time.Millisecond

// Lose makes a share of all pieces, from 0 to 1, get lost. As with TCP, a lost piece
// arrives late, when it has been sent again; the delay doubles with each further loss.
func (p *Proxy) Lose(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = share
}

// LoseAnswer breaks a connection whenever lose returns true for what the client sent,
// after passing that on and before the answer returns.
func (p *Proxy) LoseAnswer(lose func(sent []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = lose
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.pass()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	ended := p.ended
	p.mu.Unlock()
	if !ended {
		var both sync.WaitGroup
		both.Go(func() { p.pump(server, client, true) })
		both.Go(func() { p.pump(client, server, false) })
		both.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// pass waits until bytes may pass.
func (p *Proxy) pass() {
	p.mu.Lock()
	gate, wait, loss := p.gate, p.delay, p.loss
	p.mu.Unlock()
	if gate != nil {
		<-gate
	}
	for again := retransmission; loss > 0 && rand.Float64() < loss; again *= 2 {
		wait += again
	}
	time.Sleep(wait)
}

func (p *Proxy) pump(to, from net.Conn, requests bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.pass()
			lost := requests && p.loses(buf[:n])
			if lost {
				_ = from.Close() // first, so that no answer gets back
			}
			if _, err := to.Write(buf[:n]); err != nil || lost {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) loses(sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lose != nil && p.lose(sent)
}
