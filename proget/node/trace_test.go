package node_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/proget-go/ha/internal/testenv"
	"github.com/proget-go/ha/proget/node"
)

// TestTraces: a push is one trace, the client's own, from the request down to
// its queries.
func TestTraces(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithSampler(sdk.ParentBased(sdk.NeverSample())))
	base := newWorld(t).start(t, "a", func(c *node.Config) { c.Tracing = provider }).URL
	const trace = "0af7651916cd43dd8448eb211c80319c"
	resp, text := ask(t, "PUT", base+"/nuget/nuget/api/v2/package", testenv.Nupkg(t, "Acme.Lib", "1.0.0"),
		"X-NuGet-ApiKey", apiKey, "traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	require.Equal(t, http.StatusCreated, resp.StatusCode, text)
	names := make(map[string]bool)
	require.Eventually(t, func() bool { // the outermost span ends after the answer
		for _, s := range spans.GetSpans() {
			require.Equal(t, trace, s.SpanContext.TraceID().String(), s.Name)
			names[s.Name] = true
		}
		return names["PUT /nuget/{feed}/{rest...}"]
	}, waitLong, waitShort)
	for _, name := range []string{"publish", "put object", "inspect", "transaction", "query InsertFirstVersion"} {
		require.Contains(t, names, name)
	}
}
