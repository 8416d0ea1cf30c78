package mailbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

const (
	within = 20 * time.Second
	every  = 10 * time.Millisecond
)

type world struct {
	t      *testing.T
	db     *identitytest.Database
	broker *identitytest.Broker
	stream jetstream.Stream
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{
		t:      t,
		db:     identitytest.Postgres(t, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"}),
		broker: identitytest.NATS(t),
	}
	w.stream = w.broker.Stream(jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}, Duplicates: 2 * time.Minute})
	return w
}

func (w *world) durable(config jetstream.ConsumerConfig) {
	w.t.Helper()
	config.AckPolicy = jetstream.AckExplicitPolicy
	_, err := w.stream.CreateOrUpdateConsumer(context.Background(), config)
	require.NoError(w.t, err)
}

// enqueue commits n messages, each in a transaction of its own.
func (w *world) enqueue(from, n int) {
	w.t.Helper()
	for i := from; i < from+n; i++ {
		w.commit(mailbox.Message{ID: fmt.Sprintf("m-%05d", i), Subject: "t.x", Payload: fmt.Appendf(nil, "%d", i)})
	}
}

func (w *world) commit(m ...mailbox.Message) {
	w.t.Helper()
	ctx := context.Background()
	require.NoError(w.t, pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error { return mailbox.Enqueue(ctx, tx, m...) }))
}

func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.db.Pool.QueryRow(context.Background(), query, args...).Scan(&n))
	return n
}

func (w *world) outbox() int { return w.count("SELECT count(*) FROM mailbox_outbox") }

// stored returns the IDs of the messages in the stream, in its order.
func (w *world) stored() []string {
	w.t.Helper()
	ctx := context.Background()
	var info *jetstream.StreamInfo
	require.Eventually(w.t, func() bool {
		var err error
		info, err = w.stream.Info(ctx)
		return err == nil
	}, within, every)
	ids := make([]string, 0, info.State.Msgs)
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := w.stream.GetMsg(ctx, seq)
		require.NoError(w.t, err)
		ids = append(ids, m.Header.Get(jetstream.MsgIDHeader))
	}
	return ids
}

func ids(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("m-%05d", i)
	}
	return all
}

// run starts fn and returns a stop that ends its context and requires it to
// return nil. It is stopped at the test's end at the latest.
func run(t *testing.T, fn func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(within):
				t.Error("did not stop")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// journal is what handlers saw.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, s)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.entries...)
}
