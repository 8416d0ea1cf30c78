package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
)

type memory struct {
	mu      sync.Mutex
	failing bool
	failed  int
	batches [][]audit.Attempt
}

func (m *memory) WriteAttempts(_ context.Context, batch []audit.Attempt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing {
		m.failed++
		return errors.New("down")
	}
	m.batches = append(m.batches, append([]audit.Attempt(nil), batch...))
	return nil
}

func (m *memory) state() (written, failed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.batches {
		written += len(b)
	}
	return written, m.failed
}

func (m *memory) fail(failing bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = failing
}

func run(t *testing.T, m *memory) (l *audit.Log, stop func()) {
	t.Helper()
	l = audit.New(m, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return l, stop
}

const (
	within = 10 * time.Second
	every  = 5 * time.Millisecond
)

func TestLog_WritesInBatches(t *testing.T) {
	t.Parallel()
	m := &memory{}
	l, _ := run(t, m)
	for range 500 {
		require.NoError(t, l.Record(t.Context(), audit.Attempt{}))
	}
	require.Eventually(t, func() bool { n, _ := m.state(); return n == 500 }, within, every)
	require.Less(t, len(m.batches), 50)
}

func TestLog_WaitsForTheDatabaseAndLosesNothing(t *testing.T) {
	t.Parallel()
	m := &memory{failing: true}
	l, _ := run(t, m)
	require.NoError(t, l.Record(t.Context(), audit.Attempt{KeyID: "1"}))
	require.Eventually(t, func() bool { _, failed := m.state(); return failed > 0 }, within, every)
	require.NoError(t, l.Record(t.Context(), audit.Attempt{KeyID: "2"}))
	m.fail(false)
	require.Eventually(t, func() bool { n, _ := m.state(); return n == 2 }, within, every)
}

func TestLog_WritesTheRestWhenItEnds(t *testing.T) {
	t.Parallel()
	m := &memory{failing: true}
	l, stop := run(t, m)
	require.NoError(t, l.Record(t.Context(), audit.Attempt{}))
	require.Eventually(t, func() bool { _, failed := m.state(); return failed > 0 }, within, every)
	require.NoError(t, l.Record(t.Context(), audit.Attempt{}))
	m.fail(false)
	stop()
	n, _ := m.state()
	require.Equal(t, 2, n)
}

func TestLog_NeverWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	l := audit.New(&memory{}, slog.New(slog.DiscardHandler)) // not running
	taken := 0
	for l.Record(t.Context(), audit.Attempt{}) == nil {
		taken++
	}
	require.Equal(t, 10_000, taken)
}

func TestHash(t *testing.T) {
	t.Parallel()
	require.Nil(t, audit.Hash(""))
	require.Len(t, audit.Hash("x"), 32)
}
