package erasures

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity"
)

// finish does the last steps of an erasure and reports whether it got to the end.
// Each is repeatable, so a crash between two of them only delays the certificate.
func (w *Worker) finish(ctx context.Context, id uuid.UUID) (ended bool, err error) {
	sealed, err := w.seal(ctx, id)
	if err != nil || !sealed {
		return false, err
	}
	if err := w.removeMessages(ctx, id); err != nil {
		return false, err
	}
	return w.complete(ctx, id)
}

// userLock is the number of a user's lock.
const userLock = `hashtextextended('identity-relay user ' || $1, 0)`

// LockUser makes transactions that record facts about a user exclude the one
// that erases the relay's own rows of that user. Call it before asking for a
// tombstone: whoever waits here sees it afterwards.
func LockUser(ctx context.Context, tx pgx.Tx, userID string, exclusive bool) error {
	function := "pg_advisory_xact_lock_shared"
	if exclusive {
		function = "pg_advisory_xact_lock"
	}
	if _, err := tx.Exec(ctx, `SELECT `+function+`(`+userLock+`)`, userID); err != nil {
		return fmt.Errorf("lock user: %w", err)
	}
	return nil
}

// seal erases the relay's own rows, sets its tombstone and writes its receipt.
// It reports false while an event of the user is not published yet: until then
// nobody knows which message to delete. It waits neither for another replica
// that is at the same erasure nor for the user: while it has the row it would
// make others wait.
func (w *Worker) seal(ctx context.Context, id uuid.UUID) (sealed bool, err error) {
	err = w.transact(ctx, func(tx pgx.Tx) error {
		var userID string
		err := tx.QueryRow(ctx, `SELECT user_id FROM erasures WHERE id = $1 AND state = 'requested' FOR UPDATE SKIP LOCKED`, id).Scan(&userID)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // another replica has finished it, or is about to
		}
		if err != nil {
			return fmt.Errorf("read erasure: %w", err)
		}
		// Not in the statement above: beside a row that was locked it reads others
		// as they were before.
		err = tx.QueryRow(ctx, `SELECT p.receipt IS NOT NULL FROM erasures e
			JOIN erasure_participants p ON p.erasure_id = e.id AND p.round = e.round AND p.participant = $2
			WHERE e.id = $1`, id, Self).Scan(&sealed)
		if errors.Is(err, pgx.ErrNoRows) || sealed {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the relay's receipt: %w", err)
		}
		var locked, unpublished bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(`+userLock+`)`, userID).Scan(&locked); err != nil || !locked {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM events WHERE user_id = $1 AND stream_sequence IS NULL)`, userID).Scan(&unpublished)
		if err != nil {
			return fmt.Errorf("look for unpublished events: %w", err)
		}
		if unpublished {
			return nil
		}
		sealed = true
		return w.eraseOwn(ctx, tx, id, userID)
	})
	if err != nil {
		return false, fmt.Errorf("erase the relay's own rows: %w", err)
	}
	return sealed, nil
}

// ofErasure finds an erasure's events but those that tell who kept something of
// the erased user that they must keep it longer, or no longer: they name nobody,
// and who has not read them yet must.
const ofErasure = `erasure_id = $1 AND type NOT IN ('` + identity.TypeErasureHeld + `', '` + identity.TypeErasureReleased + `')`

// removeMessages deletes the user's messages from the stream, with those that
// an event has there because it was published again.
func (w *Worker) removeMessages(ctx context.Context, id uuid.UUID) error {
	rows, err := w.Pool.Query(ctx, `SELECT c.event_id, c.stream_sequence FROM event_copies c
			JOIN events ON id = c.event_id WHERE `+ofErasure+`
		UNION SELECT id, stream_sequence FROM events
			WHERE `+ofErasure+` AND removed_at IS NULL AND stream_sequence IS NOT NULL
		ORDER BY stream_sequence`, id)
	if err != nil {
		return fmt.Errorf("read the messages to delete: %w", err)
	}
	type place struct {
		ID       uuid.UUID
		Sequence int64
	}
	places, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	if err != nil {
		return fmt.Errorf("read the messages to delete: %w", err)
	}
	if len(places) == 0 {
		return nil
	}
	stream, err := w.JetStream.Stream(ctx, w.Settings.Stream)
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	for _, p := range places {
		deleted, err := RemoveMessage(ctx, stream, p.ID, uint64(p.Sequence)) //nolint:gosec // stored from a uint64
		if err != nil {
			return err
		}
		_, err = w.Pool.Exec(ctx, `WITH copies AS (DELETE FROM event_copies WHERE event_id = $1 AND stream_sequence = $2),
			removed AS (UPDATE events SET removed_at = now() WHERE id = $1 AND stream_sequence = $2)
			-- Another replica, which found the message gone, may have completed the erasure.
			UPDATE erasures SET messages_deleted = messages_deleted + $4::boolean::int, outdated = outdated OR $4 AND state = 'complete'
			WHERE id = $3`, p.ID, p.Sequence, id, deleted)
		if err != nil {
			return fmt.Errorf("note a deleted message: %w", err)
		}
	}
	return nil
}

