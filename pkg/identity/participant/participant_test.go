package participant_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

const alice = "auth0|alice. *>\"quoted"

func (w *world) fill() {
	w.t.Helper()
	for i, user := range []string{alice, alice, "bob"} {
		w.exec(`INSERT INTO orders (id, user_id, note, placed_by, shared_with, details)
			VALUES ($1, $2, 'private', convert_to($2, 'UTF8'), ARRAY['carol', $2], jsonb_build_object('buyer', jsonb_build_object('id', $2::text)))`, i, user)
		w.exec(`INSERT INTO idempotency_keys VALUES ($1, $2)`, strconv.Itoa(i), user)
		w.exec(`INSERT INTO invoices (id, user_id, issued_on) VALUES ($1, $2, make_date(2024, 3, $1 + 1))`, i, user)
	}
}

func TestParticipant_ErasesFromTheManifestAndAnswers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.fill()
	var beyond atomic.Value
	p := w.participant(func(c *participant.Config) {
		c.OnErase = func(_ context.Context, _ pgx.Tx, userID string) error {
			beyond.Store(userID)
			return nil
		}
	})
	run(t, p.Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)

	r := w.receipt()
	require.Equal(t, "e-1", r.ErasureID)
	require.Equal(t, "shop", r.Participant)
	require.WithinDuration(t, time.Now(), r.At, time.Minute)
	require.Len(t, r.Manifest, 64)
	until := time.Date(2034, 3, 2, 0, 0, 0, 0, time.UTC)
	require.Equal(t, []participant.ColumnResult{
		{Table: "idempotency_keys", Column: "user_id", Disposition: participant.Erase, Rows: 2},
		{Table: "orders", Column: "user_id", Disposition: participant.Pseudonymise, Rows: 2},
		{Table: "orders", Column: "note", Disposition: participant.Erase, Rows: 2},
		{Table: "orders", Column: "placed_by", Disposition: participant.Pseudonymise, Rows: 2},
		{Table: "orders", Column: "shared_with", Disposition: participant.Pseudonymise, Rows: 2},
		{Table: "orders", Column: "details", Disposition: participant.Pseudonymise, Rows: 2},
		{
			Table: "public.invoices", Column: "user_id", Disposition: participant.Retain, Rows: 2, Remaining: 2,
			LegalReason: "bookkeeping law", RetainedUntil: &until,
		},
	}, r.Columns)
	require.Equal(t, alice, beyond.Load())

	require.Equal(t, 2, w.count(`SELECT count(*) FROM orders WHERE user_id ~ '^erased:[0-9a-f-]{36}$' AND note IS NULL
		AND placed_by = convert_to(user_id, 'UTF8') AND shared_with = ARRAY['carol', user_id] AND details #>> '{buyer,id}' = user_id`))
	require.Equal(t, 1, w.count("SELECT count(DISTINCT user_id) FROM orders WHERE user_id LIKE 'erased:%'"))
	require.Equal(t, 1, w.count("SELECT count(*) FROM orders WHERE user_id = 'bob' AND note = 'private' AND details #>> '{buyer,id}' = 'bob'"))
	require.Equal(t, 1, w.count("SELECT count(*) FROM idempotency_keys"))
	require.NotContains(t, string(w.receipts(1)[0]), "alice")
	require.NotContains(t, string(w.receipts(1)[0]), "erased:")
	require.Zero(t, w.count("SELECT count(*) FROM participant_tombstones t WHERE t::text LIKE '%alice%'"))

	require.ErrorIs(t, w.refuse(p.Tombstones(), alice), participant.ErrErased)
	require.NoError(t, w.refuse(p.Tombstones(), "bob"))
}

func TestParticipant_AnswersTwiceWithOneReceipt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	// The window of the receipts' stream must not hide a second answer.
	w.broker.Stream(jetstream.StreamConfig{Name: "RECEIPTS", Subjects: []string{"receipts.v1.>"}, Duplicates: 100 * time.Millisecond})
	w.fill()
	run(t, w.participant().Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	first := w.receipts(1)[0]
	var all [][]byte
	require.Eventually(t, func() bool {
		w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
		w.waitSettled()
		all = w.receipts(1)
		return len(all) > 1
	}, within, 50*time.Millisecond)
	for _, again := range all {
		require.Equal(t, first, again)
	}
	require.Equal(t, 1, w.count("SELECT count(*) FROM participant_receipts"))
}

