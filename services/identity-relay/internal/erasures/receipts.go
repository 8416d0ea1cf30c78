package erasures

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

var errUnasked = errors.New("receipt from a participant that was not asked, or for an unknown erasure")

// TakeReceipt stores a participant's answer. It is the handler of the relay's
// consumer. An answer that cannot be right is poison: it becomes a dead letter
// with its reason, and the erasure goes on waiting.
func TakeReceipt(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
	r, err := readReceipt(m)
	if err != nil {
		return mailbox.Poison(err)
	}
	id, err := uuid.Parse(r.ErasureID)
	if err != nil {
		return mailbox.Poison(errors.New("receipt for something that is not an erasure ID"))
	}
	if r.Kind == participant.KindRetentionEnded {
		return takeEnd(ctx, tx, id, r.Participant, m)
	}
	var round int
	var asked uint64
	var state State
	err = tx.QueryRow(ctx, `SELECT round, request_version, state FROM erasures WHERE id = $1`, id).Scan(&round, &asked, &state)
	if errors.Is(err, pgx.ErrNoRows) {
		return mailbox.Poison(errUnasked)
	}
	if err != nil {
		return fmt.Errorf("look for the erasure: %w", err)
	}
	if state != Requested && state != Complete {
		return mailbox.Poison(errUnasked) // it would count once somebody is asked
	}
	if r.Request < asked {
		return nil // the answer to a request of an earlier round
	}
	tag, err := tx.Exec(ctx, `UPDATE erasure_participants SET receipt = $4, answered_at = now()
		WHERE erasure_id = $1 AND round = $2 AND participant = $3 AND receipt IS NULL`, id, round, r.Participant, m.Payload)
	if err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	return takeUnasked(ctx, tx, id, round, r.Participant, m.Payload)
}

// takeUnasked stores the answer of a participant that this round does not wait
// for: every participant hears every request, also one that has to answer from a
// later date on, or that holds nothing when others are asked again. A second
// answer to the same round changes nothing.
func takeUnasked(ctx context.Context, tx pgx.Tx, id uuid.UUID, round int, name string, receipt []byte) error {
	known, err := registered(ctx, tx, name)
	if err != nil {
		return err
	}
	if !known {
		return mailbox.Poison(errUnasked)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO erasure_participants (erasure_id, round, participant, receipt, answered_at)
		VALUES ($1, $2, $3, $4, now()) ON CONFLICT DO NOTHING`, id, round, name, receipt)
	if err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil // it has answered before, and the first answer counts
	}
	return outdate(ctx, tx, id)
}

// takeEnd stores that retained rows were erased.
func takeEnd(ctx context.Context, tx pgx.Tx, id uuid.UUID, name string, m mailbox.Message) error {
	known, err := registered(ctx, tx, name)
	if err != nil {
		return err
	}
	if !known {
		return mailbox.Poison(errUnasked)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO erasure_retention_receipts (erasure_id, message_id, participant, receipt, received_at)
		SELECT id, $2, $3, $4, now() FROM erasures WHERE id = $1 ON CONFLICT DO NOTHING`, id, m.ID, name, m.Payload)
	if err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return outdate(ctx, tx, id)
	}
	if _, err := Get(ctx, tx, id); errors.Is(err, ErrNotFound) {
		return mailbox.Poison(errUnasked)
	} else if err != nil {
		return err
	}
	return nil
}

func registered(ctx context.Context, tx pgx.Tx, name string) (known bool, err error) {
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM participants WHERE name = $1)`, name).Scan(&known); err != nil {
		return false, fmt.Errorf("look into the registry: %w", err)
	}
	return known, nil
}

// outdate makes the certificate, where there is one, be issued again.
func outdate(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `UPDATE erasures SET outdated = true WHERE id = $1`, id); err != nil {
		return fmt.Errorf("mark the certificate as outdated: %w", err)
	}
	return nil
}

// readReceipt checks what can be checked without the database. NATS lets a
// service publish under its own name alone, so the subject says who it was.
func readReceipt(m mailbox.Message) (participant.Receipt, error) {
	var r participant.Receipt
	dec := json.NewDecoder(bytes.NewReader(m.Payload))
	if err := dec.Decode(&r); err != nil {
		return r, errors.New("receipt is not JSON")
	}
	sender, ok := strings.CutPrefix(m.Subject, participant.ReceiptSubjectPrefix)
	if !ok || sender != r.Participant {
		return r, errors.New("receipt in the name of somebody else")
	}
	if r.Kind != "" && r.Kind != participant.KindRetentionEnded {
		return r, fmt.Errorf("receipt of %s of a kind that is not known", sender)
	}
	for _, c := range r.Columns {
		kept := c.Disposition == participant.Retain && c.Rows > 0
		if r.Kind == participant.KindRetentionEnded {
			kept = c.Remaining > 0 // newer rows
		} else if c.Disposition != participant.Retain && c.Remaining != 0 {
			return r, fmt.Errorf("receipt of %s admits %d rows left in %s.%s", sender, c.Remaining, c.Table, c.Column)
		}
		if kept && (c.LegalReason == "" || c.RetainedUntil == nil) {
			return r, fmt.Errorf("receipt of %s keeps rows of %s.%s without a reason or an end", sender, c.Table, c.Column)
		}
	}
	return r, nil
}
