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

// RekeySubjectSuffix ends the subject of the answers to a rekeying:
// receipts.v1.<participant>.rekeyed.
const RekeySubjectSuffix = ".rekeyed"

// RekeyReceipt is a participant's answer to one rekeying. It holds no user ID.
type RekeyReceipt struct {
	RekeyID     string    `json:"rekey_id"`
	Participant string    `json:"participant"`
	At          time.Time `json:"at"`
	// Manifest is the SHA-256 of the manifest that was worked through, in hex.
	Manifest string          `json:"manifest_sha256"`
	Columns  []RekeyedColumn `json:"columns"`
}

// RekeyPreview is what a rekeying would do here. Nothing was changed.
type RekeyPreview struct {
	Columns []RekeyedColumn `json:"columns"`
	// OldErased and NewErased say that the ID has a tombstone here.
	OldErased bool `json:"old_erased,omitempty"`
	NewErased bool `json:"new_erased,omitempty"`
}

// ErrSameUser is returned for a rekeying of a user ID to itself.
var ErrSameUser = errors.New("the old and the new user ID are the same")

// previewTimeout bounds how long a preview keeps writers of the two users waiting.
const previewTimeout = 10 * time.Second

// PreviewRekey does all of a rekeying in a transaction and rolls it back, so its
// counts are those of the rekeying itself.
func (p *Participant) PreviewRekey(ctx context.Context, oldID, newID string) (RekeyPreview, error) {
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	tx, err := p.config.Pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return RekeyPreview{}, fmt.Errorf("preview the rekeying: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // a preview leaves nothing behind
	if err := lockBoth(ctx, tx, oldID, newID); err != nil {
		return RekeyPreview{}, err
	}
	return p.config.Manifest.PreviewRekey(ctx, tx, p.tombstones, oldID, newID)
}

// PreviewRekey is Participant.PreviewRekey for a service that rekeys by itself.
// It changes rows: the caller holds the locks and rolls back.
func (m *Manifest) PreviewRekey(ctx context.Context, tx pgx.Tx, tombstones *Tombstones, oldID, newID string) (preview RekeyPreview, err error) {
	if oldID == newID {
		return preview, ErrSameUser
	}
	erased, err := tombstones.erased(ctx, tx, []string{oldID, newID})
	if err != nil {
		return preview, err
	}
	preview.OldErased, preview.NewErased = erased[0], erased[1]
	preview.Columns, err = m.Rekey(ctx, tx, oldID, newID)
	if errors.Is(err, ErrRekeyConflict) && preview.Columns != nil {
		err = nil // the counts tell
	}
	return preview, err
}

// lockBoth waits for writers of both users and holds off later ones; see
// Tombstones.Refuse. Every rekeying takes the locks in one order.
func lockBoth(ctx context.Context, tx pgx.Tx, oldID, newID string) error {
	first, second := lockID(oldID), lockID(newID)
	for _, id := range []int64{min(first, second), max(first, second)} {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, id); err != nil {
			return fmt.Errorf("lock the users: %w", err)
		}
	}
	return nil
}

// rekey does in one transaction all that a rekeying is: the old ID's tombstone,
// data, second count, receipt. The inbox row is already in it.
func (p *Participant) rekey(ctx context.Context, tx pgx.Tx, e identity.Event) error {
	var change identity.Rekeying
	if err := json.Unmarshal(e.Data, &change); err != nil || change.RekeyID == "" || identity.CheckUserID(change.NewUserID) != nil {
		return mailbox.Poison(fmt.Errorf("%w: data", identity.ErrInvalidEvent))
	}
	if change.NewUserID == e.UserID {
		return mailbox.Poison(ErrSameUser)
	}
	if err := lockBoth(ctx, tx, e.UserID, change.NewUserID); err != nil {
		return err
	}
	var answered []byte
	err := tx.QueryRow(ctx, `SELECT receipt::text FROM participant_rekeyings WHERE rekey_id = $1`, change.RekeyID).Scan(&answered)
	if err == nil {
		return p.sendRekeyed(ctx, tx, change.RekeyID, answered)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look for the receipt: %w", err)
	}
	erased, err := p.tombstones.erased(ctx, tx, []string{change.NewUserID})
	if err != nil {
		return err
	}
	if erased[0] {
		return mailbox.Poison(fmt.Errorf("the new user ID: %w", ErrErased))
	}
	// The old ID is tombstoned like an erased one: a late token or event of it
	// must not bring rows back.
	e.ErasureID = change.RekeyID
	if err := p.bury(ctx, tx, e); err != nil {
		return err
	}
	receipt := RekeyReceipt{
		RekeyID: change.RekeyID, Participant: p.config.Name, Manifest: p.config.Manifest.sum,
		At: time.Now().UTC().Truncate(time.Microsecond),
	}
	receipt.Columns, err = p.config.Manifest.Rekey(ctx, tx, e.UserID, change.NewUserID)
	if errors.Is(err, ErrRekeyConflict) {
		return mailbox.Poison(err) // somebody must decide; then it is redriven
	}
	if err != nil {
		return err
	}
	raw, err := json.Marshal(receipt)
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO participant_rekeyings (rekey_id, receipt) VALUES ($1, $2)`, change.RekeyID, string(raw)); err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	return p.sendRekeyed(ctx, tx, change.RekeyID, raw)
}

func (p *Participant) sendRekeyed(ctx context.Context, tx pgx.Tx, rekeyID string, receipt []byte) error {
	return mailbox.Enqueue(ctx, tx, mailbox.Message{
		ID:      uuid.NewSHA1(receiptSpace, []byte(p.config.Name+"\x00rekeyed\x00"+rekeyID)).String(),
		Subject: ReceiptSubjectPrefix + p.config.Name + RekeySubjectSuffix,
		Payload: receipt,
	})
}
