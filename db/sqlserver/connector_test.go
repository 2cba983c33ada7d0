package sqlserver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
	"github.com/stretchr/testify/require"
)

// TestConnectionStringsPeopleUse: what the forms of connection strings come to.
func TestConnectionStringsPeopleUse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		dsn   string
		check func(t *testing.T, c msdsn.Config)
	}{
		"ProGet's own": {`Server=db\proget;Database=ProGet;User ID=sa;Password="a;b""c"`, func(t *testing.T, c msdsn.Config) {
			require.Equal(t, "db", c.Host)
			require.Equal(t, "proget", c.Instance)
			require.Equal(t, "ProGet", c.Database)
			require.Equal(t, `a;b"c`, c.Password)
			require.Equal(t, msdsn.Encryption(msdsn.EncryptionRequired), c.Encryption, "on by default")
			require.True(t, c.MultiSubnetFailover)
		}},
		"a port after a comma": {"Data Source=tcp:db,14330;Initial Catalog=ProGet;Integrated Security=True;TrustServerCertificate=True", func(t *testing.T, c msdsn.Config) {
			require.Equal(t, "db", c.Host)
			require.EqualValues(t, 14330, c.Port)
			require.True(t, c.TrustServerCertificate)
		}},
		"encryption off": {"Server=db;Database=ProGet;Encrypt=disable", func(t *testing.T, c msdsn.Config) {
			require.Equal(t, msdsn.Encryption(msdsn.EncryptionDisabled), c.Encryption)
		}},
		"a URL of a listener": {"sqlserver://sa:p%40ss@ag:1444?database=ProGet&multisubnetfailover=false&dial+timeout=7", func(t *testing.T, c msdsn.Config) {
			require.Equal(t, "ag", c.Host)
			require.EqualValues(t, 1444, c.Port)
			require.Equal(t, "p@ss", c.Password)
			require.False(t, c.MultiSubnetFailover)
			require.Equal(t, 7*time.Second, c.DialTimeout)
		}},
		"Kerberos": {"Server=db;Database=ProGet;authenticator=krb5;krb5-configfile=/etc/krb5.conf", func(t *testing.T, c msdsn.Config) {
			require.Equal(t, "krb5", c.Parameters["authenticator"])
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params, err := parse(tc.dsn)
			require.NoError(t, err)
			config, err := msdsn.Parse(dsn(params))
			require.NoError(t, err)
			tc.check(t, config)
			_, err = newEngine(tc.dsn)
			require.NoError(t, err)
		})
	}
}

// TestEntra: go-mssqldb's ways to sign in with Entra are taken.
func TestEntra(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"Server=db.example;Database=ProGet;fedauth=ActiveDirectoryDefault",
		"Server=db.example;Database=ProGet;fedauth=ActiveDirectoryManagedIdentity",
		"sqlserver://app%40tenant:secret@db.example?database=ProGet&fedauth=ActiveDirectoryServicePrincipal",
	} {
		_, err := newEngine(dsn)
		require.NoError(t, err, dsn)
	}
	_, err := newEngine("Server=db.example;Database=ProGet;fedauth=ActiveDirectoryUnheardOf")
	require.Error(t, err)
}

func TestPartner(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]msdsn.Config{
		"Server=db1,1500;Database=ProGet;Failover Partner=db2":                       {Host: "db2"},
		"Server=db1;Database=ProGet;Failover Partner=db2,1501":                       {Host: "db2", Port: 1501},
		`Server=db1;Database=ProGet;Failover Partner=db2\mirror`:                     {Host: "db2", Instance: "mirror"},
		"sqlserver://db1:1500?database=ProGet&failoverpartner=db2&failoverport=1502": {Host: "db2", Port: 1502},
	} {
		params, err := parse(text)
		require.NoError(t, err)
		servers := withPartner(params)
		require.Len(t, servers, 2)
		first, err := msdsn.Parse(dsn(servers[0]))
		require.NoError(t, err)
		require.Equal(t, "db1", first.Host)
		second, err := msdsn.Parse(dsn(servers[1]))
		require.NoError(t, err)
		require.Equal(t, want.Host, second.Host, text)
		require.Equal(t, want.Instance, second.Instance, text)
		require.Equal(t, want.Port, second.Port, text)
		for _, c := range []msdsn.Config{first, second} {
			require.Empty(t, c.FailOverPartner, "who is next is decided here")
		}
	}
	e, err := newEngine("Server=db1;Database=ProGet")
	require.NoError(t, err)
	require.Len(t, e.primary.servers, 1)
}

