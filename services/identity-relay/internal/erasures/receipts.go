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
	tag, err := tx.Exec(ctx, `UPDATE erasure_participants SET receipt = $3, answered_at = now()
		WHERE erasure_id = $1 AND participant = $2 AND receipt IS NULL`, id, r.Participant, m.Payload)
	if err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	var asked bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM erasure_participants WHERE erasure_id = $1 AND participant = $2)`,
		id, r.Participant).Scan(&asked)
	if err != nil {
		return fmt.Errorf("look for the erasure: %w", err)
	}
	if !asked {
		return mailbox.Poison(errors.New("receipt from a participant that was not asked, or for an unknown erasure"))
	}
	return nil // it has answered before, and the first answer counts
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
	for _, c := range r.Columns {
		if c.Disposition != participant.Retain && c.Remaining != 0 {
			return r, fmt.Errorf("receipt of %s admits %d rows left in %s.%s", sender, c.Remaining, c.Table, c.Column)
		}
		if c.Disposition == participant.Retain && c.Rows > 0 && (c.LegalReason == "" || c.RetainedUntil == nil) {
			return r, fmt.Errorf("receipt of %s keeps rows of %s.%s without a reason or an end", sender, c.Table, c.Column)
		}
	}
	return r, nil
}
