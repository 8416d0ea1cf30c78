package rekeyings

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

// Service opens rekeyings and sees them through.
type Service struct {
	Pool      *pgxpool.Pool
	JetStream jetstream.JetStream
	// Stream carries the identity events.
	Stream     string
	Peers      []peers.Peer
	Users      userlist.Source
	Manifest   *participant.Manifest
	Tombstones *participant.Tombstones
	// ManifestSum is the SHA-256 of the relay's own manifest, in hex; its receipt quotes it.
	ManifestSum string
	// Deadline is how long participants may take before a rekeying is late.
	Deadline time.Duration
	// Transact runs a transaction and wakes whoever publishes and projects.
	Transact func(ctx context.Context, fn func(tx pgx.Tx) error) error
	Now      func() time.Time
	Log      *slog.Logger

	wake chan struct{}
}

// New completes s.
func New(s Service) *Service {
	s.wake = make(chan struct{}, 1)
	return &s
}

// Preview is what one participant would do, or why nobody knows.
type Preview struct {
	Participant string
	participant.RekeyPreview
	Err error
}

// Preview asks everybody what a rekeying would do. Nothing is changed.
func (s *Service) Preview(ctx context.Context, c Change) []Preview {
	all := make([]Preview, len(s.Peers))
	for i, p := range s.Peers {
		all[i] = Preview{Participant: p.Name()}
		all[i].RekeyPreview, all[i].Err = p.PreviewRekey(ctx, c.OldID, c.NewID)
		if all[i].Err != nil {
			s.Log.WarnContext(ctx, "a participant did not preview a rekeying", "participant", p.Name(), "cause", all[i].Err)
		}
	}
	return all
}

// Conflicts reports whether the rekeying could not be carried out everywhere.
func Conflicts(all []Preview) bool {
	for _, p := range all {
		for _, c := range p.Columns {
			if c.Refused > 0 {
				return true
			}
		}
	}
	return false
}

// Unanswered names who did not answer.
func Unanswered(all []Preview) []string {
	var names []string
	for _, p := range all {
		if p.Err != nil {
			names = append(names, p.Participant)
		}
	}
	return names
}

// Errors of Begin.
var (
	ErrConflicts  = errors.New("both users have rows of which only one may stay")
	ErrUnanswered = errors.New("not every participant said what the rekeying would do")
)

// Begin opens the rekeying, unless there is one of the same two users. Everybody
// is asked first: what somebody cannot carry out is not begun.
func (s *Service) Begin(ctx context.Context, c Change) (id uuid.UUID, err error) {
	found, ok, err := s.existing(ctx, s.Pool, c)
	if err != nil || ok {
		return found.ID, err
	}
	if err := s.refuse(ctx, s.Pool, c); err != nil {
		return id, err
	}
	all := s.Preview(ctx, c)
	if names := Unanswered(all); len(names) > 0 {
		return id, fmt.Errorf("%w: %s", ErrUnanswered, strings.Join(names, ", "))
	}
	for _, p := range all {
		if p.NewErased || p.OldErased && !c.Again {
			return id, fmt.Errorf("%w: %s says", ErrErased, p.Participant)
		}
	}
	if Conflicts(all) {
		return id, ErrConflicts
	}
	err = s.Transact(ctx, func(tx pgx.Tx) error {
		id, err = s.open(ctx, tx, c)
		return err
	})
	return id, err
}

// IsReceipt tells answers to rekeyings from those to erasures.
func IsReceipt(m mailbox.Message) bool {
	return strings.HasSuffix(m.Subject, participant.RekeySubjectSuffix)
}

// TakeReceipt stores a participant's answer. One that cannot be right is poison.
func TakeReceipt(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
	var r participant.RekeyReceipt
	if err := json.NewDecoder(bytes.NewReader(m.Payload)).Decode(&r); err != nil {
		return mailbox.Poison(errors.New("receipt is not JSON"))
	}
	// NATS lets a service publish under its own name alone.
	if m.Subject != participant.ReceiptSubjectPrefix+r.Participant+participant.RekeySubjectSuffix {
		return mailbox.Poison(errors.New("receipt in the name of somebody else"))
	}
	id, err := uuid.Parse(r.RekeyID)
	if err != nil {
		return mailbox.Poison(errors.New("receipt for something that is not a rekeying ID"))
	}
	for _, c := range r.Columns {
		if c.Refused != 0 {
			return mailbox.Poison(fmt.Errorf("receipt of %s admits %d rows that it did not move in %s.%s", r.Participant, c.Refused, c.Table, c.Column))
		}
	}
	tag, err := tx.Exec(ctx, `UPDATE rekeying_participants SET receipt = $3, answered_at = now()
		WHERE rekeying_id = $1 AND participant = $2 AND receipt IS NULL`, id, r.Participant, m.Payload)
	if err != nil {
		return fmt.Errorf("store receipt: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	var asked bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM rekeying_participants WHERE rekeying_id = $1 AND participant = $2)`, id, r.Participant).Scan(&asked)
	if err != nil {
		return fmt.Errorf("look for the rekeying: %w", err)
	}
	if !asked {
		return mailbox.Poison(errors.New("receipt from a participant that was not asked, or for an unknown rekeying"))
	}
	return nil // it has answered before, and the first answer counts
}
