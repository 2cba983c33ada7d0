package etcd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/proget-go/ha/election/etcd"
	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]etcd.Settings{
		"etcd://a:2379,b:2380,[::1]:1/feeds/two/":             {Hosts: []string{"a:2379", "b:2380", "[::1]:1"}, Prefix: "feeds/two"},
		"etcd://me:p%40ss@a:1/x?tls=true":                     {Hosts: []string{"a:1"}, Prefix: "x", User: "me", Password: "p@ss", TLS: true},
		"etcds://a:1/x?ca=/ca.pem&cert=/c.pem&key=%2Fkey.pem": {Hosts: []string{"a:1"}, Prefix: "x", TLS: true, CA: "/ca.pem", Cert: "/c.pem", Key: "/key.pem"},
		"etcd://a:1/x?tls=false":                              {Hosts: []string{"a:1"}, Prefix: "x"},
	} {
		got, err := etcd.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "http://a:1", "etcd://", "etcd://a", "etcd://a:1,b/x", "etcd://:1/x", "etcd://a:1/x#x", "etcd://a:1/x?tls=maybe", "etcd://a:1", "etcd://a:1/",
		"etcds://a:1/x?tls=false", "etcd://a:1/x?timeout=5", "etcd://me:secret@a/x", "etcd://me@a:1/x", "etcd://me:sec/secret@a:1/x", "etcd://me:secret/x", "etcd://me:se%cret@a:1/x", "etcd://me:secret@a:1/x?cert=x&tls=true", "etcd://me:secret@a:1/x?ca=x"} {
		_, err := etcd.Parse(text)
		require.ErrorIs(t, err, proget.ErrInvalid, text)
		require.NotContains(t, err.Error(), "secret", text)
		require.NotContains(t, err.Error(), "\n", text)
	}
}

// TestUnreachable: who cannot be reached is named, soon, with the reason.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	for host, reason := range map[string]string{
		fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)): "refused",
		silent.Addr().String():                           "deadline exceeded",
	} {
		began := time.Now()
		_, err := etcd.Open(t.Context(), etcd.Settings{Hosts: []string{host}, Prefix: "feeds"})
		require.ErrorContains(t, err, "etcd at "+host)
		require.ErrorContains(t, err, reason)
		require.Less(t, time.Since(began), 5*time.Second)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	admin := client(t, server)
	_, err := admin.UserAdd(t.Context(), "root", "secret of root")
	require.NoError(t, err)
	_, err = admin.UserGrantRole(t.Context(), "root", "root")
	require.NoError(t, err)
	_, err = admin.RoleAdd(t.Context(), "feeds")
	require.NoError(t, err)
	_, err = admin.RoleGrantPermission(t.Context(), "feeds", "feeds/", clientv3.GetPrefixRangeEnd("feeds/"), clientv3.PermissionType(clientv3.PermReadWrite))
	require.NoError(t, err)
	_, err = admin.UserAdd(t.Context(), "me", "secret")
	require.NoError(t, err)
	_, err = admin.UserGrantRole(t.Context(), "me", "feeds")
	require.NoError(t, err)
	_, err = admin.AuthEnable(t.Context())
	require.NoError(t, err)

	s := etcd.Settings{Hosts: []string{server.Address}, Prefix: "feeds", User: "me", Password: "secret"}
	d, err := etcd.Open(t.Context(), s)
	require.NoError(t, err)
	defer d.Close()
	l, err := d.Acquire(t.Context(), candidacy("a"))
	require.NoError(t, err)
	require.NoError(t, d.Renew(t.Context(), l))
	_, err = d.Current(t.Context(), "an/office")
	require.NoError(t, err)
	require.NoError(t, d.Release(t.Context(), l))

	for reason, change := range map[string]func(s *etcd.Settings){
		"authentication failed": func(s *etcd.Settings) { s.Password = "guessed" },
		"permission denied":     func(s *etcd.Settings) { s.Prefix = "others" },
		"user name is empty":    func(s *etcd.Settings) { s.User, s.Password = "", "" },
	} {
		wrong := s
		change(&wrong)
		_, err = etcd.Open(t.Context(), wrong)
		require.ErrorContains(t, err, reason)
		require.NotContains(t, err.Error(), "guessed")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	server := testenv.StartEtcd(t, "--cert-file", cert, "--key-file", key, "--client-cert-auth", "--trusted-ca-file", cert)
	s := etcd.Settings{Hosts: []string{server.Address}, Prefix: "feeds", TLS: true, CA: cert, Cert: cert, Key: key}
	d, err := etcd.Open(t.Context(), s)
	require.NoError(t, err)
	defer d.Close()
	_, err = d.Acquire(t.Context(), candidacy("a"))
	require.NoError(t, err)

	unknown := s
	unknown.CA = ""
	_, err = etcd.Open(t.Context(), unknown)
	require.ErrorContains(t, err, "certificate signed by unknown authority")
	for _, wrong := range []etcd.Settings{{TLS: true, CA: filepath.Join(dir, "missing")}, {TLS: true, CA: key}, {TLS: true, Cert: cert, Key: cert}} {
		_, err = etcd.Open(t.Context(), wrong)
		require.Error(t, err)
	}
}

// certificate makes one that is its own authority, for server and client.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd of a test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return cert, key
}
