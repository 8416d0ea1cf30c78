package rekeyings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
)

const (
	pollInterval = 500 * time.Millisecond
	lateInterval = time.Minute
	stepBatch    = 100
)

// Wake makes Run look now. It never blocks.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run finishes rekeyings that everybody else has answered, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var toldLate time.Time
	failing := false
	for {
		err := s.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			s.Log.WarnContext(ctx, "rekeyings do not move on, will retry", "cause", err)
		}
		failing = err != nil
		if time.Since(toldLate) >= lateInterval {
			toldLate = time.Now()
			s.tellLate(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

func (s *Service) tellLate(ctx context.Context) {
	open, err := List(ctx, s.Pool, true, stepBatch)
	if err != nil {
		return // the pass has told
	}
	for _, r := range open {
		if r.Late {
			s.Log.ErrorContext(ctx, "rekeying is late", "rekey_id", r.ID, "waiting_for", r.WaitingFor)
		}
	}
}

func (s *Service) pass(ctx context.Context) error {
	rows, err := s.Pool.Query(ctx, `SELECT id FROM rekeyings r WHERE state = 'requested' AND NOT EXISTS (
			SELECT FROM rekeying_participants p WHERE p.rekeying_id = r.id AND p.receipt IS NULL AND p.participant <> $1)
		ORDER BY opened_at LIMIT $2`, erasures.Self, stepBatch)
	if err != nil {
		return fmt.Errorf("read answered rekeyings: %w", err)
	}
	answered, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return fmt.Errorf("read answered rekeyings: %w", err)
	}
	var failed []error
	for _, id := range answered {
		failed = append(failed, s.finish(ctx, id)) // one that fails must not hold up the others
	}
	return errors.Join(failed...)
}

// finish does the last steps. Each is repeatable.
func (s *Service) finish(ctx context.Context, id uuid.UUID) error {
	var sealed bool
	err := pgx.BeginTxFunc(ctx, s.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) (err error) {
		sealed, err = s.seal(ctx, tx, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("rekey the relay's own rows: %w", err)
	}
	if !sealed {
		return nil
	}
	if err := s.removeMessages(ctx, id); err != nil {
		return err
	}
	return s.complete(ctx, id)
}

// seal does the relay's own part: tombstone, rows, receipt. It reports false
// while an event of the old ID is not published yet: until then nobody knows
// which message to delete.
func (s *Service) seal(ctx context.Context, tx pgx.Tx, id uuid.UUID) (sealed bool, err error) {
	tag, err := tx.Exec(ctx, `SELECT FROM rekeyings WHERE id = $1 AND state = 'requested' FOR UPDATE SKIP LOCKED`, id)
	if err != nil || tag.RowsAffected() == 0 {
		return false, err // another replica has finished it, or is about to
	}
	// Not in the statement above: beside a row that was locked it reads others as
	// they were before.
	var answered bool
	err = tx.QueryRow(ctx, `SELECT receipt IS NOT NULL FROM rekeying_participants WHERE rekeying_id = $1 AND participant = $2`,
		id, erasures.Self).Scan(&answered)
	if err != nil || answered {
		return answered, err
	}
	var oldID, newID string
	err = tx.QueryRow(ctx, `SELECT o.user_id, n.user_id FROM rekeying_users o JOIN rekeying_users n USING (rekeying_id)
		WHERE o.rekeying_id = $1 AND o.role = 'old' AND n.role = 'new'`, id).Scan(&oldID, &newID)
	if err != nil {
		return false, fmt.Errorf("read the users: %w", err)
	}
	if err := peers.LockUsers(ctx, tx, oldID, newID); err != nil {
		return false, err
	}
	var unpublished bool
	var version int64
	err = tx.QueryRow(ctx, `SELECT bool_or(stream_sequence IS NULL), coalesce(max(version) FILTER (WHERE type = $2), 0) FROM events WHERE user_id = $1`,
		oldID, identity.TypeUserRekeyed).Scan(&unpublished, &version)
	if err != nil || unpublished {
		return false, err
	}
	return true, s.own(ctx, tx, id, oldID, newID, version)
}

func (s *Service) own(ctx context.Context, tx pgx.Tx, id uuid.UUID, oldID, newID string, version int64) error {
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) VALUES ($1, $2, $3, $4)
			ON CONFLICT (hash) DO UPDATE SET erasure_id = excluded.erasure_id, version = excluded.version, lifted = false, changed_at = now()`,
			[]any{s.Tombstones.Hash(oldID), s.Tombstones.KeyID(), id.String(), version}},
		{`INSERT INTO rekeying_messages (rekeying_id, event_id, stream_sequence)
			SELECT $1::uuid, id, stream_sequence FROM events WHERE user_id = $2 AND removed_at IS NULL AND stream_sequence IS NOT NULL
			UNION SELECT $1::uuid, c.event_id, c.stream_sequence FROM event_copies c JOIN events e ON e.id = c.event_id WHERE e.user_id = $2
			ON CONFLICT DO NOTHING`, []any{id, oldID}},
		// The event names the new ID. Once everybody has answered nobody reads it.
		{`UPDATE events SET data = NULL WHERE user_id = $1 AND type = $2`, []any{oldID, identity.TypeUserRekeyed}},
		{`DELETE FROM rekeying_users WHERE rekeying_id = $1`, []any{id}},
	} {
		if _, err := tx.Exec(ctx, statement.sql, statement.args...); err != nil {
			return fmt.Errorf("prepare the relay's rows: %w", err)
		}
	}
	receipt := participant.RekeyReceipt{
		RekeyID: id.String(), Participant: erasures.Self, At: s.Now().UTC().Truncate(time.Microsecond), Manifest: s.ManifestSum,
	}
	var err error
	if receipt.Columns, err = s.Manifest.Rekey(ctx, tx, oldID, newID); err != nil {
		return err
	}
	raw, err := json.Marshal(receipt)
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE rekeying_participants SET receipt = $3, answered_at = $4 WHERE rekeying_id = $1 AND participant = $2`,
		id, erasures.Self, raw, receipt.At)
	if err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	return nil
}

