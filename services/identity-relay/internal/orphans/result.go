package orphans

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Audit is one with what it has found so far.
type Audit struct {
	ID         uuid.UUID
	State      string
	Phase      string
	StartedAt  time.Time
	FinishedAt *time.Time
	Listed     int64
	LookedUp   int64
	Problem    string
	Unsettled  int64
	Holders    []Holder `db:"-"`
	Columns    []Column `db:"-"`
}

// Holder is how far one service has told its IDs.
type Holder struct {
	Name     string
	IDs      int64
	Complete bool
	Problem  string
}

// Column counts user IDs in one column.
type Column struct {
	Holder, Table, Column             string
	IDs, Rows, Retained, Foreign      int64
	Orphans, AfterErasure, UnderErase int64
}

// Get returns one audit, or ErrNotFound.
func (a *Auditor) Get(ctx context.Context, id uuid.UUID) (Audit, error) {
	// Who waits for an audit asks every half second: what is read of a million IDs
	// that nothing has been found about yet is not counted each time.
	rows, err := a.Pool.Query(ctx, `SELECT id, state, phase, started_at, finished_at, listed, looked_up, problem, CASE WHEN phase = 'lookups'
			THEN (SELECT count(DISTINCT user_id) FROM orphan_audit_ids WHERE audit_id = $1 AND finding = 'held') ELSE 0 END AS unsettled
		FROM orphan_audits WHERE id = $1`, id)
	if err != nil {
		return Audit{}, fmt.Errorf("read an audit: %w", err)
	}
	audit, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Audit])
	if errors.Is(err, pgx.ErrNoRows) {
		return Audit{}, ErrNotFound
	}
	if err != nil {
		return Audit{}, fmt.Errorf("read an audit: %w", err)
	}
	rows, err = a.Pool.Query(ctx, `SELECT holder, ids, complete, problem FROM orphan_audit_holders WHERE audit_id = $1 ORDER BY holder`, id)
	if err != nil {
		return Audit{}, fmt.Errorf("read an audit's holders: %w", err)
	}
	if audit.Holders, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Holder]); err != nil {
		return Audit{}, fmt.Errorf("read an audit's holders: %w", err)
	}
	rows, err = a.Pool.Query(ctx, `WITH found AS (
			SELECT i.holder, p ->> 'table' AS held_table, p ->> 'column' AS held_column,
				count(*) FILTER (WHERE finding = 'orphan') AS orphans, count(*) FILTER (WHERE finding = 'erased') AS erased,
				count(*) FILTER (WHERE finding = 'erasing') AS erasing
			FROM orphan_audit_ids i CROSS JOIN LATERAL json_array_elements(i.places) AS p
			WHERE audit_id = $1 AND finding <> 'held' GROUP BY 1, 2, 3)
		SELECT c.holder, c.held_table, c.held_column, c.ids, c.held_rows, c.retained_ids, c.foreign_ids,
			coalesce(f.orphans, 0), coalesce(f.erased, 0), coalesce(f.erasing, 0)
		FROM orphan_audit_columns c LEFT JOIN found f USING (holder, held_table, held_column)
		WHERE c.audit_id = $1 ORDER BY 1, 2, 3`, id)
	if err != nil {
		return Audit{}, fmt.Errorf("read an audit's columns: %w", err)
	}
	if audit.Columns, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Column]); err != nil {
		return Audit{}, fmt.Errorf("read an audit's columns: %w", err)
	}
	return audit, nil
}

// Finding is an ID that should not be where it is.
type Finding struct {
	Number   int64
	Holder   string
	UserHash []byte
	UserID   string // empty for somebody who was erased
	Finding  string
	Places   []participant.HeldPlace
}

// Findings lists an audit's findings behind a number.
func (a *Auditor) Findings(ctx context.Context, id uuid.UUID, after int64, limit int) ([]Finding, error) {
	rows, err := a.Pool.Query(ctx, `SELECT id, holder, user_hash, coalesce(user_id, ''), finding, places FROM orphan_audit_ids
		WHERE audit_id = $1 AND id > $2 AND finding <> 'held' ORDER BY id LIMIT $3`, id, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read findings: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Finding, err error) {
		var raw []byte
		if err := row.Scan(&f.Number, &f.Holder, &f.UserHash, &f.UserID, &f.Finding, &raw); err != nil {
			return f, err
		}
		return f, json.Unmarshal(raw, &f.Places)
	})
	if err != nil {
		return nil, fmt.Errorf("read findings: %w", err)
	}
	return list, nil
}
