package identityrelay_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

func grace(d time.Duration) func(*identityrelay.Config) {
	return func(cfg *identityrelay.Config) { cfg.ErasureGrace = d }
}

func (r *room) requireRescued(userID string, orders *neighbour) {
	r.t.Helper()
	saved := r.erasureReaches("withdrawn")
	require.NotNil(r.t, saved.WithdrawnAt)
	require.Equal(r.t, "the identity provider knows the user", saved.Decisions[0].Reason)
	require.False(r.t, r.blocked(userID))
	require.Equal(r.t, 1, orders.notes(userID))
	require.Len(r.t, r.events("erasure.readmitted"), 1, "who has blocked the user hears of it")
	require.Empty(r.t, r.events("erasure.requested"))
	require.Zero(r.t, r.count(`SELECT count(*) FROM erasures WHERE user_id = $1`, userID))
}

func TestRescue_OfWhoIsBackWhenTheGracePeriodEnds(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, grace(time.Second))
	orders.holds("u1")
	orders.run()
	billing.run()
	deleted := r.delivery("user.deleted", map[string]any{"id": "u1"})
	require.Equal(t, http.StatusNoContent, r.send(r.request(deleted)))
	require.True(t, r.blocked("u1"))
	r.idp.Add("u1", false)
	r.requireRescued("u1", orders)

	// The same deletion under another ID comes late and finds nothing to do.
	again := r.delivery("user.deleted", map[string]any{"id": "u1"})
	again.Timestamp = deleted.Timestamp
	require.Equal(t, http.StatusNoContent, r.send(r.request(again)))
	require.Len(t, r.erasures(api.ErasureFilter{}), 1)
	require.False(t, r.blocked("u1"))
}

func TestRescue_AsSoonAsTheUserIsSeenAgain(t *testing.T) {
	t.Parallel()
	r, orders, _ := newRoomWith(t, grace(time.Hour))
	orders.holds("u1")
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	r.idp.Add("u1", false)
	r.deliver("user.created", map[string]any{"id": "u1"})
	r.requireRescued("u1", orders)
}

func TestRescue_ByReconciliation(t *testing.T) {
	t.Parallel()
	r, orders, _ := newRoomWith(t, grace(time.Hour))
	orders.holds("u1")
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	// The list is behind: the user is gone already.
	r.idp.Add("u1", false)
	r.idp.OnLookup(func(w http.ResponseWriter, _ string) bool {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"code":"USER_NOT_FOUND"}`))
		return true
	})
	none, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Zero(t, none.Rescued, none.Problem)
	require.Len(t, r.erasures(api.ErasureFilter{State: "grace"}), 1)
	r.idp.OnLookup(nil)
	result, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Equal(t, 1, result.Rescued, result.Problem)
	r.requireRescued("u1", orders)
}

// A sign-up that is told after the deletion that followed it saves nobody.
func TestRescue_NotByWordAlone(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, grace(1500*time.Millisecond))
	orders.holds("u1")
	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	r.deliver("user.created", map[string]any{"id": "u1"})
	r.deliver("user.updated", map[string]any{"id": "u1"})
	r.erasureReaches("complete")
	require.Zero(t, orders.notes("u1"))
	require.GreaterOrEqual(t, r.idp.Lookups("u1"), 2, "when it was told, and at the end of the grace period")
	require.True(t, r.blocked("u1"))
}

func TestRescue_NoAnswerKeepsTheErasureWaitingUntilItsDeadline(t *testing.T) {
	t.Parallel()
	down := func(w http.ResponseWriter, _ string) bool { w.WriteHeader(http.StatusBadGateway); return true }
	r, orders, _ := newRoomWith(t, grace(100*time.Millisecond))
	r.idp.OnLookup(down)
	orders.holds("u1")
	orders.run()
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	require.Eventually(t, func() bool { return r.idp.Lookups("u1") > 0 }, within, every)
	require.Eventually(t, func() bool {
		return r.count(`SELECT count(*) FROM erasures WHERE state = 'grace' AND next_check_at > now() AND checked_at IS NULL`) == 1
	}, within, every)
	require.Equal(t, 1, orders.notes("u1"))

	// What is longer over than participants may take goes on: its source has said
	// that the user is gone.
	_, err := r.db.Owner.Exec(t.Context(), `UPDATE erasures SET grace_until = grace_until - interval '2 hours', next_check_at = NULL,
		opened_at = opened_at - interval '3 hours'`)
	require.NoError(t, err)
	r.erasureReaches("requested")
	require.Eventually(t, func() bool { return orders.notes("u1") == 0 }, within, every)
}
