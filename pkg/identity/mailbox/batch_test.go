package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// transactions counts by the transaction's ID which messages shared one.
type transactions struct {
	mu   sync.Mutex
	seen map[string][]string
}

func (x *transactions) note(ctx context.Context, tx pgx.Tx, id string) error {
	var xid string
	if err := tx.QueryRow(ctx, "SELECT pg_current_xact_id()::text").Scan(&xid); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.seen == nil {
		x.seen = map[string][]string{}
	}
	x.seen[xid] = append(x.seen[xid], id)
	return nil
}

func (x *transactions) largest() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	most := 0
	for _, ids := range x.seen {
		most = max(most, len(ids))
	}
	return most
}

// applied is a table that handlers write to, in the order of their commits.
func (w *world) applied() {
	w.t.Helper()
	_, err := w.db.Owner.Exec(context.Background(), `CREATE TABLE applied (at bigint GENERATED ALWAYS AS IDENTITY, id text);
		GRANT INSERT, SELECT ON applied TO PUBLIC`)
	require.NoError(w.t, err)
}

func (w *world) appliedIDs() []string {
	w.t.Helper()
	rows, err := w.db.Pool.Query(context.Background(), "SELECT id FROM applied ORDER BY at")
	require.NoError(w.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	return all
}

func insert(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
	_, err := tx.Exec(ctx, "INSERT INTO applied (id) VALUES ($1)", m.ID)
	return err
}

func (w *world) publishMany(n int) {
	w.t.Helper()
	for _, id := range ids(n) {
		w.publish(id, "x")
	}
}

func TestBatch_SharesATransactionAndKeepsOrder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.applied()
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	w.publishMany(250)
	var shared transactions
	var commits atomic.Int64
	run(t, w.consumer(mailbox.ConsumerConfig{
		BatchSize: 100, OnCommit: func() { commits.Add(1) },
		Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
			return errors.Join(shared.note(ctx, tx, m.ID), insert(ctx, tx, m))
		},
	}).Run)
	require.Eventually(t, w.settled, within, every)
	require.Equal(t, ids(250), w.appliedIDs())
	require.Equal(t, 250, w.count("SELECT count(*) FROM mailbox_inbox"))
	require.Greater(t, shared.largest(), 10)
	require.LessOrEqual(t, shared.largest(), 100)
	require.EqualValues(t, len(shared.seen), commits.Load(), "once a commit")
}

// The inbox knows half of them, and one stands in the stream twice.
func TestBatch_AppliesADuplicateOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.applied()
	w.broker.Stream(jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}, Duplicates: 100 * time.Millisecond})
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	w.publish("twice", "x")
	require.Eventually(t, func() bool {
		w.publish("twice", "x")
		return len(w.stored()) >= 2
	}, within, 50*time.Millisecond)
	w.publishMany(20)
	_, err := w.db.Pool.Exec(context.Background(), `INSERT INTO mailbox_inbox (consumer, message_id)
		SELECT 'd', 'm-' || lpad(n::text, 5, '0') FROM generate_series(0, 18, 2) AS n`)
	require.NoError(t, err)
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: insert}).Run)
	require.Eventually(t, w.settled, within, every)
	want := []string{"twice"}
	for i := 1; i < 20; i += 2 {
		want = append(want, fmt.Sprintf("m-%05d", i))
	}
	require.Equal(t, want, w.appliedIDs())
}

func TestBatch_PoisonIsTerminatedAloneAndTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.applied()
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	found := w.advisories()
	w.publishMany(40)
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
		if err := insert(ctx, tx, m); err != nil {
			return err
		}
		if m.ID == "m-00017" {
			return mailbox.Poison(errors.New("no such version"))
		}
		return nil
	}}).Run)
	require.Equal(t, "no such version", w.terminated(found))
	require.Eventually(t, w.settled, within, every)
	require.Equal(t, slices.DeleteFunc(ids(40), func(id string) bool { return id == "m-00017" }), w.appliedIDs())
	require.Equal(t, 39, w.count("SELECT count(*) FROM mailbox_inbox"), "a redrive must still apply it")
	require.Empty(t, found)
}

