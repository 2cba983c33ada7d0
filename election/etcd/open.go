package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/proget-go/ha/election"
	"github.com/proget-go/ha/proget"
)

// Settings tell how to reach etcd, as a URL does.
type Settings struct {
	Hosts          []string // host:port
	Prefix         string   // prefix of all keys, one for each installation
	User, Password string
	TLS            bool
	CA             string // file with the authorities to trust; "" means the machine's own
	Cert, Key      string // files with the client's certificate
}

const form = "give etcd://HOST:2379,HOST:2379/PREFIX, with USER:PASSWORD@ before the hosts, and ?ca=FILE&cert=FILE&key=FILE after the prefix, if they are needed; etcds:// or ?tls=true for TLS"

// Parse parses a URL. Its errors are proget.ErrInvalid and quote no part of the URL
// that may hold a password.
func Parse(text string) (s Settings, err error) {
	hosts, u, ok := split(text)
	if !ok {
		return s, proget.Errorf(proget.ErrInvalid, "%s", form)
	}
	s = Settings{Hosts: strings.Split(hosts, ","), Prefix: strings.Trim(u.Path, "/"), User: u.User.Username(), TLS: u.Scheme == "etcds"}
	s.Password, _ = u.User.Password()
	for _, host := range s.Hosts {
		name, port, err := net.SplitHostPort(host)
		if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || name == "" || wrong != nil {
			return s, proget.Errorf(proget.ErrInvalid, "each host needs its port; %s", form)
		}
	}
	for name, values := range u.Query() {
		value := values[len(values)-1]
		switch name {
		case "tls":
			if !slices.Contains([]string{"true", "false"}, value) || value == "false" && u.Scheme == "etcds" {
				return s, proget.Errorf(proget.ErrInvalid, "tls is true or false, and true with etcds://; %s", form)
			}
			s.TLS = value == "true"
		case "ca":
			s.CA = value
		case "cert":
			s.Cert = value
		case "key":
			s.Key = value
		default:
			return s, proget.Errorf(proget.ErrInvalid, "there is no parameter %q; %s", name, form)
		}
	}
	if s.Prefix == "" { // two installations with one prefix would have one primary
		return s, proget.Errorf(proget.ErrInvalid, "the prefix is missing; %s", form)
	}
	if (s.User == "") != (s.Password == "") || (s.Cert == "") != (s.Key == "") {
		return s, proget.Errorf(proget.ErrInvalid, "a user needs a password, and a certificate its key; %s", form)
	}
	if !s.TLS && s.CA+s.Cert != "" {
		return s, proget.Errorf(proget.ErrInvalid, "certificates are for TLS; %s", form)
	}
	return s, nil
}

// split removes the hosts from a URL, in which package net/url expects only one.
func split(text string) (hosts string, u *url.URL, ok bool) {
	scheme, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest+"/", "/?#")
	user := strings.LastIndex(rest[:end], "@") + 1
	u, err := url.Parse(scheme + "://" + rest[:user] + "host" + rest[end:])
	return rest[user:end], u, err == nil && (u.Scheme == "etcd" || u.Scheme == "etcds") && u.Fragment == ""
}

// A Connection is a driver that owns its client.
type Connection struct {
	election.Driver
	client *clientv3.Client
}

// Close closes the client.
func (c *Connection) Close() error { return c.client.Close() }

// within limits how long Open waits for an answer.
const within = 3 * time.Second

// Open connects to etcd. It returns an error if etcd refuses or does not answer within
// 3 s. Afterwards etcd may come and go: each call has its own timeout.
func Open(ctx context.Context, s Settings) (*Connection, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	client, err := clientv3.New(config)
	if err == nil {
		c := &Connection{New(client, s.Prefix), client}
		if _, err = client.Get(ctx, s.Prefix+"/", clientv3.WithCountOnly(), clientv3.WithPrefix()); err == nil {
			return c, nil
		}
		_ = client.Close()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.reason(err)
	}
	return nil, fmt.Errorf("etcd at %s: %w", strings.Join(s.Hosts, ","), err)
}

// config returns the client's configuration. The client logs nothing: calls return
// their errors.
func (s *Settings) config() (c clientv3.Config, err error) {
	scheme := "http://"
	if s.TLS {
		scheme = "https://"
		if c.TLS, err = s.tls(); err != nil {
			return c, err
		}
	}
	for _, host := range s.Hosts {
		c.Endpoints = append(c.Endpoints, scheme+host)
	}
	c.Username, c.Password = s.User, s.Password
	c.DialTimeout = within // for signing in
	// This finds a server that vanished without notice. gRPC does not ask more often,
	// and etcd's servers refuse clients that do.
	c.DialKeepAliveTime, c.DialKeepAliveTimeout = 10*time.Second, 3*time.Second
	c.Logger = zap.NewNop()
	return c, nil
}

func (s *Settings) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		text, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("etcd's authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("etcd's authorities: there is no certificate in %s", s.CA)
		}
	}
	if s.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return nil, fmt.Errorf("the certificate for etcd: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// reason finds out why nobody answered, which the client does not report. It returns
// err if it finds nothing.
func (s *Settings) reason(err error) error {
	dialer := &net.Dialer{Timeout: time.Second / time.Duration(len(s.Hosts))}
	for _, host := range s.Hosts {
		conn, failed := dialer.Dial("tcp", host)
		if failed == nil {
			_ = conn.Close()
			if s.TLS {
				failed = s.handshake(host)
			}
		}
		if failed != nil {
			return failed
		}
	}
	return err
}

func (s *Settings) handshake(host string) error {
	c, err := s.tls()
	if err != nil {
		return err
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second / time.Duration(len(s.Hosts))}, "tcp", host, c)
	if err == nil {
		_ = conn.Close()
	}
	return err
}
