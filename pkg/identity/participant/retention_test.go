package participant_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

const retentionManifest = `
version: 1
tables:
  - table: invoices
    columns:
      - {column: user_id, disposition: retain, legal_reason: bookkeeping law, retention: P10Y, since: issued_on, then: pseudonymise}
  - table: orders
    columns:
      - {column: note, key: user_id, disposition: retain, legal_reason: warranty, retention: P2Y, since: placed_at}
      - {column: user_id, disposition: pseudonymise}
  - table: idempotency_keys
    columns:
      - {column: user_id, disposition: retain, legal_reason: fraud defense, retention: P30D}
`

func (w *world) retaining(change ...func(*participant.Config)) *participant.Participant {
	w.t.Helper()
	manifest, err := participant.ParseManifest([]byte(retentionManifest))
	require.NoError(w.t, err)
	return w.participant(append(change, func(c *participant.Config) {
		c.Manifest, c.RetentionInterval = manifest, 20*time.Millisecond
	})...)
}

// ended returns the receipts of ended retentions once there are n receipts at all.
func (w *world) ended(n uint64) (ended []participant.Receipt) {
	w.t.Helper()
	for _, raw := range w.receipts(n) {
		var r participant.Receipt
		require.NoError(w.t, json.Unmarshal(raw, &r))
		require.NotContains(w.t, string(raw), "alice")
		if r.Kind == participant.KindRetentionEnded {
			ended = append(ended, r)
		}
	}
	return ended
}

func TestRetention_EndsRowByRowForErasedUsersAlone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for i, user := range []string{alice, alice, "bob"} {
		w.exec(`INSERT INTO invoices (id, user_id, issued_on) VALUES ($1, $2, now() - make_interval(years => 11 - 9 * $1::int))`, i, user)
	}
	w.exec(`INSERT INTO invoices (id, user_id, issued_on) VALUES (9, 'bob', '2001-01-01')`)
	run(t, w.retaining().Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	ended := w.ended(2)
	require.Len(t, ended, 1)
	require.Equal(t, "e-1", ended[0].ErasureID)
	require.Equal(t, "shop", ended[0].Participant)
	require.Len(t, ended[0].Columns, 1)
	c := ended[0].Columns[0]
	require.Equal(t, participant.Pseudonymise, c.Disposition)
	require.Equal(t, int64(1), c.Rows)
	require.Equal(t, int64(1), c.Remaining, "the younger one is kept")
	require.Equal(t, "bookkeeping law", c.LegalReason)
	require.WithinDuration(t, time.Now().AddDate(8, 0, 0), *c.RetainedUntil, 72*time.Hour)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM invoices WHERE id = 0 AND user_id ~ '^erased:[0-9a-f-]{36}$'`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM invoices WHERE user_id = $1`, alice))
	require.Equal(t, 2, w.count(`SELECT count(*) FROM invoices WHERE user_id = 'bob'`), "nobody asked to erase them")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM participant_retention_receipts WHERE erasure_id = 'e-1' AND receipt::text NOT LIKE '%alice%'`))
}

// Without a date in the row the time counts from the erasure, and being asked
// again does not begin it anew.
func TestRetention_CountsFromTheFirstAnswer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exec(`INSERT INTO idempotency_keys VALUES ('a', $1), ('b', 'bob')`, alice)
	run(t, w.retaining().Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)
	w.exec(`UPDATE participant_receipts SET created_at = now() - interval '29 days 23 hours'`)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 8)
	var again participant.Receipt
	require.NoError(t, json.Unmarshal(w.receipts(2)[1], &again))
	require.Equal(t, uint64(8), again.Request)
	require.WithinDuration(t, time.Now().Add(time.Hour), *again.Columns[len(again.Columns)-1].RetainedUntil, time.Minute)
	require.Equal(t, 2, w.count(`SELECT count(*) FROM idempotency_keys`), "an hour is left")
	w.exec(`UPDATE participant_receipts SET created_at = now() - interval '30 days 1 second'`)
	require.Len(t, w.ended(3), 1)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM idempotency_keys WHERE user_id = 'bob'`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM idempotency_keys`))
}

func TestRetention_LeavesAReadmittedUserAlone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exec(`INSERT INTO invoices (id, user_id, issued_on) VALUES (1, $1, now()), (2, 'carol', now())`, alice)
	run(t, w.retaining().Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.publish(identity.TypeErasureRequested, "carol", "e-2", 8)
	w.receipts(2)
	w.publish(identity.TypeErasureReadmitted, alice, "e-1", 9)
	w.waitSettled()
	w.exec(`UPDATE invoices SET issued_on = '2001-01-01'`)
	ended := w.ended(3)
	require.Len(t, ended, 1)
	require.Equal(t, "e-2", ended[0].ErasureID)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM invoices WHERE user_id = $1`, alice))
}

