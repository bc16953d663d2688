/*
Copyright 2026 The remotejob-operator Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package tracing makes one trace of what is done about a pod, from the call that brings it to its backend's commands. Until Start is
// called it does nothing. It knows nothing of the rest of the project.
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	name        = "remotejob-operator"
	traceparent = "traceparent"
)

// Start sends spans to a collector, by OTLP over gRPC: http://host:port, or https. Clients that know OpenTelemetry, as that of Docker
// engines, add spans of their own. A trace begins with a call of one of the given names, or with its caller: what is asked every few seconds
// makes none. stop sends what is left.
func Start(ctx context.Context, endpoint, version string, begin ...string) (stop func(context.Context) error, err error) {
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("send traces to %s: %w", endpoint, err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(beginnings(begin))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", name), attribute.String("service.version", version))),
	)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return provider.Shutdown, nil
}

// beginnings samples, of the spans that are the first of their trace, those with which a trace is to begin.
type beginnings []string

// ShouldSample decides by the span's name and kind.
func (b beginnings) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Kind == trace.SpanKindServer && slices.Contains(b, p.Name) {
		return sdktrace.AlwaysSample().ShouldSample(p)
	}
	return sdktrace.NeverSample().ShouldSample(p)
}

// Description is for people.
func (b beginnings) Description() string { return "Beginnings" }

// Extract joins a call to its caller's trace.
func Extract(ctx context.Context, header http.Header) context.Context {
	return otel.GetTextMapPropagator().Extract(ctx, propagation.HeaderCarrier(header))
}

// Carry returns what takes a trace to where it is resumed, empty where there is none.
func Carry(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	return carrier[traceparent]
}

// Resume goes on with a trace that Carry has taken along.
func Resume(ctx context.Context, carried string) context.Context {
	if carried == "" {
		return ctx
	}
	return otel.GetTextMapPropagator().Extract(ctx, propagation.MapCarrier{traceparent: carried})
}

// Span begins a span. pairs are names and values of what it is about. end ends it.
func Span(ctx context.Context, what string, kind trace.SpanKind, pairs ...string) (_ context.Context, end func(err error)) {
	ctx, span := otel.Tracer(name).Start(ctx, what, trace.WithSpanKind(kind))
	if !span.IsRecording() {
		return ctx, func(error) {}
	}
	Tell(ctx, pairs...)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Tell adds to the span of a context, by names and values. Empty values are left out.
func Tell(ctx context.Context, pairs ...string) {
	span := trace.SpanFromContext(ctx)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			span.SetAttributes(attribute.String(pairs[i], pairs[i+1]))
		}
	}
}
