package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
	"github.com/shadowless/shadowless/services/identity-relay/internal/rekeyings"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
)

// Recorder writes facts.
type Recorder struct {
	Pool       *pgxpool.Pool
	Tombstones *participant.Tombstones
	Erasures   erasures.Settings
	Now        func() time.Time
	// KeepTokens lets tokens that state an access which was withdrawn live on.
	KeepTokens bool
	// Wake is called after each commit; it starts publishing, projecting and
	// the erasures' worker.
	Wake func()

	group group
}

// Submit records facts in one transaction, which others that are submitted at the
// same time may share, and wakes those who carry on. A nil error means that
// everything is committed.
func (r *Recorder) Submit(ctx context.Context, facts ...Fact) ([]Outcome, error) {
	outcomes := make([]Outcome, len(facts))
	about := ""
	for _, f := range slices.Backward(facts) {
		if err := f.validate(); err != nil {
			return nil, err
		}
		about = cmp.Or(f.UserID, f.SessionID)
	}
	err := r.together(ctx, about, func(txCtx context.Context, tx pgx.Tx) ([]eventlog.Draft, error) {
		var told []eventlog.Draft
		for i, f := range facts {
			outcome, event, err := r.record(txCtx, tx, f)
			if err != nil {
				return nil, err
			}
			outcomes[i] = outcome
			if event != nil {
				told = append(told, eventlog.NewDraft(ctx, f.Source, *event))
			}
		}
		return told, nil
	})
	return outcomes, err
}

// Revoke commits a revocation about which nobody is told an event, as Submit does
// a fact, and reports whether it changed anything.
func (r *Recorder) Revoke(ctx context.Context, kind authn.RevocationKind, id string, cause revocations.Cause, at time.Time) (changed bool, err error) {
	err = r.together(ctx, id, func(ctx context.Context, tx pgx.Tx) (_ []eventlog.Draft, err error) {
		changed, err = revocations.Revoke(ctx, tx, kind, id, cause, at)
		return nil, err
	})
	return changed, err
}

func (r *Recorder) together(ctx context.Context, about string, w work) error {
	if err := r.group.submit(ctx, r.Pool, about, w); err != nil {
		return err
	}
	r.Wake()
	return nil
}

// Transact runs fn in a transaction, commits and wakes.
func (r *Recorder) Transact(ctx context.Context, fn func(tx pgx.Tx) error) error {
	// READ COMMITTED, because a look for tombstones needs a snapshot that is
	// newer than its lock.
	err := pgx.BeginTxFunc(ctx, r.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn)
	if err != nil {
		return err
	}
	r.Wake()
	return nil
}

// Record writes one fact with all its consequences: the delivery, the event with
// its version and outbox message, revocations, an erasure. The caller commits.
func (r *Recorder) Record(ctx context.Context, tx pgx.Tx, f Fact) (Outcome, error) {
	outcome, event, err := r.record(ctx, tx, f)
	if err != nil || event == nil {
		return outcome, err
	}
	_, err = eventlog.Append(ctx, tx, f.Source, *event)
	return outcome, err
}

// record is Record but for the event, which it returns if there is one to tell.
func (r *Recorder) record(ctx context.Context, tx pgx.Tx, f Fact) (Outcome, *identity.Event, error) {
	if err := f.validate(); err != nil {
		return "", nil, err
	}
	erased := false
	if f.UserID != "" {
		var err error
		if erased, err = r.erased(ctx, tx, f.UserID); err != nil {
			return "", nil, err
		}
	}
	outcome := Recorded
	switch {
	case f.Kind == Ignored:
		outcome = Dropped
	case erased && (f.Kind != UserDeleted || !f.Held):
		outcome = Erased
	case f.Kind == UserDeleted:
		// Two accounts became one, and now the identity provider deletes the old one.
		// Its data is the new one's: nothing of it is to be erased.
		rekeyed, err := rekeyings.Rekeyed(ctx, tx, r.Tombstones.Hashes(f.UserID))
		if err != nil {
			return "", nil, err
		}
		if rekeyed {
			outcome = Erased
		}
	}
	first, err := r.remember(ctx, tx, f, outcome)
	if err != nil {
		return "", nil, err
	}
	if !first {
		return Duplicate, nil, nil
	}
	if outcome != Recorded {
		return outcome, nil, nil
	}
	event, err := r.apply(ctx, tx, f)
	if err != nil {
		return "", nil, fmt.Errorf("record %s: %w", f.Type, err)
	}
	if event != nil {
		return Recorded, event, nil
	}
	return Repeated, nil, r.correct(ctx, tx, f, Repeated)
}

func (f Fact) validate() error {
	if f.Source == "" || f.OccurredAt.IsZero() {
		return fmt.Errorf("%w: source and time are required", ErrInvalidFact)
	}
	if f.UserID != "" && identity.CheckUserID(f.UserID) != nil {
		return fmt.Errorf("%w: user ID", ErrInvalidFact)
	}
	if f.Kind == SessionEnded && f.SessionID == "" || f.Kind != SessionEnded && f.Kind != Ignored && f.UserID == "" {
		return fmt.Errorf("%w: whom it is about", ErrInvalidFact)
	}
	// A session ID obeys the rules of a user ID, and so does what is granted.
	if f.SessionID != "" && identity.CheckUserID(f.SessionID) != nil {
		return fmt.Errorf("%w: session ID", ErrInvalidFact)
	}
	if (f.Kind == AccessChanged) != (f.Access != nil) || f.Access != nil && !validAccess(f.Access) {
		return fmt.Errorf("%w: access", ErrInvalidFact)
	}
	return nil
}

