package testenv

import (
	"context"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// OnSpan returns a tracer provider that calls begins with the name of each span before
// what the span stands for. A test can so make a change in the middle of an operation.
func OnSpan(begins func(name string)) *sdk.TracerProvider {
	return sdk.NewTracerProvider(sdk.WithSpanProcessor(onSpan(begins)))
}

// onSpan implements sdk.SpanProcessor.
type onSpan func(name string)

func (begins onSpan) OnStart(_ context.Context, s sdk.ReadWriteSpan) { begins(s.Name()) }
func (onSpan) OnEnd(sdk.ReadOnlySpan)                                {}
func (onSpan) Shutdown(context.Context) error                        { return nil }
func (onSpan) ForceFlush(context.Context) error                      { return nil }
