package erasures_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

// run starts a worker; stop ends it and returns what it logged.
func run(t *testing.T, w erasures.Worker) (stop func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	logged := make(chan string, 1000)
	w.OnAppend, w.Log = func() {}, slog.New(slog.NewTextHandler(writer(logged), nil))
	done := make(chan error, 1)
	go func() { done <- erasures.NewWorker(w).Run(ctx) }()
	return func() (lines []string) {
		cancel()
		require.NoError(t, <-done)
		close(logged)
		for line := range logged {
			lines = append(lines, line)
		}
		return lines
	}
}

func reaches(t *testing.T, db *identitytest.Database, state string, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var there int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM erasures WHERE state = $1 AND NOT outdated`, state).Scan(&there)
		return err == nil && there == n
	}, 10*time.Second, 10*time.Millisecond, "%d erasures %s", n, state)
}

// Whatever the database's default is: the publisher notes the place of an event
// of the user just before the relay erases its own rows.
func TestRun_SeesWhatWasCommittedWhileItWaited(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	cfg, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()
	id := uuid.New()
	for _, statement := range []string{
		`INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, requested_at, grace_until)
			VALUES ($1, 'u1', decode(repeat('00', 32), 'hex'), 'k1', 'auther', 'requested', now(), now(), now())`,
		`INSERT INTO erasure_participants (erasure_id, participant) VALUES ($1, 'identity-relay')`,
		`INSERT INTO events (version, id, source, type, user_id, occurred_at, stream_sequence, removed_at)
			VALUES (1, $1, 'auther', 'user.created', 'u1', now(), 1, now())`,
	} {
		_, err := db.Pool.Exec(t.Context(), statement, id)
		require.NoError(t, err)
	}
	publishing, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer publishing.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	_, err = publishing.Exec(t.Context(), `UPDATE events SET stream_sequence = 2`)
	require.NoError(t, err)
	stop := run(t, erasures.Worker{Pool: pool, Settings: settings(t)})
	waitsFor(t, db, publishing, "row")
	require.NoError(t, publishing.Commit(t.Context()))
	reaches(t, db, "complete", 1)
	require.Empty(t, stop())
}

// Two replicas look for the same work in the same order. Each erasure must be
// carried out once, and its certificate must count each message, whoever deleted it.
func TestRun_TwoReplicasDoNotCollide(t *testing.T) {
	t.Parallel()
	const n = 40
	db, broker := identitytest.Postgres(t, schema.Sets()...), identitytest.NATS(t)
	broker.Stream(jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events"}})
	s := settings(t)
	s.Stream = "EVENTS"
	for i := range n {
		id, user := uuid.New(), fmt.Sprint("u", i)
		ack, err := broker.JetStream.Publish(t.Context(), "events", nil, jetstream.WithMsgID(id.String()))
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), `WITH e AS (INSERT INTO erasures
				(id, user_id, user_hash, hash_key_id, source, state, opened_at, requested_at, grace_until)
				VALUES ($1, $2, $3, 'k1', 'auther', 'requested', now(), now(), now())),
			p AS (INSERT INTO erasure_participants (erasure_id, participant) VALUES ($1, 'identity-relay'))
			INSERT INTO events (version, id, source, type, user_id, occurred_at, stream_sequence) VALUES ($4, $1, 'auther', 'user.created', $2, now(), $4)`,
			id, user, s.Tombstones.Hash(user), int64(ack.Sequence)) //nolint:gosec // sequences stay far below 2^63
		require.NoError(t, err)
	}
	first := run(t, erasures.Worker{Pool: db.Pool, JetStream: broker.JetStream, Settings: s})
	second := run(t, erasures.Worker{Pool: db.Pool, JetStream: broker.JetStream, Settings: s})
	reaches(t, db, "complete", n)
	require.Empty(t, first())
	require.Empty(t, second())
	var erased, counted int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM participant_tombstones t JOIN erasures e
		ON t.erasure_id = e.id::text AND t.hash = e.user_hash`).Scan(&erased))
	require.Equal(t, n, erased)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM participant_tombstones`).Scan(&erased))
	require.Equal(t, n, erased, "no pseudonym has a tombstone")
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM erasures
		WHERE certificate #>> '{stream,messages_deleted}' = '1' AND json_array_length(certificate -> 'receipts') = 1`).Scan(&counted))
	require.Equal(t, n, counted)
}

