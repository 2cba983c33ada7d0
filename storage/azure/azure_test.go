package azure

import (
	"errors"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/stretchr/testify/require"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		name   string
	}{
		{&azcore.ResponseError{StatusCode: 503, ErrorCode: "ServerBusy"}, http.StatusServiceUnavailable, "ServerBusy"},
		{&azcore.ResponseError{StatusCode: 404, ErrorCode: "ContainerNotFound"}, http.StatusNotFound, "ContainerNotFound"},
		{noIdentity{}, http.StatusUnauthorized, "no credentials"},
		{errors.New("other"), 0, ""},
	} {
		status, name := status(c.err)
		require.Equal(t, c.status, status)
		require.Equal(t, c.name, name)
	}
}

// noIdentity is what azidentity says when there is none.
type noIdentity struct{}

func (noIdentity) Error() string { return "no identity" }
func (noIdentity) NonRetriable() {}

func TestConnectionString(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{"AccountName": "a", "AccountKey": "a2V5==", "": ""}, parse("AccountName=a; AccountKey=a2V5==;"))
	_, err := sharedKey("a", "hidden!")
	require.ErrorContains(t, err, "not valid base64")
	require.NotContains(t, err.Error(), "hidden")
}
