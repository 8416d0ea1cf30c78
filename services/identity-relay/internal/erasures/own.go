package erasures

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// ownStep erases one column of the relay's manifest.
type ownStep struct {
	table, column string
	disposition   participant.Disposition
	// change gets the user ID and the pseudonym.
	change string
}

// ownSteps follow manifest.yaml; a test compares the two. Columns that are found
// by the user ID of their row come before that ID.
var ownSteps = []ownStep{
	{"events", "session_id", participant.Erase,
		`UPDATE events SET session_id = NULL WHERE user_id = $1 AND session_id IS NOT NULL AND $2::text IS NOT NULL`},
	{"events", "data", participant.Erase,
		`UPDATE events SET data = NULL WHERE user_id = $1 AND data IS NOT NULL AND $2::text IS NOT NULL`},
	{"events", "user_id", participant.Pseudonymise, `UPDATE events SET user_id = $2 WHERE user_id = $1`},
	{"rereads", "user_id", participant.Erase, `DELETE FROM rereads WHERE user_id = $1 AND $2::text IS NOT NULL`},
	{"reconciliation_missing", "user_id", participant.Erase,
		`DELETE FROM reconciliation_missing WHERE user_id = $1 AND $2::text IS NOT NULL`},
	{"erasures", "user_id", participant.Pseudonymise, `UPDATE erasures SET user_id = $2 WHERE user_id = $1`},
	{"orphan_audit_ids", "user_id", participant.Erase, `DELETE FROM orphan_audit_ids WHERE user_id = $1 AND $2::text IS NOT NULL`},
	{"orphan_audit_positions", "user_id", participant.Erase,
		`DELETE FROM orphan_audit_positions WHERE user_id = $1 AND $2::text IS NOT NULL`},
	{"rekeying_users", "user_id", participant.Erase, `DELETE FROM rekeying_users WHERE user_id = $1 AND $2::text IS NOT NULL`},
}

// eraseOwn is the relay's own part: tombstone, data, second count, receipt.
func (w *Worker) eraseOwn(ctx context.Context, tx pgx.Tx, id uuid.UUID, userID string) error {
	var version int64
	err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM events WHERE erasure_id = $1 AND type = $2`,
		id, identity.TypeErasureRequested).Scan(&version)
	if err != nil {
		return fmt.Errorf("read the version of the request: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) VALUES ($1, $2, $3, $4)
		ON CONFLICT (hash) DO UPDATE SET erasure_id = excluded.erasure_id, version = excluded.version, lifted = false, changed_at = now()`,
		w.Settings.Tombstones.Hash(userID), w.Settings.Tombstones.KeyID(), id.String(), version)
	if err != nil {
		return fmt.Errorf("write tombstone: %w", err)
	}
	// From here on the user's events are found by the erasure alone.
	if _, err := tx.Exec(ctx, `UPDATE events SET erasure_id = $2 WHERE user_id = $1`, userID, id); err != nil {
		return fmt.Errorf("tie events to the erasure: %w", err)
	}
	at, pseudonym := w.Settings.Now().UTC(), pseudonymOf(id)
	receipt := participant.Receipt{
		ErasureID: id.String(), Participant: Self, At: at, Manifest: w.ManifestSum, Request: uint64(version), //nolint:gosec // versions count from 1
	}
	for _, step := range ownSteps {
		tag, err := tx.Exec(ctx, step.change, userID, pseudonym)
		if err != nil {
			return fmt.Errorf("erase %s: %w", step.table, err)
		}
		receipt.Columns = append(receipt.Columns, participant.ColumnResult{
			Table: step.table, Column: step.column, Disposition: step.disposition, Rows: tag.RowsAffected(),
		})
	}
	for i, column := range receipt.Columns {
		err := tx.QueryRow(ctx, `SELECT count(*) FROM `+column.Table+` WHERE user_id = $1`, userID).Scan(&receipt.Columns[i].Remaining)
		if err != nil {
			return fmt.Errorf("count %s again: %w", column.Table, err)
		}
		if left := receipt.Columns[i].Remaining; left != 0 {
			return fmt.Errorf("%d rows are left in %s", left, column.Table)
		}
	}
	raw, err := json.Marshal(receipt)
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE erasure_participants p SET receipt = $3, answered_at = $4 FROM erasures e
		WHERE p.erasure_id = $1 AND p.participant = $2 AND e.id = $1 AND p.round = e.round`,
		id, Self, raw, at)
	if err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	return nil
}