// removeMessages deletes the messages about the old ID from the stream. Their
// events stay in the log, under the new ID, and are not told again.
func (s *Service) removeMessages(ctx context.Context, id uuid.UUID) error {
	type message struct {
		EventID  uuid.UUID
		Sequence int64
	}
	rows, err := s.Pool.Query(ctx, `SELECT event_id, stream_sequence FROM rekeying_messages WHERE rekeying_id = $1 ORDER BY stream_sequence`, id)
	if err != nil {
		return fmt.Errorf("read the messages to delete: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[message])
	if err != nil || len(list) == 0 {
		return err
	}
	stream, err := s.JetStream.Stream(ctx, s.Stream)
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	for _, m := range list {
		deleted, err := erasures.RemoveMessage(ctx, stream, m.EventID, uint64(m.Sequence)) //nolint:gosec // stored from a uint64
		if err != nil {
			return err
		}
		_, err = s.Pool.Exec(ctx, `WITH copies AS (DELETE FROM event_copies WHERE event_id = $2 AND stream_sequence = $3),
				gone AS (DELETE FROM rekeying_messages WHERE rekeying_id = $1 AND event_id = $2 AND stream_sequence = $3),
				counted AS (UPDATE rekeyings SET messages_deleted = messages_deleted + $4::boolean::int WHERE id = $1)
			UPDATE events SET removed_at = now() WHERE id = $2`, id, m.EventID, m.Sequence, deleted)
		if err != nil {
			return fmt.Errorf("note a deleted message: %w", err)
		}
	}
	return nil
}

func (s *Service) complete(ctx context.Context, id uuid.UUID) error {
	_, err := s.Pool.Exec(ctx, `UPDATE rekeyings SET state = 'complete', completed_at = $2 WHERE id = $1 AND state = 'requested'
		AND NOT EXISTS (SELECT FROM rekeying_messages WHERE rekeying_id = $1)`, id, s.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("complete a rekeying: %w", err)
	}
	return nil
}
