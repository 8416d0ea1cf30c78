package participant_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

const (
	within = 20 * time.Second
	every  = 10 * time.Millisecond
)

const schema = `
CREATE TABLE orders (
	id int PRIMARY KEY, user_id text COLLATE "C" NOT NULL, note text, placed_by bytea,
	shared_with text[] NOT NULL DEFAULT '{}', details jsonb NOT NULL DEFAULT '{}', placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE idempotency_keys (key text PRIMARY KEY, user_id text NOT NULL);
CREATE TABLE invoices (id int PRIMARY KEY, user_id text NOT NULL, kind text NOT NULL DEFAULT 'user', issued_on date NOT NULL);
CREATE TABLE short (user_id varchar(20), number int);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;`

const manifestText = `
version: 1
tables:
  - table: idempotency_keys
    columns:
      - {column: user_id, disposition: erase}
  - table: orders
    columns:
      - {column: user_id, disposition: pseudonymise}
      - {column: note, key: user_id, disposition: erase}
      - {column: placed_by, disposition: pseudonymise}
      - {column: shared_with, disposition: pseudonymise}
      - {column: details, path: [buyer, id], disposition: pseudonymise}
  - table: public.invoices
    columns:
      - column: user_id
        disposition: retain
        where: kind = 'user'
        legal_reason: bookkeeping law
        retention: P10Y
        since: issued_on
`

type world struct {
	t      *testing.T
	db     *identitytest.Database
	broker *identitytest.Broker
	stream jetstream.Stream
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t,
		db: identitytest.Postgres(t,
			migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
			migrate.Set{Name: "participant", FS: participant.Migrations, Dir: "migrations"}),
		broker: identitytest.NATS(t),
	}
	_, err := w.db.Owner.Exec(context.Background(), schema)
	require.NoError(t, err)
	w.stream = w.broker.Stream(jetstream.StreamConfig{Name: participant.DefaultStream, Subjects: []string{"identity.v1.>"}})
	w.broker.Stream(jetstream.StreamConfig{Name: "RECEIPTS", Subjects: []string{"receipts.v1.>"}})
	_, err = w.stream.CreateOrUpdateConsumer(context.Background(), jetstream.ConsumerConfig{
		Durable: "shop-erasures", FilterSubject: identity.Filter("erasure"), AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5,
	})
	require.NoError(t, err)
	return w
}

func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tombstone-keys")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
	return path
}

func (w *world) participant(change ...func(*participant.Config)) *participant.Participant {
	w.t.Helper()
	manifest, err := participant.ParseManifest([]byte(manifestText))
	require.NoError(w.t, err)
	config := participant.Config{Name: "shop", Manifest: manifest, Pool: w.db.Pool, JetStream: w.broker.JetStream}
	for _, c := range change {
		c(&config)
	}
	if config.Tombstones == nil && config.TombstoneKeyFile == "" {
		config.TombstoneKeyFile = keyFile(w.t, participant.NewTombstoneKey("k1"))
	}
	p, err := participant.New(config)
	require.NoError(w.t, err)
	return p
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.db.Pool.Exec(context.Background(), sql, args...)
	require.NoError(w.t, err)
}

func (w *world) count(sql string, args ...any) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.db.Pool.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

// publish sends an event under a message ID of its own.
func (w *world) publish(eventType, userID, erasureID string, version uint64) {
	w.t.Helper()
	e := identity.Event{
		ID: uuid.NewString(), Source: "/relay", Type: eventType, Version: version,
		Time: time.Now(), UserID: userID, ErasureID: erasureID,
	}
	raw, err := identity.Encode(e)
	require.NoError(w.t, err)
	_, err = w.broker.JetStream.Publish(context.Background(), identity.Subject(e), raw, jetstream.WithMsgID(e.ID))
	require.NoError(w.t, err)
}

func (w *world) settled() bool {
	ctx := context.Background()
	stream, err := w.stream.Info(ctx)
	if err != nil {
		return false
	}
	consumer, err := w.stream.Consumer(ctx, "shop-erasures")
	if err != nil {
		return false
	}
	// The number of pending messages lags behind a publish, the floor cannot run ahead.
	return consumer.CachedInfo().AckFloor.Stream >= stream.State.LastSeq
}

func (w *world) waitSettled() {
	w.t.Helper()
	require.Eventually(w.t, w.settled, within, every)
}

// receipts returns the payloads in the receipts' stream once there are n.
func (w *world) receipts(n uint64) [][]byte {
	w.t.Helper()
	ctx := context.Background()
	var all [][]byte
	require.Eventually(w.t, func() bool {
		s, err := w.broker.JetStream.Stream(ctx, "RECEIPTS")
		if err != nil || s.CachedInfo().State.Msgs < n {
			return false
		}
		all = nil
		for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
			m, err := s.GetMsg(ctx, seq)
			require.NoError(w.t, err)
			require.Equal(w.t, "receipts.v1.shop", m.Subject)
			all = append(all, m.Data)
		}
		return true
	}, within, every)
	return all
}

func (w *world) receipt() participant.Receipt {
	w.t.Helper()
	var r participant.Receipt
	require.NoError(w.t, json.Unmarshal(w.receipts(1)[0], &r))
	return r
}

func (w *world) refuse(tombstones *participant.Tombstones, userID string) error {
	ctx := context.Background()
	return pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error { return tombstones.Refuse(ctx, tx, userID) })
}

func run(t *testing.T, fn func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(within):
			t.Error("did not stop")
		}
	})
}
