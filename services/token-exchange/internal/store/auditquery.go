package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
)

// Exchanges lists attempts, newest first. The query is always the same text, so
// that nothing of it can be a caller's; Postgres plans it for the values.
func (s *Audit) Exchanges(ctx context.Context, q audit.Query) ([]api.Exchange, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, at, grant_type, granted, reason, client_id, key_id, coalesce(user_id, ''), audience, scope,
			token_id, token_hash, subject_token_hash, address
		FROM audit
		WHERE ($1 = '' OR client_id = $1) AND ($2 = '' OR key_id = $2) AND ($3 = '' OR address = $3) AND ($4 = '' OR reason = $4)
			AND ($5 = '' OR user_id = $5) AND ($6::bytea IS NULL OR token_hash = $6) AND ($7::boolean IS NULL OR granted = $7)
			AND at >= $8 AND at < $9 AND id < $10
		ORDER BY id DESC LIMIT $11`, pgx.QueryExecModeCacheDescribe,
		q.ClientID, q.KeyID, q.Address, q.Reason, q.UserID, q.TokenHash, q.Granted, q.Since, q.Until, q.Before, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list exchanges: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (api.Exchange, error) {
		var e api.Exchange
		var user string
		var token, subject []byte
		err := row.Scan(&e.ID, &e.At, &e.GrantType, &e.Granted, &e.Reason, &e.ClientID, &e.KeyID, &user, &e.Audience, &e.Scope,
			&e.TokenID, &token, &subject, &e.Address)
		e.UserID, e.TokenSHA256, e.SubjectTokenSHA256 = api.EncodeUserID(user), hex.EncodeToString(token), hex.EncodeToString(subject)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("list exchanges: %w", err)
	}
	return list, nil
}

// Refusals lists counts, newest first.
func (s *Audit) Refusals(ctx context.Context, q audit.Query) ([]api.Refusals, error) {
	rows, err := s.pool.Query(ctx, `SELECT minute, address, reason, key_id, count FROM audit_refusals
		WHERE ($1 = '' OR key_id = $1) AND ($2 = '' OR address = $2) AND ($3 = '' OR reason = $3) AND minute >= $4 AND minute < $5
		ORDER BY minute DESC, count DESC, address, reason, key_id LIMIT $6`,
		q.KeyID, q.Address, q.Reason, q.Since.Truncate(time.Minute), q.Until, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list refusals: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[api.Refusals])
	if err != nil {
		return nil, fmt.Errorf("list refusals: %w", err)
	}
	return list, nil
}

// Changes lists what was changed, newest first.
func (s *Audit) Changes(ctx context.Context, q audit.Query) ([]api.Change, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, at, actor, action, client_id, key_id FROM changes
		WHERE ($1 = '' OR client_id = $1) AND ($2 = '' OR key_id = $2) AND at >= $3 AND at < $4 AND id < $5
		ORDER BY id DESC LIMIT $6`, q.ClientID, q.KeyID, q.Since, q.Until, q.Before, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[api.Change])
	if err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	return list, nil
}
