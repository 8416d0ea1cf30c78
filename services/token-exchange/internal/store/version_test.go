package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

// TestVersion: whatever makes a proven key worth less is seen in the version, by
// hand as well; what is done all the time is not.
func TestVersion(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := store.NewClients(db.Pool)
	ctx := t.Context()
	_, err := s.Create(ctx, "operator", api.ClientSpec{ID: "orders"})
	require.NoError(t, err)
	hashed := keyring.Hashed{KeyID: "h1", Hash: make([]byte, 32)}
	_, err = s.AddKey(ctx, "operator", clients.Key{APIKey: api.APIKey{ID: "k1", ClientID: "orders"}, Hashed: hashed})
	require.NoError(t, err)
	exec := func(sql string, args ...any) error {
		_, err := db.Pool.Exec(ctx, sql, args...)
		return err
	}
	for _, c := range []struct {
		name     string
		do       func() error
		advances bool
	}{
		{"block", func() error {
			_, err := s.Update(ctx, "operator", "orders", func(c *clients.Client) error { c.Blocked = true; return nil })
			return err
		}, true},
		{"declare", func() error {
			return s.Declare(ctx, api.ClientSpec{ID: "orders", Permissions: map[string][]string{"a:b": {"c"}}})
		}, true},
		{"declare once more", func() error {
			return s.Declare(ctx, api.ClientSpec{ID: "orders", Permissions: map[string][]string{"a:b": {"c"}}})
		}, false},
		{"another hash", func() error {
			return store.NewSecretUse(db.Pool).Rehash(ctx, "k1", keyring.Hashed{KeyID: "h2", Hash: make([]byte, 32)})
		}, true},
		{"use", func() error {
			return pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error { return s.Used(ctx, tx, map[string]time.Time{"k1": time.Now()}) })
		}, false},
		{"revoke", func() error { return s.RevokeKey(ctx, "operator", "orders", "k1") }, true},
		{"by hand", func() error { return exec(`UPDATE clients SET blocked = false`) }, true},
		{"delete a key", func() error { return exec(`DELETE FROM api_keys`) }, true},
		{"a new client", func() error { _, err := s.Create(ctx, "operator", api.ClientSpec{ID: "billing"}); return err }, false},
	} {
		before, err := s.Version(ctx)
		require.NoError(t, err)
		require.NoError(t, c.do(), c.name)
		after, err := s.Version(ctx)
		require.NoError(t, err)
		require.Equal(t, c.advances, after > before, c.name)
	}
}

// TestVersion_ChangesWaitForNobody: a change that is not committed yet keeps no
// other from being made, so two never wait for each other in a circle.
func TestVersion_ChangesWaitForNobody(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := store.NewClients(db.Pool)
	for _, id := range []string{"orders", "billing"} {
		_, err := s.Create(t.Context(), "operator", api.ClientSpec{ID: id})
		require.NoError(t, err)
	}
	begin := func() pgx.Tx {
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		return tx
	}
	first, second := begin(), begin()
	for _, tx := range []pgx.Tx{first, second} {
		id := "orders"
		if tx == second {
			id = "billing"
		}
		_, err := tx.Exec(t.Context(), `UPDATE clients SET blocked = true WHERE id = $1`, id)
		require.NoError(t, err, "the version is not locked before the end")
	}
	require.NoError(t, second.Commit(t.Context()))
	require.NoError(t, first.Commit(t.Context()))
}
