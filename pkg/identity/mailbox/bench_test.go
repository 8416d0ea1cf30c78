package mailbox_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

// BenchmarkConsumer is messages from the stream to the acknowledgment, each with
// an inbox row and a row of its own. PostgreSQL runs with fsync, else a commit
// would cost nothing and a batch would gain less than it does.
func BenchmarkConsumer(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		b.Run("batch-"+strconv.Itoa(size), func(b *testing.B) { consume(b, size) })
	}
}

func consume(b *testing.B, size int) {
	ctx := context.Background()
	db := identitytest.Postgres(b, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"})
	broker := identitytest.NATS(b)
	_, err := db.Owner.Exec(ctx, "CREATE TABLE applied (id text); GRANT INSERT ON applied TO PUBLIC")
	require.NoError(b, err)
	admin, err := pgx.Connect(ctx, db.AdminURL)
	require.NoError(b, err)
	for _, statement := range []string{"ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"} {
		_, err = admin.Exec(ctx, statement)
		require.NoError(b, err)
	}
	require.NoError(b, admin.Close(ctx))
	stream := broker.Stream(jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}})
	_, err = stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 1000,
	})
	require.NoError(b, err)
	for i := range b.N {
		_, err := broker.JetStream.PublishAsync("t.x", []byte("x"), jetstream.WithMsgID(fmt.Sprintf("m-%d", i)))
		require.NoError(b, err)
	}
	<-broker.JetStream.PublishAsyncComplete()

	running, cancel := context.WithCancel(ctx)
	done, stopped := make(chan struct{}), make(chan error, 1)
	var commits, applied atomic.Int64
	consumer, err := mailbox.NewConsumer(broker.JetStream, db.Pool, mailbox.ConsumerConfig{
		Stream: "T", Durable: "d", BatchSize: size, OnCommit: func() { commits.Add(1) },
		Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
			_, err := tx.Exec(ctx, "INSERT INTO applied VALUES ($1)", m.ID)
			if applied.Add(1) == int64(b.N) {
				close(done)
			}
			return err
		},
	})
	require.NoError(b, err)
	b.ResetTimer()
	go func() { stopped <- consumer.Run(running) }()
	<-done
	cancel()
	require.NoError(b, <-stopped)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(b.N)/float64(max(commits.Load(), 1)), "msgs/commit")
}
