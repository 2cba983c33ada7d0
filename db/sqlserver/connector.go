package sqlserver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/microsoft/go-mssqldb/azuread"
	_ "github.com/microsoft/go-mssqldb/integratedauth/krb5" // authenticator=krb5, for integrated sign-in beside Windows
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/proget-go/ha/db/driver"
)

// A connector connects to one server or, with database mirroring, to whichever of two
// is the principal.
//
// It limits the time of each login itself. The driver ignores deadlines between the
// dial and the end of the login (microsoft/go-mssqldb issue 254), and it would try a
// mirroring partner in the time that the first server has left of the caller's, which
// is none if that server froze.
type connector struct {
	servers []sqldriver.Connector
	login   time.Duration // for each
	logins  chan struct{} // holds a place for each login in progress
	newest  atomic.Int32  // index of the server that answered last
	made    atomic.Int64  // connections made
}

// patience is the time limit of a connect, which the servers share.
const patience = 8 * time.Second

// session runs on each connection before anything else. XACT_ABORT: an error never
// leaves half a transaction open. LOCK_TIMEOUT: a wait for a lock ends with error 1222,
// which is retried.
const session = "SET XACT_ABORT ON; SET LOCK_TIMEOUT 5000;"

// newConnector returns a connector for the parameters of a connection string, as
// msdsn.Parse normalizes them.
func newConnector(params map[string]string) (*connector, error) {
	var servers []sqldriver.Connector
	for _, p := range withPartner(params) {
		config, err := msdsn.Parse(dsn(p))
		if err != nil {
			return nil, err
		}
		server, err := azuread.NewConnector(dsn(p)) // also signs in without Entra
		if err != nil {
			return nil, err
		}
		server.SessionInitSQL = session
		server.Dialer = dialer{net.Dialer{KeepAlive: config.KeepAlive}}
		servers = append(servers, server)
	}
	return connectorTo(servers, patience/time.Duration(len(servers))), nil
}

func connectorTo(servers []sqldriver.Connector, login time.Duration) *connector {
	return &connector{servers: servers, login: login, logins: make(chan struct{}, connections)}
}

// withPartner returns the parameters for each server: the named one, and its mirroring
// partner if it has one.
func withPartner(params map[string]string) []map[string]string {
	first := maps.Clone(params)
	partner := params[msdsn.FailoverPartner]
	if partner == "" {
		return []map[string]string{first}
	}
	second := maps.Clone(params)
	second[msdsn.Server] = partner
	delete(second, msdsn.Port)
	for own, of := range map[string]string{msdsn.Port: msdsn.FailOverPort, msdsn.ServerSpn: msdsn.FailoverPartnerSpn} {
		if params[of] != "" {
			second[own] = params[of]
		}
	}
	for _, p := range []map[string]string{first, second} {
		for _, key := range []string{msdsn.FailoverPartner, msdsn.FailOverPort, msdsn.FailoverPartnerSpn} {
			delete(p, key)
		}
	}
	return []map[string]string{first, second}
}

// dsn writes parameters as an ADO connection string.
func dsn(params map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&b, `%s="%s";`, key, strings.ReplaceAll(params[key], `"`, `""`))
	}
	return b.String()
}

// Driver implements sqldriver.Connector.
func (c *connector) Driver() sqldriver.Driver { return c.servers[0].Driver() }

// Connect implements sqldriver.Connector. It begins with the server that answered last,
// and tries the other only if that one is unavailable or not the principal: a wrong
// password is wrong on both.
func (c *connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	var errs []error
	begin := int(c.newest.Load())
	for i := range c.servers {
		at := (begin + i) % len(c.servers)
		conn, err := c.connect(ctx, c.servers[at])
		if err == nil {
			c.newest.Store(int32(at))
			c.made.Add(1)
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil || (engine{}).Classify(err) != driver.Unavailable {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// connect limits the time of a login even where the library ignores its context: it
// looks up names without it, and Kerberos has timeouts of its own.
func (c *connector) connect(ctx context.Context, server sqldriver.Connector) (sqldriver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.login)
	defer cancel()
	select {
	case c.logins <- struct{}{}:
	case <-ctx.Done():
		return nil, tooLate(ctx)
	}
	type connected struct {
		conn sqldriver.Conn
		err  error
	}
	done := make(chan connected)
	go func() {
		defer func() { <-c.logins }()
		conn, err := login(ctx, server)
		select {
		case done <- connected{conn, err}:
		case <-ctx.Done(): // everybody has left
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, tooLate(ctx)
	}
}

func tooLate(ctx context.Context) error {
	return &net.OpError{Op: "login", Net: "tcp", Err: ctx.Err()}
}

// Close waits for the logins in progress. It implements io.Closer for sql.DB. The
// connector can be used again.
func (c *connector) Close() error {
	for range cap(c.logins) {
		c.logins <- struct{}{}
	}
	for range cap(c.logins) {
		<-c.logins
	}
	return nil
}

// loginKey is the context key of the context that closes the sockets of a login.
type loginKey struct{}

var errLoggedIn = errors.New("the login is over")

// login signs in. It ends when ctx does, because its sockets are closed then.
func login(ctx context.Context, server sqldriver.Connector) (sqldriver.Conn, error) {
	sockets, release := context.WithCancelCause(ctx)
	conn, err := server.Connect(context.WithValue(ctx, loginKey{}, sockets))
	release(errLoggedIn)
	if err != nil {
		return nil, err
	}
	if context.Cause(sockets) != errLoggedIn { // ctx ended first, and closed the socket
		return nil, errors.Join(tooLate(ctx), conn.Close())
	}
	return conn, nil
}

// A dialer makes the sockets of logins. A frozen server accepts connections but sends
// nothing: whatever waits for its answer ends when the socket is closed.
type dialer struct{ net.Dialer }

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if sockets, ok := ctx.Value(loginKey{}).(context.Context); ok {
		context.AfterFunc(sockets, func() {
			if context.Cause(sockets) != errLoggedIn {
				_ = conn.Close()
			}
		})
	}
	return conn, nil
}
