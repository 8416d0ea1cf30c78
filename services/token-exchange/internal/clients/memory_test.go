package clients_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
)

// version is a registry's version that tests change.
type version struct {
	number atomic.Int64
	broken atomic.Bool
	asked  atomic.Int64
}

func (v *version) Version(context.Context) (int64, error) {
	defer v.asked.Add(1)
	if v.broken.Load() {
		return 0, errors.New("no database")
	}
	return v.number.Load(), nil
}

// seen waits until the version was asked for once more, from here on.
func (v *version) seen(t *testing.T) {
	t.Helper()
	from := v.asked.Load()
	require.Eventually(t, func() bool { return v.asked.Load() >= from+2 }, 10*time.Second, time.Millisecond)
}

// counted counts look-ups; during, where there is one, runs within each.
type counted struct {
	records
	mu     sync.Mutex
	count  int
	during func()
}

func (c *counted) KeyByID(ctx context.Context, id string) (*clients.Key, *clients.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	k, client, err := c.records.KeyByID(ctx, id)
	if c.during != nil {
		c.during()
	}
	if err != nil {
		return nil, nil, err
	}
	copied := *k
	return &copied, client, nil
}

func (c *counted) revoke(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.records {
		k.RevokedAt = &at
	}
}

func (c *counted) lookups() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

type remembering struct {
	*clients.Authenticator
	memory  *clients.Memory
	version *version
	stored  *counted
	key     string
	clock   atomic.Int64 // added to the time, in ns
}

func (r *remembering) now() time.Time { return time.Now().Add(time.Duration(r.clock.Load())) }

func watched(t *testing.T) *remembering {
	t.Helper()
	r := &remembering{version: &version{}}
	r.version.number.Store(1)
	plain, known, key := setup(t, r.now)
	r.key, r.stored = key, &counted{records: known}
	r.memory = clients.NewMemory(r.version, r.now, slog.New(slog.DiscardHandler))
	r.Authenticator = clients.NewAuthenticator(r.stored, r.memory, plain.Hashes(), r.now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.memory.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	r.version.seen(t)
	return r
}

func (r *remembering) prove(t *testing.T, key string) error {
	t.Helper()
	_, err := r.Authenticate(t.Context(), clients.Credential{ClientID: "orders", APIKey: key})
	return err
}

func TestMemory_AProvenKeyCostsOneLookUp(t *testing.T) {
	t.Parallel()
	r := watched(t)
	for range 5 {
		require.NoError(t, r.prove(t, r.key))
	}
	require.Equal(t, 1, r.stored.lookups())
}

// TestMemory_NeverRefuses: neither an oracle of what is in memory, nor a refusal
// that is out of date.
func TestMemory_NeverRefuses(t *testing.T) {
	t.Parallel()
	r := watched(t)
	require.NoError(t, r.prove(t, r.key))
	_, err := r.Authenticate(t.Context(), clients.Credential{ClientID: "billing", APIKey: r.key})
	require.ErrorContains(t, err, clients.ReasonWrongClient)
	require.Equal(t, 2, r.stored.lookups())
	unknown, err := api.GenerateKey("test")
	require.NoError(t, err)
	for want := 3; want <= 4; want++ {
		require.ErrorContains(t, r.prove(t, unknown.Reveal()), clients.ReasonUnknown)
		require.Equal(t, want, r.stored.lookups())
	}
}

func TestMemory_ADeadlineHoldsWithoutALookUp(t *testing.T) {
	t.Parallel()
	r := watched(t)
	deadline := r.now().Add(time.Second)
	for _, k := range r.stored.records {
		k.ExpiresAt = &deadline
	}
	require.NoError(t, r.prove(t, r.key))
	r.clock.Store(int64(time.Second))
	require.ErrorContains(t, r.prove(t, r.key), clients.ReasonExpired)
}

func TestMemory_ForgetsWhatChanges(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(*testing.T, *remembering){
		"elsewhere": func(t *testing.T, r *remembering) {
			t.Helper()
			r.version.number.Add(1)
			r.version.seen(t)
		},
		"elsewhere, back to an older state": func(t *testing.T, r *remembering) {
			t.Helper()
			r.version.number.Add(-1)
			r.version.seen(t)
		},
		"here": func(_ *testing.T, r *remembering) { r.memory.Forget() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := watched(t)
			require.NoError(t, r.prove(t, r.key))
			r.stored.revoke(time.Now())
			tell(t, r)
			require.ErrorContains(t, r.prove(t, r.key), clients.ReasonRevoked)
		})
	}
}

// A look-up that began before a change must not bring back what the change ended.
func TestMemory_KeepsNothingFromBeforeAChange(t *testing.T) {
	t.Parallel()
	r := watched(t)
	r.stored.during = r.memory.Forget
	require.NoError(t, r.prove(t, r.key), "the look-up came before the change")
	r.stored.during = nil
	r.stored.revoke(time.Now())
	require.ErrorContains(t, r.prove(t, r.key), clients.ReasonRevoked)
}

func TestMemory_IsNotBelievedWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	r := watched(t)
	require.NoError(t, r.prove(t, r.key))
	r.version.broken.Store(true)
	r.version.seen(t)
	r.clock.Store(int64(9 * time.Second))
	require.NoError(t, r.prove(t, r.key))
	require.Equal(t, 1, r.stored.lookups())
	r.clock.Store(int64(10 * time.Second))
	require.NoError(t, r.prove(t, r.key))
	require.Equal(t, 2, r.stored.lookups())
}