func TestParticipant_ReadmissionLiftsAndALateErasureIsNotApplied(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.participant()
	run(t, p.Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)
	require.ErrorIs(t, w.refuse(p.Tombstones(), alice), participant.ErrErased)
	w.publish(identity.TypeErasureReadmitted, alice, "e-1", 9)
	w.waitSettled()
	require.NoError(t, w.refuse(p.Tombstones(), alice))

	dead := make(chan string, 5)
	sub, err := w.broker.Conn.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", func(m *nats.Msg) { dead <- string(m.Data) })
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	w.exec("INSERT INTO idempotency_keys VALUES ('new', $1)", alice)
	w.publish(identity.TypeErasureRequested, alice, "e-0", 8)
	select {
	case advisory := <-dead:
		require.Contains(t, advisory, "older than the user's readmission")
	case <-time.After(within):
		t.Fatal("no dead letter")
	}
	require.Equal(t, 1, w.count("SELECT count(*) FROM idempotency_keys"))

	w.publish(identity.TypeErasureRequested, alice, "e-2", 12)
	w.receipts(2)
	require.Zero(t, w.count("SELECT count(*) FROM idempotency_keys"))
	require.ErrorIs(t, w.refuse(p.Tombstones(), alice), participant.ErrErased)
}

func TestParticipant_MalformedEventIsADeadLetter(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run(t, w.participant().Run)
	_, err := w.broker.JetStream.Publish(context.Background(), "identity.v1.erasure.requested.00", []byte("{}"))
	require.NoError(t, err)
	w.waitSettled()
	require.Zero(t, w.count("SELECT count(*) FROM mailbox_inbox"))
}

// A trigger puts the row back, as a bug or a forgotten policy would: the second
// count notices, and nothing of the erasure is committed.
func TestParticipant_SecondCountRefusesARemainder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.fill()
	_, err := w.db.Owner.Exec(context.Background(), `
		CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_id = OLD.user_id; RETURN NEW; END';
		CREATE TRIGGER keep BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION keep();`)
	require.NoError(t, err)
	p := w.participant()
	run(t, p.Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	require.Eventually(t, func() bool {
		consumer, err := w.stream.Consumer(context.Background(), "shop-erasures")
		return err == nil && consumer.CachedInfo().NumRedelivered > 0
	}, within, every)
	require.Equal(t, 3, w.count("SELECT count(*) FROM idempotency_keys"))
	require.Zero(t, w.count("SELECT count(*) FROM participant_receipts"))
	require.NoError(t, w.refuse(p.Tombstones(), alice))
}

func TestParticipant_AWriteRacingTheErasureLeavesNoRow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.participant()
	run(t, p.Run)
	ctx := context.Background()
	var id, refused atomic.Int64
	for round := range 5 {
		user := fmt.Sprintf("user-%d", round)
		var writers sync.WaitGroup
		stop := make(chan struct{})
		for range 6 {
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					err := pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error {
						if err := p.Tombstones().Refuse(ctx, tx, user); err != nil {
							return err
						}
						_, err := tx.Exec(ctx, "INSERT INTO idempotency_keys VALUES ($1, $2)", strconv.FormatInt(id.Add(1), 10), user)
						return err
					})
					if errors.Is(err, participant.ErrErased) {
						refused.Add(1)
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		require.Eventually(t, func() bool { return w.count("SELECT count(*) FROM idempotency_keys WHERE user_id = $1", user) > 20 }, within, every)
		w.publish(identity.TypeErasureRequested, user, "e-"+user, uint64(round+1))
		w.receipts(uint64(round + 1))
		writers.Wait()
		close(stop)
		require.Zero(t, w.count("SELECT count(*) FROM idempotency_keys WHERE user_id = $1", user))
	}
	require.EqualValues(t, 30, refused.Load())
}

func TestParticipant_SharesThePublisherOfItsService(t *testing.T) {
	t.Parallel()
	w := setup(t)
	publisher := mailbox.NewPublisher(w.db.Pool, w.broker.JetStream, mailbox.PublisherOptions{PollInterval: time.Hour})
	run(t, publisher.Run)
	run(t, w.participant(func(c *participant.Config) { c.Publisher = publisher }).Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)
}

func TestNew_ReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := participant.New(participant.Config{Name: "Shop!", TombstoneKeyFile: "/does/not/exist"})
	for _, part := range []string{"name must be", "manifest must come", "pool and JetStream", "read tombstone keys"} {
		require.ErrorContains(t, err, part)
	}
}

func TestRun_RefusesAManifestThatDoesNotFit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	manifest, err := participant.ParseManifest([]byte(strings.ReplaceAll(manifestText, "placed_by", "gone")))
	require.NoError(t, err)
	p := w.participant(func(c *participant.Config) { c.Manifest = manifest })
	require.ErrorIs(t, p.Run(context.Background()), participant.ErrManifest)
}