func (r *Recorder) erased(ctx context.Context, tx pgx.Tx, userID string) (bool, error) {
	if err := erasures.LockUser(ctx, tx, userID, false); err != nil {
		return false, err
	}
	err := r.Tombstones.Refuse(ctx, tx, userID)
	if errors.Is(err, participant.ErrErased) {
		return true, nil
	}
	return false, err
}

// remember writes the delivery and reports whether it is new. A second
// transaction with the same ID waits here for the end of the first.
func (r *Recorder) remember(ctx context.Context, tx pgx.Tx, f Fact, outcome Outcome) (first bool, err error) {
	if f.DeliveryID == "" {
		return true, nil
	}
	tag, err := tx.Exec(ctx, `INSERT INTO deliveries (source, delivery_id, type, outcome, received_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, f.Source, f.DeliveryID, f.Type, string(outcome), r.Now())
	if err != nil {
		return false, fmt.Errorf("store delivery: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

func (r *Recorder) correct(ctx context.Context, tx pgx.Tx, f Fact, outcome Outcome) error {
	_, err := tx.Exec(ctx, `UPDATE deliveries SET outcome = $3 WHERE source = $1 AND delivery_id = $2`, f.Source, f.DeliveryID, string(outcome))
	if err != nil {
		return fmt.Errorf("store the outcome of a delivery: %w", err)
	}
	return nil
}

// apply returns no event where the fact was known already: facts that can only be
// true once are not told twice. Changes of access and of users are always told,
// since two of them within one second look alike.
func (r *Recorder) apply(ctx context.Context, tx pgx.Tx, f Fact) (*identity.Event, error) {
	now := r.Now()
	event := identity.Event{Time: f.OccurredAt.UTC(), UserID: f.UserID}
	if f.Kind == UserCreated || f.Kind == UserUpdated {
		// It may be told late, so it saves nobody: what the identity provider says now does.
		waiting, err := erasures.Waiting(ctx, tx, f.UserID)
		if err != nil {
			return nil, err
		}
		f.Reread = f.Reread || waiting
	}
	if f.Reread {
		if err := requestReread(ctx, tx, f.UserID, now); err != nil {
			return nil, err
		}
	}
	changed, err := true, error(nil)
	switch f.Kind {
	case UserCreated:
		event.Type = identity.TypeUserCreated
		err = tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM events WHERE user_id = $1 AND type = $2)`, f.UserID, event.Type).Scan(&changed)
	case UserUpdated:
		event.Type = identity.TypeUserUpdated
		if f.Outdated {
			err = outdate(ctx, tx, f, now)
		}
	case UserSignedOut:
		event.Type = identity.TypeUserSignedOut
		changed, err = revocations.Revoke(ctx, tx, authn.RevokedUser, f.UserID, revocations.CauseEnded, f.until(now))
	case AccessChanged:
		event.Type = identity.TypeAccessChanged
		if event.Data, err = json.Marshal(f.Access); err == nil && f.Access.Change != Granted && !r.KeepTokens {
			err = outdate(ctx, tx, f, now)
		}
	case SessionEnded:
		event.Type, event.SessionID = identity.TypeSessionEnded, f.SessionID
		changed, err = revocations.Revoke(ctx, tx, authn.RevokedSession, f.SessionID, revocations.CauseEnded, now)
	case UserBanned:
		event.Type = identity.TypeUserBanned
		changed, err = revocations.Revoke(ctx, tx, authn.BlockedUser, f.UserID, revocations.CauseBanned, now)
	case UserUnbanned:
		event.Type = identity.TypeUserUnbanned
		key := authn.NewRevocationKey(authn.BlockedUser, f.UserID)
		changed, err = revocations.Lift(ctx, tx, authn.BlockedUser, key, revocations.CauseBanned, now)
	case UserDeleted:
		event.Type = identity.TypeUserDeleted
		var id uuid.UUID
		id, changed, err = r.delete(ctx, tx, f, now)
		event.ErasureID = id.String()
	default:
		return nil, fmt.Errorf("%w: kind %d", ErrInvalidFact, f.Kind)
	}
	if err != nil || !changed {
		return nil, err
	}
	return &event, nil
}

// until is the time up to which tokens end: when it happened, so that a message
// that is repeated an hour later does not end the session begun since.
func (f Fact) until(now time.Time) time.Time {
	if f.OccurredAt.Before(now) {
		return f.OccurredAt
	}
	return now
}

// delete opens the erasure and blocks the user at once, also when the breaker
// holds the erasure: a block can be lifted, erased data cannot be brought back.
func (r *Recorder) delete(ctx context.Context, tx pgx.Tx, f Fact, now time.Time) (id uuid.UUID, opened bool, err error) {
	if !f.Held { // who looked has seen the user missing now
		late, err := erasures.Superseded(ctx, tx, r.Erasures, f.UserID, f.OccurredAt)
		if err != nil || late {
			return id, false, err
		}
	}
	id, opened, err = erasures.Open(ctx, tx, r.Erasures, f.UserID, f.Source)
	if err != nil || !opened {
		return id, false, err
	}
	_, err = revocations.Revoke(ctx, tx, authn.BlockedUser, f.UserID, revocations.CauseDeleted, now)
	return id, err == nil, err
}

// outdate ends the user's tokens that were issued before the fact: they state
// what is no longer true.
func outdate(ctx context.Context, tx pgx.Tx, f Fact, now time.Time) error {
	_, err := revocations.Revoke(ctx, tx, authn.RevokedUser, f.UserID, revocations.CauseChanged, f.until(now))
	return err
}