// server is one that a connector may ask.
type server struct {
	asked atomic.Int32
	err   error
	hangs bool // for ever, whatever the context says
}

func (s *server) Connect(context.Context) (sqldriver.Conn, error) {
	s.asked.Add(1)
	if s.hangs {
		select {}
	}
	if s.err != nil {
		return nil, s.err
	}
	return connection{}, nil
}

func (*server) Driver() sqldriver.Driver { return nil }

type connection struct{ sqldriver.Conn }

func TestConnect(t *testing.T) {
	t.Parallel()
	mirror := mssql.Error{Number: 18456, All: []mssql.Error{{Number: 954}, {Number: 18456}}}
	for name, tc := range map[string]struct {
		first, second *server
		ok            bool
		asksSecond    bool
	}{
		"the first is up":         {&server{}, &server{err: mirror}, true, false},
		"the first is away":       {&server{err: io.EOF}, &server{}, true, true},
		"the first is the mirror": {&server{err: mirror}, &server{}, true, true},
		"the first is frozen":     {&server{hangs: true}, &server{}, true, true},
		"the password is wrong":   {&server{err: mssql.Error{Number: 18456, State: 8}}, &server{}, false, false},
		"both are away":           {&server{err: io.EOF}, &server{err: mirror}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connectorTo([]sqldriver.Connector{tc.first, tc.second}, 50*time.Millisecond)
			_, err := c.Connect(t.Context())
			require.Equal(t, tc.ok, err == nil, "%v", err)
			require.Equal(t, tc.asksSecond, tc.second.asked.Load() > 0)
			if !tc.ok || !tc.asksSecond {
				return
			}
			_, err = c.Connect(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 1, tc.first.asked.Load(), "who answered last is asked first")
		})
	}
}

// TestConnectHeedsContext: a caller who gives up is not kept.
func TestConnectHeedsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := connectorTo([]sqldriver.Connector{&server{hangs: true}}, time.Hour)
	_, err := c.Connect(ctx)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
}

// TestFrozenServer: of a login to a server that accepts and says nothing, neither the
// connection nor the goroutine stays.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	for _, encrypt := range []string{"disable", "true", "strict"} {
		params, err := parse("Server=127.0.0.1," + port + ";Database=ProGet;Encrypt=" + encrypt)
		require.NoError(t, err)
		c, err := newConnector(params)
		require.NoError(t, err)
		c.login = 100 * time.Millisecond
		_, err = c.Connect(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded, encrypt)

		accepted, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, accepted.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.Copy(io.Discard, accepted)
		require.NoError(t, err, "%s: the connection is closed", encrypt)
		require.NoError(t, accepted.Close())
		require.NoError(t, c.Close(), "which waits for the login")
		require.Empty(t, c.logins)
	}
}

// echo is a server that is dialed, and logged in to at once.
type echo struct{ address string }

func (e echo) Connect(ctx context.Context) (sqldriver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // as the library does
	defer cancel()
	conn, err := dialer{}.DialContext(ctx, "tcp", e.address)
	return dialed{Conn: conn}, err
}

func (echo) Driver() sqldriver.Driver { return nil }

type dialed struct {
	connection
	net.Conn
}

func (d dialed) Close() error { return d.Conn.Close() }

// TestLoggedIn: a connection stays when its login is over.
func TestLoggedIn(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c := connectorTo([]sqldriver.Connector{echo{l.Addr().String()}}, time.Minute)
	var made []dialed
	for range connections {
		conn, err := c.Connect(t.Context())
		require.NoError(t, err)
		made = append(made, conn.(dialed))
	}
	require.NoError(t, c.Close())
	for range made {
		accepted, err := l.Accept()
		require.NoError(t, err)
		_, err = io.WriteString(accepted, "hello")
		require.NoError(t, err)
		require.NoError(t, accepted.Close())
	}
	for _, conn := range made {
		text, err := io.ReadAll(conn.Conn)
		require.NoError(t, err)
		require.Equal(t, "hello", string(text))
		require.NoError(t, conn.Close())
	}
}
