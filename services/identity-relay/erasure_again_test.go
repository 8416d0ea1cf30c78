package identityrelay_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// certificate waits for an edition and returns it with its text.
func (r *room) certificate(id string, edition int) (c api.Certificate, text string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		d, err := r.operator.Erasure(r.t.Context(), id)
		require.NoError(r.t, err)
		return d.State == "complete" && d.Edition >= edition && json.Unmarshal(d.Certificate, &c) == nil
	}, within, every, "no edition %d", edition)
	require.Equal(r.t, edition, c.Edition)
	var out strings.Builder
	require.NoError(r.t, c.WriteText(&out))
	return c, out.String()
}

func (n *neighbour) refuses(userID string) error {
	n.room.t.Helper()
	return pgx.BeginFunc(n.room.t.Context(), n.db.Pool, func(tx pgx.Tx) error {
		return n.Tombstones().Refuse(n.room.t.Context(), tx, userID)
	})
}

// lists tells whether reconciliation would hear of the user.
func (n *neighbour) lists(userID string) bool {
	n.room.t.Helper()
	ids, _, err := n.UserIDs(n.room.t.Context(), "", participant.MaxUserIDs)
	require.NoError(n.room.t, err)
	return slices.Contains(ids, userID)
}

func TestErasure_ARestoredBackupIsErasedAgain(t *testing.T) {
	t.Parallel()
	const user = "auth0|erased one"
	r, orders, billing := newRoomWith(t, nil)
	r.idp.Add("alive", false)
	orders.holds(user, "alive")
	billing.holds(user)
	backup := orders.db.Dump(t)
	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": user})
	first := r.erasureReaches("complete")
	require.Equal(t, 1, first.Round)

	orders.stop()
	orders.db.Restore(t, backup)
	require.Equal(t, 1, orders.notes(user), "the restore brought the data back")
	require.NoError(t, orders.refuses(user), "and took the tombstone away")
	require.True(t, orders.lists(user))
	orders.run()

	result, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Equal(t, "finished", result.State, result.Problem)
	require.Equal(t, 1, result.Erased)
	require.Equal(t, 1, result.Reopened)
	require.Zero(t, result.Deleted+result.Waiting, "no new erasure, and no waiting for a second look-up")

	c, text := r.certificate(first.ID, 2)
	require.Equal(t, 2, c.Rounds)
	var ofOrders participant.Receipt
	for _, q := range c.Receipts {
		if q.Participant == "orders" && q.Round == 2 {
			require.NoError(t, json.Unmarshal(q.Receipt, &ofOrders))
		}
	}
	require.Equal(t, int64(1), ofOrders.Columns[0].Rows)
	require.Len(t, c.Decisions, 1)
	require.Equal(t, "reopened", c.Decisions[0].Decision)
	require.Equal(t, "data under the erased user ID was found at orders", c.Decisions[0].Reason)
	require.Contains(t, text, "reopened by identity-relay: data under the erased user ID was found at orders")
	require.Contains(t, text, "orders, round 2")

	require.Zero(t, orders.notes(user))
	require.Equal(t, 1, orders.notes("alive"))
	require.ErrorIs(t, orders.refuses(user), participant.ErrErased)
	require.False(t, orders.lists(user), "no orphan")
	found, err := footprint.InDatabase(t.Context(), r.db.AdminURL, user)
	require.NoError(t, err)
	require.Empty(t, found, "the relay holds no trace of the ID")
	found, err = footprint.InStreams(t.Context(), r.mesh.Broker.JetStream, user)
	require.NoError(t, err)
	require.Empty(t, found)
	again, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Zero(t, again.Erased+again.Missing+again.Deleted, "zero orphans")
	require.Len(t, r.erasures(api.ErasureFilter{}), 1)
}

func TestErasure_AParticipantThatJoinsLaterAnswersOldErasures(t *testing.T) {
	t.Parallel()
	const user = "auth0|old one"
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.Participants = cfg.Participants[:1] })
	r.idp.Add("alive", false)
	orders.holds(user)
	billing.holds(user, "alive")
	orders.run()
	r.deliver("user.deleted", map[string]any{"id": user})
	first := r.erasureReaches("complete")
	found, err := footprint.InDatabase(t.Context(), r.db.AdminURL, user)
	require.NoError(t, err)
	require.Empty(t, found, "nothing is kept to ask later participants with")
	none, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Zero(t, none.Erased, "who is not registered is not asked")

	r.service.Stop()
	r.cfg.Participants = append(r.cfg.Participants, "billing="+billing.url)
	r.start()
	billing.run()
	result, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Equal(t, 1, result.Reopened, result.Problem)
	c, _ := r.certificate(first.ID, 2)
	var names []string
	for _, q := range c.Receipts {
		if q.Round == 2 {
			names = append(names, q.Participant)
		}
	}
	require.Contains(t, names, "billing")
	require.Zero(t, billing.notes(user))
	require.Equal(t, 1, billing.notes("alive"))
}

// Every participant hears every request. One that must answer from a later date
// on is not waited for; what it answers stands on the certificate.
func TestErasure_WhoMustAnswerFromALaterDateIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.Participants[1] += "@2999-01-01" })
	orders.holds("u1")
	billing.holds("u1")
	orders.run()
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	done := r.erasureReaches("complete")
	require.Len(t, done.Answers, 2)
	require.Equal(t, 1, billing.notes("u1"))
	// The message is gone from the stream with the user's others, so it hears of
	// the erasure by being asked what it holds.
	billing.run()
	result, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Equal(t, 1, result.Reopened, result.Problem)
	c, _ := r.certificate(done.ID, 2)
	require.Equal(t, 2, c.Rounds)
	require.Zero(t, billing.notes("u1"))
}

func TestErasure_TheEndOfRetentionIsOnTheCertificate(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, nil)
	billing.holds("u1")
	_, err := billing.db.Pool.Exec(t.Context(), `INSERT INTO accounts (user_id, made_on) VALUES ('u1', '2001-01-01'), ('u2', '2001-01-01')`)
	require.NoError(t, err)
	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	first := r.erasureReaches("complete")
	billing.stop()
	billing.run() // it looks at the start, then each hour

	c, text := r.certificate(first.ID, 2)
	require.Equal(t, 1, c.Rounds)
	require.Len(t, c.RetentionEnded, 1)
	var ended participant.Receipt
	require.NoError(t, json.Unmarshal(c.RetentionEnded[0].Receipt, &ended))
	require.Equal(t, participant.KindRetentionEnded, ended.Kind)
	require.Equal(t, int64(1), ended.Columns[0].Rows)
	require.Equal(t, int64(1), ended.Columns[0].Remaining, "an account of today is kept")
	require.Contains(t, text, "What was kept for a time, and has ended\n  billing, ")
	require.Regexp(t, `accounts\.user_id +erase +1 rows +1 left +until `+time.Now().AddDate(10, 0, 0).Format("2006")+`-..-..: bookkeeping`, text)
	var left int
	require.NoError(t, billing.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM accounts WHERE made_on < '2002-01-01'`).Scan(&left))
	require.Equal(t, 1, left, "that of a user whom nobody erased")
	d, err := r.operator.Erasure(t.Context(), first.ID)
	require.NoError(t, err)
	require.Len(t, d.RetentionEnded, 1)
}
