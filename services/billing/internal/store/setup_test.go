package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/billing/domain"
	"github.com/shadowless/shadowless/services/billing/internal/store"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

var (
	alice = domain.Owner{UserID: "alice", TenantID: "acme"}
	bob   = domain.Owner{UserID: "bob", TenantID: "acme"}
	now   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

type fixture struct {
	*store.Store
	db         *identitytest.Database
	tombstones *participant.Tombstones
}

func setup(t *testing.T) fixture {
	t.Helper()
	db := identitytest.Postgres(t, store.Migrations()...)
	file := filepath.Join(t.TempDir(), "tombstones")
	require.NoError(t, os.WriteFile(file, []byte(participant.NewTombstoneKey("k1")), 0o600))
	tombstones, err := participant.LoadTombstones(file)
	require.NoError(t, err)
	return fixture{store.New(db.Pool, tombstones, func() {}), db, tombstones}
}

func (f fixture) create(t *testing.T, owner domain.Owner, amount int64) domain.Invoice {
	t.Helper()
	inv, change, err := domain.New(newID(t), newID(t), owner, "EUR", amount, now)
	require.NoError(t, err)
	stored, err := f.Create(context.Background(), inv, change)
	require.NoError(t, err)
	return stored
}

func (f fixture) erase(t *testing.T, userID string) {
	t.Helper()
	_, err := f.db.Pool.Exec(context.Background(), `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version)
		VALUES ($1, $2, 'e1', 1)`, f.tombstones.Hash(userID), f.tombstones.KeyID())
	require.NoError(t, err)
}

func (f fixture) count(t *testing.T, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	require.NoError(t, f.db.Pool.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

func key(owner domain.Owner, value string, parts ...any) idempotency.Key {
	return idempotency.Key{UserID: owner.UserID, TenantID: owner.TenantID, Operation: "test", Value: value, Hash: idempotency.Hash(parts...)}
}

func newID(t require.TestingT) uuid.UUID {
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

func pay(i *domain.Invoice) (domain.Change, error) { return i.Pay(i.AmountMinor, now) }
