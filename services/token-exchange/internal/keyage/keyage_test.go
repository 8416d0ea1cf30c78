package keyage_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/shadowless/shadowless/services/token-exchange/internal/keyage"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

const day = 24 * time.Hour

// keys answers as the database does: what was made before a time.
type keys struct {
	mu   sync.Mutex
	made map[string]time.Time
	plan map[string]string
	down bool
}

func (k *keys) KeysFrom(_ context.Context, before time.Time, _ int) ([]store.OldKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return nil, errors.New("down")
	}
	var list []store.OldKey
	for id, at := range k.made {
		if at.Before(before) {
			list = append(list, store.OldKey{KeyID: id, ClientID: "client-of-" + id, Plan: k.plan[id], CreatedAt: at})
		}
	}
	return list, nil
}

func (k *keys) change(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn()
}

// lines is a log that is read while it is written.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// overdue is what an exporter would send.
func overdue(t *testing.T, r sdkmetric.Reader) []int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.Collect(t.Context(), &all))
	var values []int64
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			require.Equal(t, keyage.Metric, m.Name)
			gauge, ok := m.Data.(metricdata.Gauge[int64])
			require.True(t, ok)
			for _, p := range gauge.DataPoints {
				values = append(values, p.Value)
			}
		}
	}
	return values
}

func TestWatch_CountsAndNamesWhatIsTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		known := &keys{
			made: map[string]time.Time{"young": now.Add(-89 * day), "old": now.Add(-91 * day), "partner": now.Add(-31 * day), "patient": now.Add(-300 * day)},
			plan: map[string]string{"partner": "partner", "patient": "patient"},
		}
		rules := policy.Policy{
			Keys:  policy.KeyRules{MaxAge: 90 * day},
			Plans: map[string]policy.Plan{"partner": {MaxKeyAge: 30 * day}, "patient": {MaxKeyAge: 365 * day}},
		}
		var log lines
		reader := sdkmetric.NewManualReader()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- keyage.Watch{
				Store: known, Policy: rules, Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
				Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now,
			}.Run(ctx)
		}()
		synctest.Wait()
		require.Equal(t, []int64{2}, overdue(t, reader))
		for _, id := range []string{"old", "partner"} {
			require.Contains(t, log.String(), "level=WARN msg=\"an API key is older than it should become: rotate it\" client_id=client-of-"+id+" key_id="+id)
		}
		require.NotContains(t, log.String(), "young")
		require.NotContains(t, log.String(), "patient")

		known.change(func() { known.down = true })
		time.Sleep(time.Hour) // of the bubble's clock
		synctest.Wait()
		require.Equal(t, []int64{2}, overdue(t, reader), "what is not known is no good news")
		require.Contains(t, log.String(), "could not be looked at")

		known.change(func() { known.down, known.made["old"], known.made["partner"] = false, now, now })
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []int64{0}, overdue(t, reader), "rotated")
		cancel()
		require.NoError(t, <-done)
	})
}
