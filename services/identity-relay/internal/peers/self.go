package peers

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
)

// auditTables hold what audits have read: no data of anybody's, and no finding
// of the next audit.
var auditTables = []string{"orphan_audit_ids", "orphan_audit_positions"}

// Self is the relay.
type Self struct {
	Manifest   *participant.Manifest
	Pool       *pgxpool.Pool
	Tombstones *participant.Tombstones
}

// Name is the relay's in the registry.
func (s Self) Name() string { return erasures.Self }

// Holdings reads a page of the relay's own rows.
func (s Self) Holdings(ctx context.Context, after string, limit int) ([]participant.Holding, string, error) {
	list, next, err := s.Manifest.Holdings(ctx, s.Pool, s.Tombstones, after, limit)
	if err != nil {
		return nil, "", err
	}
	for i := range list {
		list[i].Places = slices.DeleteFunc(list[i].Places, func(p participant.HeldPlace) bool { return slices.Contains(auditTables, p.Table) })
	}
	return slices.DeleteFunc(list, func(h participant.Holding) bool { return len(h.Places) == 0 }), next, nil
}

// Export reads a page of the relay's own rows.
func (s Self) Export(ctx context.Context, userID, cursor string) (participant.ExportPage, error) {
	return s.Manifest.Export(ctx, s.Pool, userID, cursor)
}

// PreviewRekey does the relay's part in a transaction and rolls it back.
func (s Self) PreviewRekey(ctx context.Context, oldID, newID string) (participant.RekeyPreview, error) {
	tx, err := s.Pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return participant.RekeyPreview{}, fmt.Errorf("preview the relay's part: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // a preview leaves nothing behind
	if err := LockUsers(ctx, tx, oldID, newID); err != nil {
		return participant.RekeyPreview{}, err
	}
	return s.Manifest.PreviewRekey(ctx, tx, s.Tombstones, oldID, newID)
}

// LockUsers keeps facts about both users away until the transaction ends.
func LockUsers(ctx context.Context, tx pgx.Tx, oldID, newID string) error {
	for _, id := range []string{min(oldID, newID), max(oldID, newID)} {
		if err := erasures.LockUser(ctx, tx, id, true); err != nil {
			return err
		}
	}
	return nil
}
