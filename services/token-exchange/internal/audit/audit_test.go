package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strconv"
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
	counts  map[audit.Refusal]int64
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

func (m *memory) AddRefusals(_ context.Context, counts map[audit.Refusal]int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing {
		m.failed++
		return errors.New("down")
	}
	if m.counts == nil {
		m.counts = map[audit.Refusal]int64{}
	}
	for at, n := range counts {
		m.counts[at] += n
	}
	return nil
}

func (m *memory) refusals() map[audit.Refusal]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.counts)
}

func (m *memory) attempts() (all []audit.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.batches {
		all = append(all, b...)
	}
	return all
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

func run(t *testing.T, m *memory, strict ...bool) (l *audit.Log, stop func()) {
	t.Helper()
	l = audit.New(audit.Options{Store: m, Logger: slog.New(slog.DiscardHandler), Strict: len(strict) > 0})
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

func attempt(keyID string) audit.Attempt {
	return audit.Attempt{Granted: true, ClientID: "orders", KeyID: keyID, TokenHash: audit.Hash("t"), TokenID: "id"}
}

func TestLog_WritesInBatches(t *testing.T) {
	t.Parallel()
	m := &memory{}
	l, _ := run(t, m)
	for range 500 {
		require.NoError(t, l.Record(t.Context(), attempt("")))
	}
	require.Eventually(t, func() bool { n, _ := m.state(); return n == 500 }, within, every)
	require.Less(t, len(m.batches), 50)
}

func TestLog_WaitsForTheDatabaseAndLosesNothing(t *testing.T) {
	t.Parallel()
	m := &memory{failing: true}
	l, _ := run(t, m)
	require.NoError(t, l.Record(t.Context(), attempt("1")))
	require.Eventually(t, func() bool { _, failed := m.state(); return failed > 0 }, within, every)
	require.NoError(t, l.Record(t.Context(), attempt("2")))
	m.fail(false)
	require.Eventually(t, func() bool { n, _ := m.state(); return n == 2 }, within, every)
}

func TestLog_WritesTheRestWhenItEnds(t *testing.T) {
	t.Parallel()
	m := &memory{failing: true}
	l, stop := run(t, m)
	require.NoError(t, l.Record(t.Context(), attempt("")))
	require.Eventually(t, func() bool { _, failed := m.state(); return failed > 0 }, within, every)
	require.NoError(t, l.Record(t.Context(), attempt("")))
	m.fail(false)
	stop()
	n, _ := m.state()
	require.Equal(t, 2, n)
}

func TestLog_NeverWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	l := audit.New(audit.Options{Store: &memory{}, Logger: slog.New(slog.DiscardHandler)}) // not running
	taken := 0
	for l.Record(t.Context(), attempt("")) == nil {
		taken++
	}
	require.Equal(t, 10_000, taken)
}

func TestHash(t *testing.T) {
	t.Parallel()
	require.Nil(t, audit.Hash(""))
	require.Len(t, audit.Hash("x"), 32)
}

func TestLog_StrictWaitsForTheRecord(t *testing.T) {
	t.Parallel()
	m := &memory{}
	l, _ := run(t, m, true)
	require.NoError(t, l.Record(t.Context(), attempt("1")))
	n, _ := m.state()
	require.Equal(t, 1, n, "written before the answer")

	m.fail(true)
	require.ErrorIs(t, l.Record(t.Context(), attempt("2")), audit.ErrNotWritten)
	refused := attempt("3")
	refused.Granted = false
	require.NoError(t, l.Record(t.Context(), refused), "a refusal waits for nothing")
	m.fail(false)
	require.Eventually(t, func() bool { n, _ := m.state(); return n == 3 }, within, every)
	for _, a := range m.attempts() {
		if a.KeyID == "2" {
			require.False(t, a.Granted, "the token was not handed out")
			require.Equal(t, "audit_unavailable", a.Reason)
			require.Nil(t, a.TokenHash)
		}
	}

	m.fail(true)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.Record(gone, attempt("4")), audit.ErrNotWritten)
	m.fail(false)
}

func TestLog_CountsWhoProvesNothing(t *testing.T) {
	t.Parallel()
	m := &memory{failing: true}
	l, stop := run(t, m)
	at := time.Date(2026, 11, 21, 19, 34, 45, 0, time.UTC)
	for i := range 25_000 {
		a := audit.Attempt{At: at, Reason: "malformed_key", Address: "192.0.2." + strconv.Itoa(i%2)}
		require.NoError(t, l.Record(t.Context(), a))
	}
	limited := audit.Attempt{At: at, Reason: "plan_limit", ClientID: "orders", KeyID: "k1", Limited: true}
	require.NoError(t, l.Record(t.Context(), limited))
	require.Eventually(t, func() bool { _, failed := m.state(); return failed > 0 }, within, every)
	m.fail(false)
	stop()
	minute := at.Truncate(time.Minute)
	require.Equal(t, map[audit.Refusal]int64{
		{Minute: minute, Address: "192.0.2.0", Reason: "malformed_key"}: 12_500,
		{Minute: minute, Address: "192.0.2.1", Reason: "malformed_key"}: 12_500,
		{Minute: minute, Reason: "plan_limit", KeyID: "k1"}:             1,
	}, m.refusals(), "an outage loses no count")
	n, _ := m.state()
	require.Zero(t, n, "no row for any of them")
}

func TestLog_CountsInBoundedMemory(t *testing.T) {
	t.Parallel()
	m := &memory{}
	l := audit.New(audit.Options{Store: m, Logger: slog.New(slog.DiscardHandler)})
	for i := range 30_000 {
		require.NoError(t, l.Record(t.Context(), audit.Attempt{Reason: "malformed_key", Address: strconv.Itoa(i)}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, l.Run(ctx))
	counts := m.refusals()
	require.LessOrEqual(t, len(counts), 10_001)
	require.EqualValues(t, 20_000, counts[audit.Refusal{Reason: "malformed_key", Minute: time.Time{}.UTC().Truncate(time.Minute)}])
}

type pruned struct {
	mu   sync.Mutex
	left int64
}

func (p *pruned) Prune(_ context.Context, _ time.Time, limit int) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(p.left, int64(limit))
	p.left -= n
	return n, nil
}

func TestRetention_DeletesAllThatIsOld(t *testing.T) {
	t.Parallel()
	p := &pruned{left: 12_345}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := audit.Retention{Store: p, Keep: time.Hour, Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	go func() { done <- r.Run(ctx) }()
	require.Eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.left == 0 }, within, every)
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, audit.Retention{Store: p}.Run(t.Context()), "kept for ever")
}
