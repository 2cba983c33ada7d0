package s3

import (
	"net/http"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		want   int
		says   string
	}{
		{"SlowDown", 503, 503, "SlowDown"},
		{"InternalError", 500, 500, "InternalError"},
		{"NoSuchKey", 404, 404, "NoSuchKey"},
		{"NoSuchBucket", 404, 404, "NoSuchBucket"},
		{"NotFound", 404, 404, "NotFound"}, // of HEAD, which has no body
		{"UnknownError", 404, 404, ""},
		{"XAdminUserNotFound", 404, 403, "XAdminUserNotFound"},
		{"AccessDenied", 403, 403, "AccessDenied"},
		{"ExpiredToken", 400, 403, "ExpiredToken"},
		{"RequestTimeout", 400, 503, "RequestTimeout"},
		{"PermanentRedirect", 301, 301, "PermanentRedirect"},
	} {
		err := &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: c.status}},
			Err:      &smithy.GenericAPIError{Code: c.name},
		}}
		status, name := status(err)
		require.Equal(t, c.want, status, c.name)
		require.Equal(t, c.says, name)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	for attempt := 1; attempt < attempts; attempt++ {
		d, err := delay(attempt, nil)
		require.NoError(t, err)
		longest := minDelay << (attempt - 1)
		require.Greater(t, d, longest/2-time.Nanosecond)
		require.LessOrEqual(t, d, longest)
	}
}
