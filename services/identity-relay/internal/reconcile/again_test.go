package reconcile_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/identity-relay/internal/reconcile"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

// erased makes users whose erasure was complete an hour ago.
func (b *bench) erased(users ...string) {
	b.t.Helper()
	for _, user := range users {
		_, err := b.db.Pool.Exec(b.t.Context(), `INSERT INTO erasures
			(id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until, completed_at, certificate, edition)
			SELECT id, 'erased:' || id, $1, 'k1', 'auther', 'complete', $2, $2, $2, '{}', 1 FROM (SELECT gen_random_uuid() AS id) AS new`,
			b.record.Tombstones.Hash(user), b.clock().Add(-time.Hour))
		require.NoError(b.t, err)
	}
}

func TestPass_AnErasedUserWhoIsHeldAgainIsAskedForAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "alive")
	b.erased("auth0|gone")
	b.orders.ids = []string{"alive", "auth0|gone"}
	result := b.finished()
	require.Equal(t, 1, result.Erased)
	require.Equal(t, 1, result.Reopened)
	require.Zero(t, result.Missing+result.Waiting+result.Deleted)
	require.Equal(t, 1, b.idp.Lookups("auth0|gone"))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures WHERE state = 'requested' AND round = 2 AND user_id = 'auth0|gone' AND certificate IS NULL`))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM erasure_participants WHERE round = 2 AND participant IN ('orders', 'identity-relay')`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM events WHERE type = 'erasure.requested'`))
	require.Equal(t, 1, b.finished().UnderErasure, "it is not opened a third time")
}

// The identity provider gave the ID to somebody else, or forgot the deletion:
// whoever that is, an administrator decides about them.
func TestPass_AnErasedUserWhomTheProviderKnowsIsNotErasedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "alive")
	b.erased("u1")
	b.orders.ids = []string{"u1"}
	b.idp.OnLookup(func(w http.ResponseWriter, id string) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"id":"` + id + `","banned":false}`))
		return true
	})
	result := b.finished()
	require.Equal(t, 1, result.Erased)
	require.Equal(t, 1, result.Known)
	require.Zero(t, result.Reopened)
	require.Zero(t, b.count(`SELECT count(*) FROM erasures WHERE state <> 'complete'`))
}

func TestPass_AFailedListOrLookupReopensNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "alive")
	b.erased("u1")
	b.orders.ids = []string{"u1"}
	b.idp.OnList(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
	require.Equal(t, reconcile.Failed, b.pass().State)
	b.idp.OnList(nil)
	b.idp.OnLookup(func(w http.ResponseWriter, _ string) bool { w.WriteHeader(http.StatusBadGateway); return true })
	require.Equal(t, 1, b.finished().Unanswered)
	require.Zero(t, b.count(`SELECT count(*) FROM erasures WHERE state <> 'complete'`))
}

// A backup brings back everybody who was erased since: that is many, and it is
// not suspicious. How many are asked for within an hour is limited all the same.
func TestPass_ABackupWithManyErasedUsersIsWorkedOff(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) { r.Recorder.Erasures.PerHour = 15 }, ids("alive", 5)...)
	b.erased(ids("gone", 40)...)
	b.orders.ids = append(ids("alive", 5), ids("gone", 40)...)
	first := b.finished()
	require.Equal(t, 40, first.Erased)
	require.Equal(t, 15, first.Reopened)
	require.Equal(t, 25, first.Postponed)
	b.wait(time.Hour + time.Minute)
	second := b.finished()
	require.Equal(t, 15, second.Reopened)
	require.Equal(t, 15, second.UnderErasure)
	require.Equal(t, 10, second.Postponed)
}

func TestPass_ALegalHoldKeepsARestoredUser(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "alive")
	b.erased("u1")
	b.orders.ids = []string{"u1"}
	_, err := b.db.Pool.Exec(t.Context(), `INSERT INTO legal_holds (id, user_hash, hash_key_id, reason, placed_at, placed_by)
		VALUES (gen_random_uuid(), $1, 'k1', 'file 7', now(), 'operator')`, b.record.Tombstones.Hash("u1"))
	require.NoError(t, err)
	require.Equal(t, 1, b.finished().Postponed)
	require.Zero(t, b.count(`SELECT count(*) FROM erasures WHERE state <> 'complete'`))
}

// A readmitted user is missing like anybody else: two look-ups, a grace period apart.
func TestPass_AReadmittedUserIsAUserAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "alive")
	b.erased("u1")
	_, err := b.db.Pool.Exec(t.Context(), `UPDATE erasures SET readmitted_at = now()`)
	require.NoError(t, err)
	b.orders.ids = []string{"u1"}
	result := b.finished()
	require.Zero(t, result.Erased)
	require.Equal(t, 1, result.Waiting)
}

// No list tells of users of another issuer. What was erased is erased all the same.
func TestPass_AnErasedUserOfAnotherIssuerIsAskedForWithoutALookup(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(r *reconcile.Reconciler) {
		r.Settings.Namespace = "acme|"
		r.Users = userlist.Namespaced{Source: r.Users, Namespace: "acme|"}
	}, "alive")
	b.erased("partner|gone")
	b.orders.ids = []string{"acme|alive", "partner|gone", "partner|alive"}
	result := b.finished()
	require.Equal(t, 1, result.Reopened)
	require.Zero(t, b.idp.Lookups("partner|gone"))
	require.Zero(t, b.idp.Lookups("gone"))
}

// The list names a user whose erasure waits, the look-up does not answer: the
// erasure stays.
func TestPass_ALookupThatFailsRescuesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil, "alive", "u1")
	_, err := b.db.Pool.Exec(t.Context(), `INSERT INTO erasures (id, user_id, user_hash, hash_key_id, source, state, opened_at, grace_until)
		VALUES (gen_random_uuid(), 'u1', $1, 'k1', 'auther', 'grace', $2, $2)`, b.record.Tombstones.Hash("u1"), b.clock().Add(-time.Minute))
	require.NoError(t, err)
	b.orders.ids = []string{"u1"}
	b.idp.OnLookup(func(w http.ResponseWriter, _ string) bool { w.WriteHeader(http.StatusBadGateway); return true })
	result := b.finished()
	require.Zero(t, result.Rescued)
	require.Equal(t, 1, result.Unanswered)
	b.idp.OnLookup(nil)
	require.Equal(t, 1, b.finished().Rescued)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures WHERE state = 'withdrawn' AND user_id <> 'u1'`))
}
