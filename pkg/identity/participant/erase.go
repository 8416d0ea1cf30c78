package participant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// receiptSpace makes the message ID of a receipt a function of its content, so
// that a receipt that is sent twice is received once.
var receiptSpace = uuid.MustParse("5a7c9d4e-2f6b-4b1e-9d3a-0c8e6f1b7a52")

var errSuperseded = errors.New("the erasure is older than the user's readmission")

func (p *Participant) handle(ctx context.Context, tx pgx.Tx, m mailbox.Message, steps []step) error {
	e, err := identity.Decode(m.Payload)
	if err != nil {
		return mailbox.Poison(err)
	}
	switch e.Type {
	case identity.TypeErasureRequested:
		return p.erase(ctx, tx, e, steps)
	case identity.TypeErasureReadmitted:
		return p.readmit(ctx, tx, e)
	case identity.TypeErasureHeld:
		return hold(ctx, tx, e, true)
	case identity.TypeErasureReleased:
		return hold(ctx, tx, e, false)
	case identity.TypeUserRekeyed:
		return p.rekey(ctx, tx, e)
	default:
		return nil // a type of the same family that a later version added
	}
}

// erase does in one transaction all that an erasure is: tombstone, data, second
// count, receipt. The inbox row is already in it.
func (p *Participant) erase(ctx context.Context, tx pgx.Tx, e identity.Event, steps []step) error {
	// Waits for writers in flight and holds off later ones; see Tombstones.Refuse.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, lockID(e.UserID)); err != nil {
		return fmt.Errorf("lock the user: %w", err)
	}
	earlier, err := p.answered(ctx, tx, e.ErasureID)
	if err != nil {
		return err
	}
	if earlier != nil && earlier.Request >= e.Version {
		return p.send(ctx, tx, earlier.raw)
	}
	if err := p.bury(ctx, tx, e); err != nil {
		return err
	}
	receipt := Receipt{
		ErasureID: e.ErasureID, Participant: p.config.Name, Manifest: p.config.Manifest.sum, Request: e.Version,
		At: time.Now().UTC().Truncate(time.Microsecond),
	}
	// What is kept from the erasure on is not kept longer for being asked again.
	since := receipt.At
	if earlier != nil {
		since = earlier.since.UTC()
	}
	if receipt.Columns, err = work(ctx, tx, steps, e.UserID, since); err != nil {
		return err
	}
	if p.config.OnErase != nil {
		if err := p.config.OnErase(ctx, tx, e.UserID); err != nil {
			return fmt.Errorf("erase beyond the manifest: %w", err)
		}
	}
	if err := mailbox.ForgetVersions(ctx, tx, e.UserID); err != nil {
		return err
	}
	raw, err := json.Marshal(receipt)
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO participant_receipts (erasure_id, receipt) VALUES ($1, $2)
		ON CONFLICT (erasure_id) DO UPDATE SET receipt = excluded.receipt`, e.ErasureID, string(raw))
	if err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	return p.send(ctx, tx, raw)
}

// answer is an earlier one to the same erasure, with the time of the first.
type answer struct {
	Receipt
	raw   []byte
	since time.Time
}

func (p *Participant) answered(ctx context.Context, tx pgx.Tx, erasureID string) (*answer, error) {
	var a answer
	err := tx.QueryRow(ctx, `SELECT receipt::text, created_at FROM participant_receipts WHERE erasure_id = $1`, erasureID).Scan(&a.raw, &a.since)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the receipt: %w", err)
	}
	if err := json.Unmarshal(a.raw, &a.Receipt); err != nil {
		return nil, fmt.Errorf("read the receipt: %w", err)
	}
	return &a, nil
}

func (p *Participant) send(ctx context.Context, tx pgx.Tx, receipt []byte) error {
	return mailbox.Enqueue(ctx, tx, mailbox.Message{
		ID: p.messageID(receipt), Subject: ReceiptSubjectPrefix + p.config.Name, Payload: receipt,
	})
}

func (p *Participant) messageID(receipt []byte) string {
	return uuid.NewSHA1(receiptSpace, append([]byte(p.config.Name+"\x00"), receipt...)).String()
}

// bury sets the tombstone, unless the user was readmitted later: then erasing
// now would destroy what they have put there since, so somebody must look at it.
func (p *Participant) bury(ctx context.Context, tx pgx.Tx, e identity.Event) error {
	var superseded bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM participant_tombstones
		WHERE hash = ANY($1) AND lifted AND version > $2)`, p.tombstones.hashes(e.UserID), int64(e.Version)).Scan(&superseded) //nolint:gosec // Decode bounds it
	if err != nil {
		return fmt.Errorf("look for a readmission: %w", err)
	}
	if superseded {
		return mailbox.Poison(errSuperseded)
	}
	return p.mark(ctx, tx, e, false)
}

