package clients_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

type records map[string]*clients.Key

func (r records) KeyByID(_ context.Context, id string) (*clients.Key, *clients.Client, error) {
	k, ok := r[id]
	if !ok {
		return nil, nil, clients.ErrNotFound
	}
	return k, &clients.Client{Client: api.Client{ClientSpec: api.ClientSpec{ID: k.ClientID}}}, nil
}

func setup(tb testing.TB, now func() time.Time) (*clients.Authenticator, records, string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "keys")
	require.NoError(tb, os.WriteFile(path, []byte(api.GenerateSecretKey("h")), 0o600))
	ring, err := keyring.Load(path)
	require.NoError(tb, err)
	key, err := api.GenerateKey("test")
	require.NoError(tb, err)
	known := records{key.ID(): {
		APIKey: api.APIKey{ID: key.ID(), ClientID: "orders"}, Hashed: ring.Hash(keyring.PurposeAPIKey, key.Reveal()),
	}}
	return clients.NewAuthenticator(known, clients.NewMemory(&version{}, now, slog.New(slog.DiscardHandler)), ring, now), known, key.Reveal()
}

func TestAuthenticate_ADeadlineIsTooLate(t *testing.T) {
	t.Parallel()
	at := time.Now()
	now := at
	a, known, key := setup(t, func() time.Time { return now })
	for _, k := range known {
		k.ExpiresAt = &at
	}
	now = at.Add(-time.Nanosecond)
	proven, err := a.Authenticate(t.Context(), clients.Credential{ClientID: "orders", APIKey: key})
	require.NoError(t, err)
	require.Equal(t, "orders", proven.Client.ID)
	now = at
	_, err = a.Authenticate(t.Context(), clients.Credential{ClientID: "orders", APIKey: key})
	require.ErrorIs(t, err, clients.ErrRefused)
	require.ErrorContains(t, err, clients.ReasonExpired)
}

func TestAuthenticate_AnUnknownHashKeyIsNoRefusal(t *testing.T) {
	t.Parallel()
	a, known, key := setup(t, time.Now)
	for _, k := range known {
		k.Hashed.KeyID = "gone"
	}
	_, err := a.Authenticate(t.Context(), clients.Credential{ClientID: "orders", APIKey: key})
	require.ErrorIs(t, err, keyring.ErrUnknownKey)
	require.NotErrorIs(t, err, clients.ErrRefused)
}

// BenchmarkAuthenticate_A7 shows that every refusal costs the same work beside
// the look-up: one hash, one comparison, no decoding.
func BenchmarkAuthenticate_A7(b *testing.B) {
	past := time.Now().Add(-time.Hour)
	unknown, err := api.GenerateKey("test")
	require.NoError(b, err)
	for _, bench := range []struct {
		name   string
		change func(*clients.Key, *clients.Client)
		key    string // empty: the known one
	}{
		{name: "granted"},
		{name: "unknown", key: unknown.Reveal()},
		{name: "wrong", change: func(k *clients.Key, _ *clients.Client) { k.Hash = make([]byte, 32) }},
		{name: "revoked", change: func(k *clients.Key, _ *clients.Client) { k.RevokedAt = &past }},
		{name: "expired", change: func(k *clients.Key, _ *clients.Client) { k.ExpiresAt = &past }},
		{name: "blocked", change: func(_ *clients.Key, c *clients.Client) { c.Blocked = true }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			a, known, key := setup(b, time.Now)
			stored := &stored{records: known, change: bench.change}
			a = clients.NewAuthenticator(stored, clients.NewMemory(&version{}, time.Now, slog.New(slog.DiscardHandler)), a.Hashes(), time.Now)
			if bench.key != "" {
				key = bench.key
			}
			for b.Loop() {
				_, _ = a.Authenticate(b.Context(), clients.Credential{ClientID: "orders", APIKey: key})
			}
		})
	}
}

// stored answers as the database does: a registration that is not decoded yet.
type stored struct {
	records records
	change  func(*clients.Key, *clients.Client)
}

func (s *stored) KeyByID(ctx context.Context, id string) (*clients.Key, *clients.Client, error) {
	known, c, err := s.records.KeyByID(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	k := *known
	c.Encoded = []byte(`{"audiences":{"billing":{"scopes":["billing:invoices:create","billing:read"]}},"permissions":{"client_shop:invoice":["read"]}}`)
	if s.change != nil {
		s.change(&k, c)
	}
	return &k, c, nil
}
