package node_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
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

// TestTraceOfTheEmbedder: what an embedder has begun to trace, the node goes on with,
// whatever the client has sent.
func TestTraceOfTheEmbedder(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	_, n := newWorld(t).startNode(t, "a", webOnly, func(c *node.Config) { c.Tracing = provider })
	ctx, outer := provider.Tracer("embedder").Start(t.Context(), "outer")
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/nuget/nuget/v3/index.json", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	n.Handler().ServeHTTP(httptest.NewRecorder(), r)
	outer.End()
	all := spans.GetSpans()
	inner := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "GET /nuget/{feed}/{rest...}" })
	require.GreaterOrEqual(t, inner, 0)
	require.Equal(t, outer.SpanContext().SpanID(), all[inner].Parent.SpanID())
}
