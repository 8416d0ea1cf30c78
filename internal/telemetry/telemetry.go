// Package telemetry sets up logs, traces and metrics: structured JSON lines that
// carry the trace they belong to, and OpenTelemetry spans and metrics that are
// exported when OTEL_EXPORTER_OTLP_ENDPOINT is set. None ever holds a token, a key, an
// e-mail address, a name or a user ID.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// What switches an export on; the exporter reads the values.
var (
	traceEndpoints  = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
	metricEndpoints = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"}
)

// Setup makes the process's tracer, meter and propagator and returns what flushes
// them. Trace context is passed on even where nothing is exported, so that logs
// of several services can be joined by trace_id.
func Setup(ctx context.Context, service string) (shutdown func(context.Context) error, err error) {
	who := resource.NewSchemaless(attribute.String("service.name", service))
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(who)}
	if wanted(traceEndpoints) {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("make the trace exporter: %w", err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	} else {
		options = append(options, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	}
	provider := sdktrace.NewTracerProvider(options...)
	flushMetrics, err := meter(ctx, who)
	if err != nil {
		return nil, err
	}
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	return func(ctx context.Context) error { return errors.Join(provider.Shutdown(ctx), flushMetrics(ctx)) }, nil
}

// meter makes the process's meter where metrics are exported; elsewhere nothing
// is measured.
func meter(ctx context.Context, who *resource.Resource) (flush func(context.Context) error, err error) {
	if !wanted(metricEndpoints) {
		return func(context.Context) error { return nil }, nil
	}
	exporter, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the metric exporter: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(who), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
	otel.SetMeterProvider(provider)
	return provider.Shutdown, nil
}

func wanted(endpoints []string) bool {
	for _, name := range endpoints {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// NewLogger writes JSON lines for service to w, each with its trace.
func NewLogger(w *os.File, service string, level slog.Level) *slog.Logger {
	return slog.New(Traced(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))).With("service", service)
}

// Traced adds trace_id and span_id to each record whose context has a span.
func Traced(h slog.Handler) slog.Handler { return traced{h} }

type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }
func (h traced) WithGroup(name string) slog.Handler       { return traced{h.Handler.WithGroup(name)} }
