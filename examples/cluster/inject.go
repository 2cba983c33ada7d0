package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"github.com/proget-go/ha/internal/netfault"
)

// pick returns the primary for the role index, and any web node for web.
func (s *suite) pick(role string) (*process, error) {
	leads := s.watch.primary()
	var of []*process
	for _, n := range s.nodes {
		if n.Role == role && (role != "index" || n.Name == leads) {
			of = append(of, n)
		}
	}
	if len(of) == 0 {
		return nil, fmt.Errorf("no %s node to hit", role)
	}
	return of[rand.N(len(of))], nil
}

func (s *suite) killed(role string) injection {
	return func(context.Context) (func(context.Context) error, error) {
		p, err := s.pick(role)
		if err != nil {
			return nil, err
		}
		_ = p.cmd.Process.Kill()
		<-p.ended
		return func(context.Context) error { return s.run(p) }, nil
	}
}

func (s *suite) paused(role string) injection {
	return func(context.Context) (func(context.Context) error, error) {
		p, err := s.pick(role)
		if err != nil {
			return nil, err
		}
		pause(p.cmd.Process)
		return func(context.Context) error { resume(p.cmd.Process); return nil }, nil
	}
}

// restarted restarts one node after the other.
func (s *suite) restarted(ctx context.Context) (func(context.Context) error, error) {
	for _, n := range s.nodes {
		if err := s.restart(ctx, n, n.server); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// upgraded restarts one node after the other as the next version. After the first has
// changed the schema, a node of the former version must still be able to start. If all
// are of the next version already, they first go back to the former one.
func (s *suite) upgraded(ctx context.Context) (func(context.Context) error, error) {
	if s.newer {
		for _, n := range s.nodes {
			if err := s.restart(ctx, n, s.options.server); err != nil {
				return nil, err
			}
		}
	}
	s.newer = true
	last := s.nodes[len(s.nodes)-1]
	for i, n := range s.nodes {
		if err := s.restart(ctx, n, s.next); err != nil {
			return nil, err
		}
		if i > 0 {
			continue
		}
		if err := s.restart(ctx, last, last.server); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// restart restarts a node, perhaps as another version, and waits until it is back. If
// it led, restart first waits until another does.
func (s *suite) restart(ctx context.Context, n *process, server string) error {
	n.server = server
	led := s.watch.primary() == n.Name
	if err := s.end(ctx, n); err != nil {
		return err
	}
	if led {
		s.awaitOther(ctx, "it had stopped in order", n.Name, s.watch.ledUntil(n.Name), toldWithin, 0)
	}
	if err := s.run(n); err != nil {
		return err
	}
	return s.inTraffic(ctx, n)
}

// noticing is how long the load balancer may take to notice that a node is ready.
const noticing = 1500 * time.Millisecond

// inTraffic waits until a node is ready and the load balancer has noticed.
func (s *suite) inTraffic(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	err := s.watch.await(ctx, func(nodes map[string]sight) bool { return nodes[p.Name].ready })
	if err != nil {
		return fmt.Errorf("%s is not ready: %w; its log is %s", p.Name, err, p.log)
	}
	return sleep(ctx, noticing)
}

// end tells a node to stop, and waits until it has.
func (s *suite) end(ctx context.Context, p *process) error {
	terminate(p.cmd.Process)
	select {
	case <-p.ended:
		return nil
	case <-time.After(recovery):
		return fmt.Errorf("%s does not stop", p.Name)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// scaled adds the spare web nodes; undoing it removes them.
func (s *suite) scaled(ctx context.Context) (func(context.Context) error, error) {
	for _, p := range s.spares {
		p.server = s.nodes[0].server // perhaps the next version
		if err := s.run(p); err != nil {
			return s.removed, err
		}
		s.nodes = append(s.nodes, p)
		if err := s.inTraffic(ctx, p); err != nil {
			return s.removed, err
		}
	}
	return s.removed, nil
}

// removed removes the spare web nodes that run.
func (s *suite) removed(ctx context.Context) error {
	for _, p := range s.spares {
		if !slices.Contains(s.nodes, p) {
			continue
		}
		if err := s.end(ctx, p); err != nil {
			return err
		}
		s.nodes = slices.DeleteFunc(s.nodes, func(n *process) bool { return n == p })
	}
	return nil
}

// cut cuts one node off.
func (s *suite) cut(role string, of func(*links) network) injection {
	return func(context.Context) (func(context.Context) error, error) {
		p, err := s.pick(role)
		if err != nil {
			return nil, err
		}
		between := of(s.links[p.Name])
		between.each((*netfault.Proxy).Cut)
		return func(context.Context) error { between.each((*netfault.Proxy).Heal); return nil }, nil
	}
}

// each applies do to the connections of all nodes, and undo to undo it.
func (s *suite) each(of func(*links) network, do, undo func(*netfault.Proxy)) injection {
	return func(context.Context) (func(context.Context) error, error) {
		for _, n := range s.nodes {
			of(s.links[n.Name]).each(do)
		}
		return func(context.Context) error {
			for _, n := range s.nodes {
				of(s.links[n.Name]).each(undo)
			}
			return nil
		}, nil
	}
}

// broken breaks all connections again and again, for three seconds.
func (s *suite) broken(of func(*links) network) injection {
	return func(ctx context.Context) (func(context.Context) error, error) {
		for range 15 {
			for _, n := range s.nodes {
				of(s.links[n.Name]).each((*netfault.Proxy).Break)
			}
			if err := sleep(ctx, 200*time.Millisecond); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

func (s *suite) noClocks(between *links) string {
	if between.clock == "" {
		return "nodes of one machine have one clock; give -db the URL of a database server"
	}
	if s.clocks {
		return ""
	}
	return "the server's binary was given, so its clock is this machine's"
}

// jumped sets the clock of one node forward and that of another back; one of the two is
// the primary.
func (s *suite) jumped(context.Context) (func(context.Context) error, error) {
	leader, err := s.pick("index")
	if err != nil {
		return nil, err
	}
	web, err := s.pick("web")
	if err != nil {
		return nil, err
	}
	set := func(p *process, seconds string) error {
		return os.WriteFile(s.links[p.Name].clock, []byte(seconds), 0o600)
	}
	undo := func(context.Context) error { return errors.Join(set(leader, "0"), set(web, "0")) }
	return undo, errors.Join(set(leader, "600"), set(web, "-600"))
}

func noStorage(between *links) string {
	if between.folder == "" && between.storage == nil {
		return "the storage is neither a folder nor has it an endpoint of its own"
	}
	return ""
}

// storageAway takes the storage from one node of a role, or from all for "".
func (s *suite) storageAway(role string) injection {
	return func(context.Context) (func(context.Context) error, error) {
		hit := s.nodes
		if role != "" {
			p, err := s.pick(role)
			if err != nil {
				return nil, err
			}
			hit = []*process{p}
		}
		var back []func() error
		undo := func(context.Context) (err error) {
			for _, put := range back {
				err = errors.Join(err, put())
			}
			return err
		}
		for _, p := range hit {
			put, err := s.links[p.Name].takeStorage()
			if err != nil {
				return undo, err
			}
			back = append(back, put)
		}
		return undo, nil
	}
}

// takeStorage takes the storage away, and returns how to put it back.
func (l *links) takeStorage() (back func() error, err error) {
	if l.storage != nil {
		l.storage.each((*netfault.Proxy).Cut)
		return func() error { l.storage.each((*netfault.Proxy).Heal); return nil }, nil
	}
	aside := l.folder + ".away"
	return func() error { return os.Rename(aside, l.folder) }, os.Rename(l.folder, aside)
}

// filled fills the disk of the storage.
func (s *suite) filled(context.Context) (func(context.Context) error, error) {
	return func(context.Context) error { return s.disk.empty() }, s.disk.fill()
}

// commanded runs a command of the user's.
func commanded(command string) injection {
	return func(ctx context.Context) (func(context.Context) error, error) {
		name, flag := "sh", "-c"
		if runtime.GOOS == "windows" {
			name, flag = "cmd", "/C"
		}
		if out, err := exec.CommandContext(ctx, name, flag, command).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(out))
		}
		return nil, nil
	}
}
