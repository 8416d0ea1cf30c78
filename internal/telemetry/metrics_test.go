package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"

	"github.com/shadowless/shadowless/internal/telemetry"
)

func TestSetup_ExportsMetricsWhereTheyAreAskedFor(t *testing.T) { //nolint:paralleltest // sets the process's meter
	received := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received <- r.URL.Path }))
	t.Cleanup(collector.Close)
	before := otel.GetMeterProvider()
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector.URL+"/metrics-of-ours")
	flush, err := telemetry.Setup(t.Context(), "test")
	require.NoError(t, err)
	counter, err := otel.Meter("test").Int64Counter("test")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	require.NoError(t, flush(t.Context()))
	require.Equal(t, "/metrics-of-ours", <-received)
}
