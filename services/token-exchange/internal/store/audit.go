package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
)

// Audit keeps the attempts.
type Audit struct {
	pool       *pgxpool.Pool
	clients    *Clients
	tombstones Tombstones
}

var _ audit.Store = (*Audit)(nil)

// NewAudit makes the store.
func NewAudit(pool *pgxpool.Pool, clients *Clients, t Tombstones) *Audit {
	return &Audit{pool: pool, clients: clients, tombstones: t}
}

var auditColumns = []string{
	"at", "grant_type", "granted", "reason", "client_id", "key_id", "user_id", "audience", "scope",
	"token_id", "token_hash", "subject_token_hash", "address",
}

// WriteAttempts copies the batch in, remembers when keys were used, and leaves
// out who was erased meanwhile.
func (s *Audit) WriteAttempts(ctx context.Context, batch []audit.Attempt) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		erased, err := s.erased(ctx, tx, batch)
		if err != nil {
			return err
		}
		used := map[string]time.Time{}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"audit"}, auditColumns, pgx.CopyFromSlice(len(batch), func(i int) ([]any, error) {
			a := batch[i]
			var userID *string
			if a.UserID != "" && !erased[a.UserID] {
				userID = &a.UserID
			}
			audience := a.Audience
			if audience == nil {
				audience = []string{}
			}
			if a.Granted && a.At.After(used[a.KeyID]) {
				used[a.KeyID] = a.At
			}
			return []any{a.At, a.GrantType, a.Granted, a.Reason, a.ClientID, a.KeyID, userID, audience, a.Scope,
				a.TokenID, a.TokenHash, a.SubjectTokenHash, a.Address}, nil
		}))
		if err != nil {
			return fmt.Errorf("copy audit records: %w", err)
		}
		return s.clients.Used(ctx, tx, used)
	})
}

// erased asks the tombstones about the batch's users in one order, so that no
// two batches wait for each other.
func (s *Audit) erased(ctx context.Context, tx pgx.Tx, batch []audit.Attempt) (map[string]bool, error) {
	erased := map[string]bool{}
	for _, a := range batch {
		if a.UserID != "" {
			erased[a.UserID] = false
		}
	}
	for _, id := range slices.Sorted(maps.Keys(erased)) {
		err := s.tombstones.Refuse(ctx, tx, id)
		switch {
		case errors.Is(err, participant.ErrErased):
			erased[id] = true
		case err != nil:
			return nil, err
		}
	}
	return erased, nil
}
