package ports

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReserve: a reserved address can be listened on, again and again, and nobody
// else gets it before it is given back.
func TestReserve(t *testing.T) {
	address, reservation, err := Reserve("127.0.0.1")
	require.NoError(t, err)
	t.Cleanup(func() { _ = reservation.Close() })
	for range 2 {
		_, err = reserve(address)
		require.Error(t, err)
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		_, err = reserve(address)
		require.Error(t, err)
		require.NoError(t, l.Close())
	}
	require.NoError(t, reservation.Close())

	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	_, err = reserve(address)
	require.Error(t, err, "someone listens on it who has not reserved it")
	require.NoError(t, l.Close())
	again, err := reserve(address)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}