// RemoveMessage deletes an event's message from the stream and reports whether it
// was there. It looks before it deletes: the message may have aged out, and a
// stream that was lost and made anew holds another user's event at that place.
//
// Nobody can read it afterwards. Its bytes stay in the stream's file until the
// server compacts the block or the block's last message has aged out, as a row's
// stay until Postgres vacuums. Overwriting them (SecureDeleteMsg) writes and syncs
// a block of 8 MB for each message (nats-server 2.15, msgBlock.eraseMsg): 595 MB
// a second to erase 38 users, which had three messages each.
func RemoveMessage(ctx context.Context, stream jetstream.Stream, id uuid.UUID, sequence uint64) (deleted bool, err error) {
	m, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at message %d: %w", sequence, err)
	}
	if m.Header.Get(jetstream.MsgIDHeader) != id.String() {
		return false, nil
	}
	if err := stream.DeleteMsg(ctx, sequence); err != nil {
		if _, gone := stream.GetMsg(ctx, sequence); errors.Is(gone, jetstream.ErrMsgNotFound) {
			return false, nil // another replica has deleted it in between
		}
		return false, fmt.Errorf("delete message %d: %w", sequence, err)
	}
	return true, nil
}

func (w *Worker) complete(ctx context.Context, id uuid.UUID) (ended bool, err error) {
	at := w.Settings.Now().UTC().Truncate(time.Microsecond)
	err = w.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM erasures WHERE id = $1 FOR UPDATE`, id); err != nil {
			return fmt.Errorf("lock erasure: %w", err)
		}
		d, err := GetDetail(ctx, tx, id)
		if err != nil || d.State != Requested {
			return err
		}
		var left bool
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM events WHERE `+ofErasure+` AND removed_at IS NULL)`, id).Scan(&left)
		if err != nil {
			return fmt.Errorf("look for messages: %w", err)
		}
		if left {
			return nil // published in the meantime; the next pass deletes it
		}
		d.State, d.CompletedAt = Complete, &at
		ended = true
		return w.certify(ctx, tx, d, at)
	})
	if err != nil {
		return false, fmt.Errorf("complete erasure: %w", err)
	}
	return ended, nil
}

// certify writes the next edition of the certificate.
func (w *Worker) certify(ctx context.Context, tx pgx.Tx, d Detail, at time.Time) error {
	certificate, err := certify(d, w.Settings, at)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE erasures SET state = $2, completed_at = $3, certificate = $4, edition = edition + 1, outdated = false
		WHERE id = $1`, d.ID, string(d.State), d.CompletedAt, certificate)
	if err != nil {
		return fmt.Errorf("store the certificate: %w", err)
	}
	return nil
}

// certifyAgain issues certificates anew whose erasures were added to since: the
// retention of rows ended, somebody answered late, the user was readmitted. It
// reports whether there may be more of them.
func (w *Worker) certifyAgain(ctx context.Context) (more bool, err error) {
	for range stepBatch {
		found := false
		err := w.transact(ctx, func(tx pgx.Tx) error {
			var id uuid.UUID
			err := tx.QueryRow(ctx, `SELECT id FROM erasures WHERE outdated AND state = 'complete' LIMIT 1 FOR UPDATE SKIP LOCKED`).Scan(&id)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read an outdated certificate: %w", err)
			}
			found = true
			d, err := GetDetail(ctx, tx, id)
			if err != nil {
				return err
			}
			return w.certify(ctx, tx, d, w.Settings.Now().UTC().Truncate(time.Microsecond))
		})
		if err != nil || !found {
			return false, err
		}
	}
	return true, nil
}