// A legal hold keeps what an erasure kept, beyond its time, until it is lifted;
// what is told late changes nothing.
func TestRetention_DoesNotEndUnderALegalHold(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exec(`INSERT INTO invoices (id, user_id, issued_on) VALUES (1, $1, now()), (2, 'carol', now())`, alice)
	run(t, w.retaining().Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.publish(identity.TypeErasureRequested, "carol", "e-2", 8)
	w.receipts(2)
	w.publish(identity.TypeErasureHeld, "erased:e-1", "e-1", 9)
	w.waitSettled()
	w.exec(`UPDATE invoices SET issued_on = '2001-01-01'`)
	require.Equal(t, "e-2", w.ended(3)[0].ErasureID)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM invoices WHERE user_id = $1`, alice))
	w.publish(identity.TypeErasureReleased, "erased:e-1", "e-1", 8)
	w.waitSettled()
	require.Equal(t, 1, w.count(`SELECT count(*) FROM participant_tombstones WHERE held`), "an older event than the hold's")
	w.publish(identity.TypeErasureReleased, "erased:e-1", "e-1", 10)
	require.Len(t, w.ended(4), 2)
	require.Zero(t, w.count(`SELECT count(*) FROM invoices WHERE user_id = $1`, alice))
	w.publish(identity.TypeErasureHeld, "erased:e-1", "e-1", 9)
	w.waitSettled()
	require.Zero(t, w.count(`SELECT count(*) FROM participant_tombstones WHERE held`))

	// Who is asked to erase the user again is told that nothing holds them.
	w.publish(identity.TypeErasureHeld, "erased:e-1", "e-1", 11)
	w.publish(identity.TypeErasureRequested, alice, "e-3", 12)
	w.receipts(5)
	require.Zero(t, w.count(`SELECT count(*) FROM participant_tombstones WHERE held`))
}

// As long as one replica holds the lock the other erases nothing, and takes over
// when the first one's connection is gone.
func TestRetention_IsLedByOneReplica(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exec(`INSERT INTO invoices (id, user_id, issued_on) VALUES (1, $1, '2001-01-01')`, alice)
	leader, err := w.db.Owner.Acquire(context.Background())
	require.NoError(t, err)
	release := sync.OnceFunc(func() {
		assert.NoError(t, leader.Conn().Close(context.Background()))
		leader.Release()
	})
	t.Cleanup(release)
	var key int64
	w.spy(&key)
	_, err = leader.Exec(context.Background(), `SELECT pg_advisory_lock($1)`, key)
	require.NoError(t, err)
	run(t, w.retaining().Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)
	require.Never(t, func() bool {
		return w.count(`SELECT count(*) FROM invoices WHERE user_id = $1`, alice) == 0
	}, 200*time.Millisecond, 20*time.Millisecond)
	release()
	require.Len(t, w.ended(2), 1)
}

// spy finds the key of the leader's lock: it stops a participant in its pass.
func (w *world) spy(key *int64) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tx, err := w.db.Owner.Begin(ctx)
	require.NoError(w.t, err)
	_, err = tx.Exec(ctx, `LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE`)
	require.NoError(w.t, err)
	done := make(chan error, 1)
	p := w.retaining()
	go func() { done <- p.Run(ctx) }()
	require.Eventually(w.t, func() bool {
		return w.db.Owner.QueryRow(ctx, `SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
			WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
				-- The outbox's leader has a lock too.
				AND (classid::bigint << 32) | objid::bigint <> hashtextextended('shadowless mailbox publisher ' || current_schema(), 0)`).Scan(key) == nil
	}, within, every)
	require.NoError(w.t, tx.Commit(ctx))
	cancel()
	require.NoError(w.t, <-done)
}

// A trigger puts the row back: the second count notices, nothing is told.
func TestRetention_SecondCountRefusesARemainder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.exec(`INSERT INTO invoices (id, user_id, issued_on) VALUES (1, $1, '2001-01-01'), (2, 'carol', '2001-01-01')`, alice)
	_, err := w.db.Owner.Exec(context.Background(), `
		CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF OLD.id = 1 THEN NEW.user_id = OLD.user_id; END IF; RETURN NEW; END';
		CREATE TRIGGER keep BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION keep();`)
	require.NoError(t, err)
	run(t, w.retaining().Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.publish(identity.TypeErasureRequested, "carol", "e-2", 8)
	ended := w.ended(3)
	require.Equal(t, "e-2", ended[0].ErasureID, "one who cannot be erased holds up nobody")
	require.Zero(t, w.count(`SELECT count(*) FROM participant_retention_receipts WHERE erasure_id = 'e-1'`))
}

func TestParticipant_AsksAgainMeansErasingAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.fill()
	p := w.participant()
	run(t, p.Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)
	// A dump of the tables brings the rows back, and the receipt says that they are gone.
	w.exec(`INSERT INTO idempotency_keys VALUES ('restored', $1)`, alice)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 9)
	var second participant.Receipt
	require.NoError(t, json.Unmarshal(w.receipts(2)[1], &second))
	require.Equal(t, int64(1), second.Columns[0].Rows)
	require.Zero(t, w.count(`SELECT count(*) FROM idempotency_keys WHERE user_id = $1`, alice))
	require.ErrorIs(t, pgx.BeginFunc(t.Context(), w.db.Pool, func(tx pgx.Tx) error {
		return p.Tombstones().Refuse(t.Context(), tx, alice)
	}), participant.ErrErased)
}

func TestManifest_RefusesARetentionThatCouldNotEnd(t *testing.T) {
	t.Parallel()
	for fault, change := range map[string][2]string{
		"then must be erase, or pseudonymise": {"then: pseudonymise", "then: keep"},
		"for the user ID itself":              {"retention: P2Y, since: placed_at", "retention: P2Y, since: placed_at, then: pseudonymise"},
		"since and then belong to retain":     {"- {column: user_id, disposition: pseudonymise}", "- {column: user_id, disposition: pseudonymise, then: erase}"},
	} {
		_, err := participant.ParseManifest([]byte(strings.Replace(retentionManifest, change[0], change[1], 1)))
		require.ErrorContains(t, err, fault)
	}
	w := setup(t)
	_, err := w.db.Owner.Exec(context.Background(), `ALTER TABLE invoices ALTER issued_on DROP NOT NULL`)
	require.NoError(t, err)
	manifest, err := participant.ParseManifest([]byte(retentionManifest))
	require.NoError(t, err)
	require.ErrorContains(t, manifest.Validate(context.Background(), w.db.Pool), "may be NULL, and such a row would be kept for ever")
}
