package httpserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/shadowless/shadowless/internal/httpclient"
)

// Spans leave the house for a collector, so neither end of a call may put the
// path or the query into one. The tracer is the process's, hence one test for
// both ends and no parallel.
func TestSpans_HoldTheRouteAndNoUserID(t *testing.T) { //nolint:paralleltest // sets the process's tracer
	const userID = "YXV0aDB8eA"
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })

	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/users/{id}", func(http.ResponseWriter, *http.Request) {})
	s := start(t, mux)
	client, err := httpclient.New("")
	require.NoError(t, err)
	for _, path := range []string{"/v1/users/" + userID, "/nothing/" + userID, "/v1/users/x?id=" + userID} {
		res, err := client.Get(s.url + path) //nolint:noctx // a test
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	_, err = client.Get(gone.URL + "/v1/users/" + userID) //nolint:noctx,bodyclose // nobody answers
	require.Error(t, err)

	require.Eventually(t, func() bool { return len(spans.Ended()) == 7 }, 5*time.Second, 5*time.Millisecond)
	var all strings.Builder
	for _, span := range spans.Ended() {
		told := fmt.Sprint(span.Name(), span.Attributes(), span.Status(), span.Events())
		require.NotContains(t, told, userID)
		all.WriteString(told + "\n")
	}
	require.Contains(t, all.String(), "GET /v1/users/{id}[", "the name says which route")
	require.Contains(t, all.String(), gone.URL)
}
