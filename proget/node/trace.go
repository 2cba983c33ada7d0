package node

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceContext continues the trace that an embedder has begun for a request, otherwise
// the client's.
type traceContext struct{ propagation.TraceContext }

// Extract implements propagation.TextMapPropagator.
func (p traceContext) Extract(ctx context.Context, header propagation.TextMapCarrier) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return p.TraceContext.Extract(ctx, header)
}
