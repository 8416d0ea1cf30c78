package store

import (
	"cmp"
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

// AddRefusals adds to the counts, in one order, so that no two replicas wait for
// each other.
func (s *Audit) AddRefusals(ctx context.Context, counts map[audit.Refusal]int64) error {
	order := slices.SortedFunc(maps.Keys(counts), func(a, b audit.Refusal) int {
		return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.KeyID, b.KeyID))
	})
	n := len(order)
	minutes, addresses := make([]time.Time, n), make([]string, n)
	reasons, keys, amounts := make([]string, n), make([]string, n), make([]int64, n)
	for i, at := range order {
		minutes[i], addresses[i], reasons[i], keys[i], amounts[i] = at.Minute, at.Address, at.Reason, at.KeyID, counts[at]
	}
	_, err := s.pool.Exec(ctx, `INSERT INTO audit_refusals AS r (minute, address, reason, key_id, count)
		SELECT u.minute, u.address, u.reason, u.key_id, u.count
		FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS u (minute, address, reason, key_id, count)
		ON CONFLICT (minute, address, reason, key_id) DO UPDATE SET count = r.count + excluded.count`,
		minutes, addresses, reasons, keys, amounts)
	if err != nil {
		return fmt.Errorf("add counts of refused attempts: %w", err)
	}
	return nil
}

// pruneLock is the advisory lock of the one replica that prunes.
const pruneLock = 0x7072756e65

// Prune deletes the oldest records from before a time.
func (s *Audit) Prune(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, pruneLock).Scan(&mine); err != nil || !mine {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)`,
			`DELETE FROM audit_refusals WHERE ctid IN (SELECT ctid FROM audit_refusals WHERE minute < $1 ORDER BY minute LIMIT $2)`,
		} {
			tag, err := tx.Exec(ctx, statement, before, limit)
			if err != nil {
				return err
			}
			deleted = max(deleted, tag.RowsAffected())
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("prune the audit: %w", err)
	}
	return deleted, nil
}
