package erasures_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

// second makes an erasure whose second round was requested as version 20.
func second(t *testing.T, db *identitytest.Database, state string) uuid.UUID {
	t.Helper()
	require.NoError(t, erasures.Register(t.Context(), db.Pool, []erasures.Participant{
		{Name: "orders"}, {Name: "billing", Since: time.Now().AddDate(1, 0, 0)},
	}))
	id := uuid.New()
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO erasures
		(id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until, round, request_version)
		VALUES ($1, $2, $3, 'k1', 'auther', $4, now(), now(), 2, 20)`, id, "user of "+id.String(), make([]byte, 32), state)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO erasure_participants (erasure_id, round, participant) VALUES ($1, 2, 'orders')`, id)
	require.NoError(t, err)
	return id
}

func take(t *testing.T, db *identitytest.Database, r participant.Receipt) error {
	t.Helper()
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	return pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return erasures.TakeReceipt(t.Context(), tx, mailbox.Message{ID: uuid.NewString(), Subject: "receipts.v1." + r.Participant, Payload: raw})
	})
}

func TestTakeReceipt_AnAnswerToAnEarlierRoundDoesNotCount(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	id := second(t, db, "requested")
	require.NoError(t, take(t, db, participant.Receipt{ErasureID: id.String(), Participant: "orders", Request: 19}))
	e, err := erasures.Get(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Equal(t, []string{"orders"}, e.WaitingFor)
	require.NoError(t, take(t, db, participant.Receipt{ErasureID: id.String(), Participant: "orders", Request: 20}))
	e, err = erasures.Get(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Empty(t, e.WaitingFor)
}

func TestTakeReceipt_OfARegisteredParticipantThatNobodyWaitsForIsKept(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	id := second(t, db, "complete")
	require.NoError(t, take(t, db, participant.Receipt{ErasureID: id.String(), Participant: "billing", Request: 20}))
	var outdated bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT outdated FROM erasures WHERE id = $1`, id).Scan(&outdated))
	require.True(t, outdated, "the certificate is issued anew")
	d, err := erasures.GetDetail(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Equal(t, "billing", d.Answers[0].Participant)
	require.Equal(t, 2, d.Answers[0].Round)
}

// An answer that came before the question would count once it is asked.
func TestTakeReceipt_BeforeAnybodyWasAskedIsPoison(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	for _, state := range []string{"held", "grace", "withdrawn"} {
		id := second(t, db, state)
		for _, name := range []string{"orders", "billing"} {
			err := take(t, db, participant.Receipt{ErasureID: id.String(), Participant: name, Request: 20})
			require.ErrorIs(t, err, mailbox.ErrPoison, state)
		}
		e, err := erasures.Get(t.Context(), db.Pool, id)
		require.NoError(t, err)
		require.Equal(t, []string{"orders"}, e.WaitingFor, state)
	}
}

func TestTakeReceipt_OfEndedRetentionMustBeOfARegisteredParticipantAndAKnownErasure(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	id := second(t, db, "complete")
	ended := func(change func(*participant.Receipt)) error {
		r := participant.Receipt{
			Kind: participant.KindRetentionEnded, ErasureID: id.String(), Participant: "orders",
			Columns: []participant.ColumnResult{{Table: "t", Column: "c", Disposition: participant.Erase, Rows: 1}},
		}
		change(&r)
		return take(t, db, r)
	}
	require.NoError(t, ended(func(*participant.Receipt) {}))
	for fault, change := range map[string]func(*participant.Receipt){
		"not asked":            func(r *participant.Receipt) { r.Participant = "stranger" },
		"unknown erasure":      func(r *participant.Receipt) { r.ErasureID = uuid.NewString() },
		"kind that is not":     func(r *participant.Receipt) { r.Kind = "other" },
		"without a reason":     func(r *participant.Receipt) { r.Columns[0].Remaining = 1 },
		"is not an erasure ID": func(r *participant.Receipt) { r.ErasureID = "x" },
	} {
		err := ended(change)
		require.ErrorIs(t, err, mailbox.ErrPoison, fault)
		require.ErrorContains(t, err, fault)
	}
	d, err := erasures.GetDetail(t.Context(), db.Pool, id)
	require.NoError(t, err)
	require.Len(t, d.Ended, 1)
}
