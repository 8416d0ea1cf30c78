package identityrelay_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// A grant and its revocation within a second, the deletion before the creation,
// an update after it: the order of arrival is not the order of events.
func TestWebhook_OrderOfArrivalDecidesNothing(t *testing.T) {
	t.Parallel()
	r, _, _ := newRoomWith(t, nil)
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	r.deliver("user.updated", map[string]any{"id": "u1", "banned": false})
	r.deliver("user.created", map[string]any{"id": "u1"})
	require.Equal(t, 1, r.count(`SELECT count(*) FROM erasures`), "what comes late stops no erasure")
	require.Equal(t, 1, r.count(`SELECT count(*) FROM revocations WHERE kind = 'block' AND causes = '{deleted}'`), "nor does it let them in")

	grant := map[string]any{"tupleId": "t1", "subjectType": "user", "subjectId": "u2", "entityType": "client_shop:order", "entityId": "*", "relation": "customer"}
	revoked, granted := r.delivery("grant.revoked", grant), r.delivery("grant.created", grant)
	granted.Timestamp = revoked.Timestamp
	for _, d := range []delivery{revoked, granted} {
		require.Equal(t, http.StatusNoContent, r.send(r.request(d)))
	}
	require.Len(t, r.events(identity.TypeAccessChanged), 2, "both are told, under one tuple ID and one time")
}

// What Auther announces and means nothing here, and what it may add, is taken:
// a refusal would only be repeated.
func TestWebhook_TakesTypesThatMeanNothing(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for _, kind := range []string{
		"user.verified", "session.created", "account.linked", "account.unlinked", "verification.sent", "verification.completed",
		"client.created", "client.updated", "client.deleted", "access.granted", "access.revoked", "later.type",
	} {
		r.deliver(kind, map[string]any{"id": "x", "whatever": []int{1}})
	}
	r.deliver("grant.created", map[string]any{"subjectType": "apikey", "subjectId": "k1", "entityType": "a", "relation": "b"})
	require.Empty(t, r.events(""))
	require.Equal(t, 13, r.count(`SELECT count(*) FROM deliveries WHERE outcome = 'ignored'`))
	all, err := r.operator.Sources(t.Context())
	require.NoError(t, err)
	require.Equal(t, []api.Source{{Name: "auther", Deliveries: map[string]int64{"ignored": 13}, Refusals: []api.Refusal{}}}, all.Sources)
}

// The webhook's sender learns 401 or 400; the operator learns why.
func TestWebhook_RefusalsAreCountedByReason(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	d := r.delivery("user.created", map[string]any{"id": "u1"})
	for range 3 {
		require.Equal(t, http.StatusUnauthorized, r.send(r.signed(d, []byte("{}"), "application/json", "whsec_other")))
	}
	require.Equal(t, http.StatusBadRequest, r.send(r.signed(d, []byte("{}"), "text/plain", secret)))
	check := func() {
		all, err := r.operator.Sources(t.Context())
		require.NoError(t, err)
		require.Len(t, all.Sources, 1)
		refusals := all.Sources[0].Refusals
		require.Len(t, refusals, 2)
		require.Equal(t, "media_type", refusals[0].Reason)
		require.Equal(t, int64(1), refusals[0].Count)
		require.Equal(t, "signature", refusals[1].Reason)
		require.Equal(t, int64(3), refusals[1].Count)
		require.WithinDuration(t, time.Now(), refusals[1].LastAt, time.Minute)
	}
	check()
	r.service.Stop()
	r.start()
	check()
}