// readmit lifts the tombstone, or leaves a lifted one, so that an erasure from
// before it is recognized when it comes late.
func (p *Participant) readmit(ctx context.Context, tx pgx.Tx, e identity.Event) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, lockID(e.UserID)); err != nil {
		return fmt.Errorf("lock the user: %w", err)
	}
	return p.mark(ctx, tx, e, true)
}

// mark records the state that the newest event asks for, under the key that the
// user already has a tombstone by, or the current one.
func (p *Participant) mark(ctx context.Context, tx pgx.Tx, e identity.Event, lifted bool) error {
	tag, err := tx.Exec(ctx, `UPDATE participant_tombstones SET
			erasure_id = CASE WHEN version <= $2 THEN $3 ELSE erasure_id END,
			lifted     = CASE WHEN version <= $2 THEN $4 ELSE lifted END,
			-- Nobody is asked to erase a user who is under a hold.
			held       = held AND held_version > $2,
			version    = greatest(version, $2), changed_at = now()
		WHERE hash = ANY($1)`,
		p.tombstones.hashes(e.UserID), int64(e.Version), e.ErasureID, lifted) //nolint:gosec // Decode bounds it
	if err == nil && tag.RowsAffected() == 0 {
		_, err = tx.Exec(ctx, `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version, lifted) VALUES ($1, $2, $3, $4, $5)`,
			p.tombstones.Hash(e.UserID), p.tombstones.KeyID(), e.ErasureID, int64(e.Version), lifted) //nolint:gosec // Decode bounds it
	}
	if err != nil {
		return fmt.Errorf("set the tombstone: %w", err)
	}
	return nil
}

// hold notes whether a legal hold keeps what is left of an erased user. The event
// names the erasure alone. A pass that ends retentions locks the tombstone, too.
func hold(ctx context.Context, tx pgx.Tx, e identity.Event, held bool) error {
	_, err := tx.Exec(ctx, `UPDATE participant_tombstones SET held = $3, held_version = $2, changed_at = now()
		WHERE erasure_id = $1 AND held_version < $2`, e.ErasureID, int64(e.Version), held) //nolint:gosec // Decode bounds it
	if err != nil {
		return fmt.Errorf("note a legal hold: %w", err)
	}
	return nil
}

// work applies the manifest and counts twice. One pseudonym serves the whole
// erasure, so that what belonged together in this service still does; another
// service has another, so that the two cannot be joined.
func work(ctx context.Context, tx pgx.Tx, steps []step, userID string, at time.Time) ([]ColumnResult, error) {
	pseudonym := pseudonymPrefix + uuid.NewString()
	results := make([]ColumnResult, len(steps))
	for _, s := range steps {
		r := &results[s.place]
		*r = ColumnResult{Table: s.table, Column: s.column.Name, Disposition: s.column.Disposition}
		if s.change != "" {
			args := []any{userID}
			if s.column.Disposition == Pseudonymise {
				args = append(args, pseudonym)
			}
			tag, err := tx.Exec(ctx, s.change, args...)
			if err != nil {
				return nil, fmt.Errorf("%s %s.%s: %w", s.column.Disposition, s.table, s.column.Name, err)
			}
			r.Rows = tag.RowsAffected()
		}
		if s.column.Key == "" {
			continue
		}
		// Counted now: its rows can no longer be found once their key is gone.
		if err := s.recount(ctx, tx, userID, at, r); err != nil {
			return nil, err
		}
	}
	for _, s := range steps {
		if s.column.Key != "" {
			continue
		}
		if err := s.recount(ctx, tx, userID, at, &results[s.place]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// recount fills in what is left and refuses a remainder that should not be.
func (s step) recount(ctx context.Context, tx pgx.Tx, userID string, at time.Time, r *ColumnResult) error {
	var until *time.Time
	if err := tx.QueryRow(ctx, s.count, userID).Scan(&r.Remaining, &until); err != nil {
		return fmt.Errorf("count %s.%s: %w", s.table, s.column.Name, err)
	}
	if s.column.Disposition != Retain {
		if r.Remaining != 0 {
			return fmt.Errorf("%s.%s: %d rows are left after %s", s.table, s.column.Name, r.Remaining, s.column.Disposition)
		}
		return nil
	}
	r.Rows = r.Remaining
	if r.Remaining > 0 {
		end := s.column.Retention.After(at)
		if until != nil {
			end = until.UTC()
		}
		r.LegalReason, r.RetainedUntil = s.column.LegalReason, &end
	}
	return nil
}
