package clients_test

import (
	"context"
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
	return clients.NewAuthenticator(known, ring, now), known, key.Reveal()
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

// BenchmarkAuthenticate shows that known, unknown and expired keys cost the same
// work beside the look-up.
func BenchmarkAuthenticate(b *testing.B) {
	a, _, known := setup(b, time.Now)
	unknown, err := api.GenerateKey("test")
	require.NoError(b, err)
	late, records, expired := setup(b, time.Now)
	past := time.Now().Add(-time.Hour)
	for _, k := range records {
		k.ExpiresAt = &past
	}
	for name, bench := range map[string]struct {
		authenticator *clients.Authenticator
		key           string
	}{"known": {a, known}, "unknown": {a, unknown.Reveal()}, "expired": {late, expired}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = bench.authenticator.Authenticate(b.Context(), clients.Credential{ClientID: "orders", APIKey: bench.key})
			}
		})
	}
}