// An error in SQL aborts the whole transaction, a panic must not end the worker.
func TestBatch_AFailingMessageComesAgainAloneAndTheOthersDoNot(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context, pgx.Tx) error{
		"aborts the transaction": func(ctx context.Context, tx pgx.Tx) error { _, err := tx.Exec(ctx, "SELECT 1/0"); return err },
		"swallows an abort":      func(ctx context.Context, tx pgx.Tx) error { _, _ = tx.Exec(ctx, "SELECT 1/0"); return nil },
		"panics":                 func(context.Context, pgx.Tx) error { panic("not now") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.applied()
			w.durable(jetstream.ConsumerConfig{Durable: "d"})
			w.publishMany(30)
			var failures atomic.Int64
			run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
				if m.ID == "m-00005" && failures.Add(1) <= 3 {
					return fail(ctx, tx)
				}
				return insert(ctx, tx, m)
			}}).Run)
			require.Eventually(t, w.settled, within, every)
			applied := w.appliedIDs()
			slices.Sort(applied)
			require.Equal(t, ids(30), applied)
			require.EqualValues(t, 4, failures.Load(), "in the batch, alone, and twice more")
		})
	}
}

// Each message takes a tenth of the time that the batch has: it is committed in
// parts, nothing is rolled back and nothing is handled twice.
func TestBatch_OfSlowMessagesIsCommittedInParts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.applied()
	w.durable(jetstream.ConsumerConfig{Durable: "d", AckWait: time.Second})
	w.publishMany(20)
	var shared transactions
	var handled atomic.Int64
	run(t, w.consumer(mailbox.ConsumerConfig{Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
		handled.Add(1)
		if _, err := tx.Exec(ctx, "SELECT pg_sleep(0.1)"); err != nil {
			return err
		}
		return errors.Join(shared.note(ctx, tx, m.ID), insert(ctx, tx, m))
	}}).Run)
	require.Eventually(t, w.settled, within, every)
	require.Equal(t, ids(20), w.appliedIDs())
	require.EqualValues(t, 20, handled.Load())
	require.Less(t, shared.largest(), 10)
	consumer, err := w.stream.Consumer(context.Background(), "d")
	require.NoError(t, err)
	require.Zero(t, consumer.CachedInfo().NumRedelivered, "what waited was kept alive")
}

func TestWorkers_KeepTheOrderOfEachKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.durable(jetstream.ConsumerConfig{Durable: "d"})
	var mu sync.Mutex
	seen := map[string][]int{}
	for i := range 200 {
		w.publish(fmt.Sprintf("m-%05d", i), fmt.Sprintf("user-%d", i%7))
	}
	run(t, w.consumer(mailbox.ConsumerConfig{
		Workers: 4, BatchSize: 5, OrderBy: func(m mailbox.Message) string { return string(m.Payload) },
		Handler: func(_ context.Context, _ pgx.Tx, m mailbox.Message) error {
			var n int
			if _, err := fmt.Sscanf(m.ID, "m-%d", &n); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			seen[string(m.Payload)] = append(seen[string(m.Payload)], n)
			return nil
		},
	}).Run)
	require.Eventually(t, w.settled, within, every)
	require.Len(t, seen, 7)
	for user, order := range seen {
		require.True(t, slices.IsSorted(order), "%s: %v", user, order)
	}
}

func TestGuard_LetsOnlyNewerVersionsThrough(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	blocks := mailbox.Guard{Consumer: "d", Scope: "blocks"}
	newer := func(g mailbox.Guard, key string, version uint64) (ok bool) {
		require.NoError(t, pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error {
			var err error
			ok, err = g.Newer(ctx, tx, key, version)
			return err
		}))
		return ok
	}
	require.True(t, newer(blocks, "auth0|a", 5))
	require.False(t, newer(blocks, "auth0|a", 5))
	require.False(t, newer(blocks, "auth0|a", 4))
	require.True(t, newer(blocks, "auth0|a", 6))
	require.True(t, newer(blocks, "auth0|b", 1), "another user")
	require.True(t, newer(mailbox.Guard{Consumer: "d"}, "auth0|a", 1), "another thing")
	require.True(t, newer(mailbox.Guard{Consumer: "e", Scope: "blocks"}, "auth0|a", 1), "another consumer")
	require.NoError(t, pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error { return mailbox.ForgetVersions(ctx, tx, "auth0|a") }))
	require.Equal(t, 1, w.count("SELECT count(*) FROM mailbox_versions"))
}
