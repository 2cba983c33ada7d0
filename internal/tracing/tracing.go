// Package tracing adds spans to the OpenTelemetry trace of a request. They go to the
// same provider as the request's own span.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/proget-go/ha"

// Start begins a span below the one in ctx; end ends it, and marks it as failed unless
// err is nil. If ctx has no recording span, Start does nothing, so background work
// makes no traces.
func Start(ctx context.Context, name string, attributes ...attribute.KeyValue) (_ context.Context, end func(err error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithAttributes(attributes...))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}
