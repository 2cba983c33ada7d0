package electionplugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/election/electionplugin/internal/wire"
)

const (
	startWithin = 10 * time.Second // time for a program to begin to serve
	endWithin   = 3 * time.Second  // time for it to end, before it is killed
	pace        = time.Second      // minimum time between starts
)

var (
	errClosed = errors.New("the plugin has been closed")
	errSlow   = fmt.Errorf("it does not serve after %s", startWithin)
)

// Options configure a Plugin. The zero value is ready to use.
type Options struct {
	// Env holds variables, as NAME=value, for the program's environment besides those
	// that any program needs (see the package's description).
	Env    []string
	Logger *slog.Logger // default: slog.Default()
}

// A Plugin is an election.Driver that runs in its own process.
type Plugin struct {
	path string
	args []string
	env  []string
	log  *slog.Logger

	open context.Context // ends with Close
	end  context.CancelCauseFunc
	work sync.WaitGroup // starts and kills under way

	mu      sync.Mutex
	closed  bool
	current *attempt
	next    time.Time // earliest time of the next start
}

// Open starts the program at path, which it finds as a shell does, with args. It
// returns when the program serves, or an error after 10 seconds. If ctx ends before
// that, Open ends the program.
func Open(ctx context.Context, path string, args []string, opts *Options) (*Plugin, error) {
	if opts == nil {
		opts = &Options{}
	}
	log := opts.Logger
	if log == nil {
		log = slog.Default()
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("the election plugin: %w", err)
	}
	p := &Plugin{path: found, args: args, env: opts.Env, log: log.With("plugin", path)}
	p.open, p.end = context.WithCancelCause(context.Background())
	if _, err := p.process(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close ends the process. Call it after leaders have released their offices.
func (p *Plugin) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.end(errClosed)
	last := p.current
	p.mu.Unlock()
	p.work.Wait()
	if last != nil && last.process != nil {
		last.process.kill()
	}
	return nil
}

// An attempt is one start of the program and the resulting process.
type attempt struct {
	done    chan struct{} // closed when process and err are set
	process *process
	err     error
}

type process struct {
	end       context.CancelFunc // kills the process at once
	client    *plugin.Client
	election  wire.ElectionClient
	abandoned bool // guarded by the Plugin's lock
	killing   sync.Once
}

// process returns the running process, and starts one if necessary.
func (p *Plugin) process(ctx context.Context) (*process, error) {
	a, err := p.attempt()
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
		return a.process, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the plugin %s to start: %w", p.path, ctx.Err())
	}
}

func (p *Plugin) attempt() (*attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if p.current == nil || p.current.over() {
		p.begin()
	}
	return p.current, nil
}

// over reports whether the attempt failed or its process is gone. The caller holds the
// Plugin's lock.
func (a *attempt) over() bool {
	select {
	case <-a.done:
		return a.err != nil || a.process.abandoned || a.process.client.Exited()
	default:
		return false
	}
}

// begin starts the program as soon as the pace permits, even if nobody waits any more.
func (p *Plugin) begin() {
	if p.current != nil && p.current.process != nil {
		p.work.Go(p.current.process.kill) // at least its connection remains
	}
	at := time.Now()
	if at.Before(p.next) {
		at = p.next
	}
	p.next = at.Add(pace)
	a := &attempt{done: make(chan struct{})}
	p.current = a
	p.work.Go(func() {
		defer close(a.done)
		select {
		case <-time.After(time.Until(at)):
			a.process, a.err = p.start()
		case <-p.open.Done():
			a.err = errClosed
		}
	})
}

// start returns when the program has answered. It then removes the folder of the
// socket, which is only needed to connect, so that a server killed later leaves none.
func (p *Plugin) start() (*process, error) {
	sockets, err := os.MkdirTemp("", "election-")
	if err != nil {
		return nil, fmt.Errorf("start the plugin %s: %w", p.path, err)
	}
	defer os.RemoveAll(sockets)
	life, end := context.WithCancel(context.Background())
	starting, cancel := context.WithTimeoutCause(p.open, startWithin, errSlow)
	defer cancel()
	defer context.AfterFunc(starting, end)()
	cmd := exec.CommandContext(life, p.path, p.args...)
	cmd.Env = slices.Concat(environment(), p.env, []string{plugin.EnvUnixSocketDir + "=" + sockets})
	started := &process{end: end, client: plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake(),
		Plugins:          plugin.PluginSet{service: new(bridge)},
		Cmd:              cmd,
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		StartTimeout:     2 * startWithin, // starting ends before
		Logger:           hclogTo(p.log),
	})}
	if err := started.connect(); err != nil {
		if starting.Err() != nil {
			err = context.Cause(starting)
		}
		started.kill()
		return nil, fmt.Errorf("start the plugin %s: %w", p.path, err)
	}
	return started, nil
}

