package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/token-exchange/internal/permissions"
)

// Tombstones refuse writes for users who were erased.
type Tombstones interface {
	Refuse(ctx context.Context, tx pgx.Tx, userID string) error
}

// Grants keeps the projection of the identity provider's grants.
type Grants struct {
	pool       *pgxpool.Pool
	tombstones Tombstones
}

var _ permissions.Store = (*Grants)(nil)

// NewGrants makes the store.
func NewGrants(pool *pgxpool.Pool, t Tombstones) *Grants { return &Grants{pool: pool, tombstones: t} }

// GrantsOf lists what a user was granted.
func (s *Grants) GrantsOf(ctx context.Context, userID string) ([]permissions.Grant, error) {
	rows, err := s.pool.Query(ctx, `SELECT entity_type, entity_id, relation, conditional FROM user_grants
		WHERE user_id = $1 AND NOT revoked ORDER BY entity_type, entity_id, relation`, userID)
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[permissions.Grant])
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	return list, nil
}

// Apply takes a change unless a later version was applied before. A user who
// was erased gets no row.
func (s *Grants) Apply(ctx context.Context, tx pgx.Tx, c permissions.Change) error {
	if err := s.tombstones.Refuse(ctx, tx, c.UserID); errors.Is(err, participant.ErrErased) {
		return nil
	} else if err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO user_grants (user_id, entity_type, entity_id, relation, conditional, revoked, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7::text::numeric)
		ON CONFLICT (user_id, entity_type, entity_id, relation) DO UPDATE
		SET conditional = excluded.conditional, revoked = excluded.revoked, version = excluded.version
		WHERE user_grants.version < excluded.version`,
		c.UserID, c.Grant.EntityType, c.Grant.EntityID, c.Grant.Relation, c.Grant.Conditional, c.Revoked, strconv.FormatUint(c.Version, 10))
	if err != nil {
		return fmt.Errorf("upsert a grant: %w", err)
	}
	return nil
}
