package erasures_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

// With thousands of deletions on their way, one that everybody has answered
// ends after the first batch of them.
func TestRun_ManyDeletionsDoNotKeepTheAnsweredOnesFromTheirEnd(t *testing.T) {
	t.Parallel()
	const due, batch = 300, 100
	db := identitytest.Postgres(t, schema.Sets()...)
	require.NoError(t, erasures.Register(t.Context(), db.Pool, []erasures.Participant{{Name: "orders"}}))
	answered := uuid.New()
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, requested_at, grace_until)
		VALUES ($1, 'answered', $2, 'k1', 'auther', 'requested', now(), now(), now())`, answered, make([]byte, 32))
	require.NoError(t, err)
	receipt, err := json.Marshal(participant.Receipt{ErasureID: answered.String(), Participant: "orders"})
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO erasure_participants (erasure_id, participant, receipt, answered_at)
		VALUES ($1, 'orders', $2, now()), ($1, 'identity-relay', NULL, NULL)`, answered, receipt)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until)
		SELECT gen_random_uuid(), 'due ' || n, decode(lpad(n::text, 64, '0'), 'hex'), 'k1', 'auther', 'grace', now(), now() FROM generate_series(1, $1::int) n`, due)
	require.NoError(t, err)

	var asked atomic.Int64
	state := make(chan erasures.State, 1)
	ctx, cancel := context.WithCancel(t.Context())
	worker := erasures.NewWorker(erasures.Worker{Pool: db.Pool, Settings: settings(t), Log: slog.New(slog.DiscardHandler), OnAppend: func() {
		if asked.Add(1) == batch+1 {
			e, err := erasures.Get(ctx, db.Pool, answered)
			if err != nil {
				t.Error(err)
			}
			state <- e.State
		}
	}})
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	require.Equal(t, erasures.Complete, <-state)
	cancel()
	require.NoError(t, <-done)
}

// One that cannot be requested holds up neither those that came after it nor
// those that have all answers.
func TestRun_OneThatFailsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	const due = 20
	db := identitytest.Postgres(t, schema.Sets()...)
	require.NoError(t, erasures.Register(t.Context(), db.Pool, []erasures.Participant{{Name: "orders"}}))
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, requested_at, grace_until)
		SELECT gen_random_uuid(), 'user ' || n, decode(lpad(n::text, 64, '0'), 'hex'), 'k1', 'auther', CASE n WHEN 0 THEN 'requested' ELSE 'grace' END,
			now(), now(), now() - interval '1 minute' + n * interval '1 millisecond' FROM generate_series(0, $1::int) n`, due)
	require.NoError(t, err)
	// Nobody but the relay must answer the first. The second is the oldest that
	// is due, and what its request would write is there already.
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO erasure_participants (erasure_id, participant)
		SELECT id, 'identity-relay' FROM erasures WHERE user_id IN ('user 0', 'user 1')`)
	require.NoError(t, err)
	logged := make(chan string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	worker := erasures.NewWorker(erasures.Worker{
		Pool: db.Pool, Settings: settings(t), OnAppend: func() {}, Log: slog.New(slog.NewTextHandler(writer(logged), nil)),
	})
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	require.Eventually(t, func() bool {
		var requested, complete int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'requested'), count(*) FILTER (WHERE state = 'complete')
			FROM erasures`).Scan(&requested, &complete)
		return err == nil && requested == due-1 && complete == 1
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	var failing string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT id::text FROM erasures WHERE state = 'grace'`).Scan(&failing))
	line := <-logged
	require.Contains(t, line, "request erasure "+failing+": note who must answer")
	require.NotContains(t, line, "user 1")
}

// A participant that was registered by the database's clock must answer although
// the process's is behind, and the relay must whatever the clocks say.
func TestRun_AsksWhoIsRegisteredWhateverTheProcessTakesForNow(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	require.NoError(t, erasures.Register(t.Context(), db.Pool, []erasures.Participant{
		{Name: "orders"}, {Name: "billing", Since: time.Now().Add(time.Hour)},
	}))
	_, err := db.Pool.Exec(t.Context(), `UPDATE participants SET since = now() + interval '1 hour' WHERE name = 'identity-relay'`)
	require.NoError(t, err)
	s := settings(t)
	s.Now = func() time.Time { return time.Now().Add(-time.Minute) }
	id := insert(t, db, s, "u1", "grace")
	_, err = db.Pool.Exec(t.Context(), `UPDATE erasures SET opened_at = $1, grace_until = $1`, s.Now())
	require.NoError(t, err)
	stop := run(t, erasures.Worker{Pool: db.Pool, Settings: s})
	reaches(t, db, "requested", 1)
	require.Empty(t, stop())
	e, err := erasures.Get(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Equal(t, []string{"identity-relay", "orders"}, e.WaitingFor)
}