// connect runs the program and waits for its first answer.
func (p *process) connect() error {
	protocol, err := p.client.Client()
	if err != nil {
		return err
	}
	stub, err := protocol.Dispense(service)
	if err != nil {
		return err
	}
	p.election = stub.(wire.ElectionClient)
	return protocol.Ping()
}

// kill asks the process to end, and kills it after endWithin.
func (p *process) kill() {
	p.killing.Do(func() {
		force := time.AfterFunc(endWithin, p.end)
		defer force.Stop()
		p.client.Kill()
		p.end()
	})
}

// abandon makes the next call restart the program.
func (p *Plugin) abandon(gone *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || gone.abandoned {
		return
	}
	gone.abandoned = true
	p.work.Go(gone.kill)
}

// ask makes one call.
func (p *Plugin) ask(ctx context.Context, what, office string, call func(wire.ElectionClient) (*wire.Answer, error)) (*wire.Lease, error) {
	running, err := p.process(ctx)
	if err != nil {
		return nil, err
	}
	a, err := call(running.election)
	if status.Code(err) == codes.Unavailable {
		p.abandon(running)
	}
	switch a.GetOutcome() {
	case wire.Outcome_OUTCOME_DONE:
		return a.GetLease(), nil
	case wire.Outcome_OUTCOME_HELD:
		return nil, election.ErrHeld
	case wire.Outcome_OUTCOME_LOST:
		return nil, election.ErrLost
	case wire.Outcome_OUTCOME_NONE:
		return nil, election.ErrNone
	}
	if err == nil {
		err = fmt.Errorf("its answer %s is unknown", a.GetOutcome())
	} else {
		err = plain(ctx, err)
	}
	return nil, fmt.Errorf("%s the office %s with the plugin %s: %w", what, office, p.path, err)
}

// plain converts a gRPC error into one as if it had happened in this process.
func plain(ctx context.Context, err error) error {
	code := status.Code(err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case code == codes.DeadlineExceeded, code == codes.Canceled: // the other end noticed a moment earlier
		return context.DeadlineExceeded
	}
	return errors.New(status.Convert(err).Message())
}

// Acquire implements election.Driver.
func (p *Plugin) Acquire(ctx context.Context, c election.Candidacy) (election.Lease, error) {
	l, err := p.ask(ctx, "acquire", c.Office, func(e wire.ElectionClient) (*wire.Answer, error) {
		return e.Acquire(ctx, &wire.Candidacy{Office: c.Office, Holder: c.Holder, Address: c.Address,
			Ttl: durationpb.New(c.TTL), Above: c.Above, Over: toFence(c.Over)})
	})
	return p.begun(l, err)
}

// begun returns the term in a program's answer.
func (p *Plugin) begun(l *wire.Lease, err error) (election.Lease, error) {
	if err == nil && l.GetFence() == nil {
		err = fmt.Errorf("the plugin %s names no term", p.path)
	}
	return fromLease(l), err
}

// Renew implements election.Driver.
func (p *Plugin) Renew(ctx context.Context, l election.Lease) error {
	_, err := p.ask(ctx, "renew", l.Office, func(e wire.ElectionClient) (*wire.Answer, error) { return e.Renew(ctx, toLease(l)) })
	return err
}

// Release implements election.Driver.
func (p *Plugin) Release(ctx context.Context, l election.Lease) error {
	_, err := p.ask(ctx, "release", l.Office, func(e wire.ElectionClient) (*wire.Answer, error) { return e.Release(ctx, toLease(l)) })
	return err
}

// Current implements election.Driver.
func (p *Plugin) Current(ctx context.Context, office string) (election.Lease, error) {
	l, err := p.ask(ctx, "look up", office, func(e wire.ElectionClient) (*wire.Answer, error) {
		return e.Current(ctx, &wire.Office{Name: office})
	})
	return p.begun(l, err)
}