// While somebody writes about the user, who may come to need the erasure's row,
// the relay does not wait for them with that row.
func TestRun_LeavesAUserForLaterOfWhomSomebodyWrites(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	s := settings(t)
	for _, user := range []string{"u1", "u2"} {
		id := uuid.New()
		_, err := db.Pool.Exec(t.Context(), `WITH e AS (INSERT INTO erasures
				(id, user_id, user_hash, hash_key_id, source, state, opened_at, requested_at, grace_until)
				VALUES ($1, $2, $3, 'k1', 'auther', 'requested', now(), now(), now()))
			INSERT INTO erasure_participants (erasure_id, participant) VALUES ($1, 'identity-relay')`, id, user, s.Tombstones.Hash(user))
		require.NoError(t, err)
	}
	writing, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer writing.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // after the commit it does nothing
	require.NoError(t, erasures.LockUser(t.Context(), writing, "u1", false))
	stop := run(t, erasures.Worker{Pool: db.Pool, Settings: s})
	reaches(t, db, "complete", 1)
	_, err = writing.Exec(t.Context(), `SELECT FROM erasures WHERE user_id = 'u1' FOR UPDATE`)
	require.NoError(t, err)
	require.NoError(t, writing.Commit(t.Context()))
	reaches(t, db, "complete", 2)
	require.Empty(t, stop())
}

// Who has not read yet that a legal hold was lifted keeps rows until it has, also
// when the erasure is opened again and nobody waits for that participant.
func TestRun_LeavesWhatWasToldOfLegalHolds(t *testing.T) {
	t.Parallel()
	db, broker := identitytest.Postgres(t, schema.Sets()...), identitytest.NATS(t)
	stream := broker.Stream(jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events"}})
	s := settings(t)
	s.Stream = "EVENTS"
	id := uuid.New()
	_, err := db.Pool.Exec(t.Context(), `WITH e AS (INSERT INTO erasures
			(id, user_id, user_hash, hash_key_id, source, state, opened_at, requested_at, grace_until, round)
			VALUES ($1, 'u1', $2, 'k1', 'auther', 'requested', now(), now(), now(), 2))
		INSERT INTO erasure_participants (erasure_id, round, participant) VALUES ($1, 2, 'identity-relay')`, id, s.Tombstones.Hash("u1"))
	require.NoError(t, err)
	var sequences []uint64
	for _, e := range []struct{ kind, user string }{
		{"erasure.held", "erased:" + id.String()}, {"erasure.released", "erased:" + id.String()}, {"user.deleted", "u1"}, {"erasure.requested", "u1"},
	} {
		event := uuid.New()
		ack, err := broker.JetStream.Publish(t.Context(), "events", nil, jetstream.WithMsgID(event.String()))
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), `INSERT INTO events (version, id, source, type, user_id, erasure_id, occurred_at, stream_sequence)
			VALUES ($1, $2, 'identity-relay', $3, $4, $5, now(), $1)`, int64(ack.Sequence), event, e.kind, e.user, id) //nolint:gosec // sequences stay far below 2^63
		require.NoError(t, err)
		sequences = append(sequences, ack.Sequence)
	}
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO event_copies (event_id, stream_sequence) SELECT id, 99 FROM events WHERE type = 'erasure.released'`)
	require.NoError(t, err)
	stop := run(t, erasures.Worker{Pool: db.Pool, JetStream: broker.JetStream, Settings: s})
	reaches(t, db, "complete", 1)
	require.Empty(t, stop())
	for i, gone := range []bool{false, false, true, true} {
		_, err := stream.GetMsg(t.Context(), sequences[i])
		require.Equal(t, gone, errors.Is(err, jetstream.ErrMsgNotFound), "message %d: %v", i, err)
	}
	var kept, copies int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE removed_at IS NULL), (SELECT count(*) FROM event_copies)
		FROM events WHERE type IN ('erasure.held', 'erasure.released')`).Scan(&kept, &copies))
	require.Equal(t, 2, kept, "they can be published again")
	require.Equal(t, 1, copies)
}
