package erasures_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

func TestObserve_TellsWhatIsOpenAndWhatIsLate(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	add := func(state, due string) {
		t.Helper()
		id := uuid.New()
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until, due_at)
			VALUES ($1, $2, $3, 'k1', 'auther', $4, now(), now(), now() + $5::interval)`, id, "user-"+id.String(), make([]byte, 32), state, due)
		require.NoError(t, err)
	}
	for state, due := range map[string]string{"held": "-1 hour", "grace": "-1 hour", "complete": "-1 hour", "withdrawn": "-1 hour"} {
		add(state, due)
	}
	add("requested", "-1 second")
	add("requested", "1 hour")
	reader := sdkmetric.NewManualReader()
	worker := erasures.NewWorker(erasures.Worker{Pool: db.Pool})
	unregister, err := worker.Observe(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{
		"shadowless.erasures.late": 1, "shadowless.erasures.open held": 1, "shadowless.erasures.open grace": 1, "shadowless.erasures.open requested": 2,
	}, collect(t, reader))
	require.NoError(t, unregister())
	require.Empty(t, collect(t, reader))
}

func collect(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	values := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			gauge, ok := m.Data.(metricdata.Gauge[int64])
			require.True(t, ok, m.Name)
			for _, point := range gauge.DataPoints {
				name := m.Name
				if state, ok := point.Attributes.Value("state"); ok {
					name = fmt.Sprint(name, " ", state.AsString())
				}
				values[name] = point.Value
			}
		}
	}
	return values
}

func TestRun_LogsWhatIsLateAndWhoIsMissing(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	id := uuid.New()
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until, due_at)
		VALUES ($1, 'auth0|late one', $2, 'k1', 'auther', 'requested', now(), now(), now() - interval '1 second')`, id, make([]byte, 32))
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO erasure_participants (erasure_id, participant) VALUES ($1, 'orders'), ($1, 'identity-relay')`, id)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	lines := make(chan string, 100)
	worker := erasures.NewWorker(erasures.Worker{
		Pool: db.Pool, Settings: erasures.Settings{Now: time.Now}, OnAppend: func() {},
		Log: slog.New(slog.NewTextHandler(writer(lines), nil)),
	})
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	line := <-lines
	cancel()
	require.NoError(t, <-done)
	require.Contains(t, line, "level=ERROR")
	require.Contains(t, line, `msg="erasure is late" erasure_id=`+id.String()+` waiting_for="[identity-relay orders]"`)
	require.NotContains(t, line, "late one")
}

// writer sends each line to a channel.
type writer chan string

func (w writer) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}
