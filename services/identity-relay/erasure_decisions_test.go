package identityrelay_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

const caseNumber = "litigation, file 2026/17"

// blocked tells whether the user is kept out.
func (r *room) blocked(userID string) bool {
	r.t.Helper()
	key := authn.NewRevocationKey(authn.BlockedUser, userID)
	return r.count(`SELECT count(*) FROM revocations WHERE kind = 'block' AND key = $1 AND cardinality(causes) > 0`, key[:]) == 1
}

func TestHold_StopsAnErasureBeforeItActs(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasureGrace = 300 * time.Millisecond })
	ctx := t.Context()
	orders.holds("auth0|u1")
	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": "auth0|u1"})
	open := r.erasures(api.ErasureFilter{})[0]
	held, err := r.operator.HoldErasure(ctx, open.ID, caseNumber)
	require.NoError(t, err)
	require.Equal(t, "held", held.State)
	require.Equal(t, caseNumber, held.LegalHold)
	require.False(t, held.OverLimit)
	require.True(t, r.blocked("auth0|u1"), "the data waits, access does not")
	_, err = r.operator.HoldErasure(ctx, open.ID, "another")
	requireRefusal(t, err, http.StatusConflict, "legal-hold-exists")
	_, err = r.operator.RetryErasure(ctx, open.ID)
	requireRefusal(t, err, http.StatusConflict, "erasure-not-requested")
	// Its grace would have been over by now; another erasure shows that the worker is at work.
	r.deliver("user.deleted", map[string]any{"id": "auth0|u2"})
	r.erasureReaches("complete")
	require.Equal(t, 1, orders.notes("auth0|u1"))

	released, err := r.operator.ReleaseErasure(ctx, open.ID)
	require.NoError(t, err)
	require.Equal(t, "grace", released.State)
	require.True(t, released.GraceUntil.After(held.GraceUntil), "grace begins anew")
	require.Eventually(t, func() bool { return len(r.erasures(api.ErasureFilter{State: "complete"})) == 2 }, within, every)
	require.Zero(t, orders.notes("auth0|u1"))
	c, text := r.certificate(open.ID, 1)
	require.Len(t, c.Decisions, 2)
	require.Equal(t, "operator", c.Decisions[0].By)
	require.Contains(t, text, "held by operator: "+caseNumber)
	require.Contains(t, text, "released by operator\n")
	_, err = r.operator.HoldErasure(ctx, open.ID, caseNumber)
	requireRefusal(t, err, http.StatusConflict, "erasure-under-way")
	holds, err := r.operator.LegalHolds(ctx, "")
	require.NoError(t, err)
	require.Empty(t, holds.LegalHolds)
}

func TestHold_OfAUserWaitsForTheErasureThatComesLater(t *testing.T) {
	t.Parallel()
	const user = "auth0|held one"
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasuresPerHour = 1 })
	ctx := t.Context()
	orders.holds(user, "other")
	orders.run()
	billing.run()
	placed, err := r.operator.HoldUser(ctx, user, caseNumber)
	require.NoError(t, err)
	require.Equal(t, "operator", placed.PlacedBy)
	_, err = r.operator.HoldUser(ctx, user, caseNumber)
	requireRefusal(t, err, http.StatusConflict, "legal-hold-exists")
	require.Zero(t, r.count(`SELECT count(*) FROM legal_holds h WHERE h::text LIKE '%held one%'`))

	r.deliver("user.deleted", map[string]any{"id": user})
	held := r.erasureReaches("held")
	require.Equal(t, caseNumber, held.LegalHold)
	require.False(t, held.OverLimit)
	require.Equal(t, placed.UserHash, held.UserHash)

	// The next one is held by the breaker and by law: lifting the hold is not
	// enough to let it go.
	r.deliver("user.deleted", map[string]any{"id": "other"})
	second, err := r.operator.HoldUser(ctx, "other", caseNumber)
	require.NoError(t, err)
	holds, err := r.operator.LegalHolds(ctx, "")
	require.NoError(t, err)
	require.Len(t, holds.LegalHolds, 2)
	rest, err := r.operator.LegalHolds(ctx, holds.LegalHolds[0].ID)
	require.NoError(t, err)
	require.Equal(t, []api.LegalHold{second}, rest.LegalHolds)
	_, err = r.operator.LiftHold(ctx, second.ID)
	require.NoError(t, err)
	of := r.erasures(api.ErasureFilter{User: "other"})
	require.Len(t, of, 1, "found by the user's ID, which no row holds")
	require.Equal(t, "held", of[0].State)
	require.True(t, of[0].OverLimit)

	_, err = r.operator.LiftHold(ctx, placed.ID)
	require.NoError(t, err)
	require.Equal(t, held.ID, r.erasureReaches("complete").ID)
	require.Zero(t, orders.notes(user))
	require.Equal(t, 1, orders.notes("other"))
	_, err = r.operator.LiftHold(ctx, placed.ID)
	requireRefusal(t, err, http.StatusNotFound, "legal-hold-not-found")
}

// What an erasure left for a time is kept beyond it while a hold is in force.
func TestHold_OfAnErasedUserKeepsWhatWasRetained(t *testing.T) {
	t.Parallel()
	const user = "auth0|erased one"
	r, orders, billing := newRoomWith(t, nil)
	ctx := t.Context()
	billing.holds(user)
	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": user})
	done := r.erasureReaches("complete")
	placed, err := r.operator.HoldUser(ctx, user, caseNumber)
	require.NoError(t, err)
	held := func() int {
		var n int
		require.NoError(t, billing.db.Owner.QueryRow(ctx, `SELECT count(*) FROM participant_tombstones WHERE held`).Scan(&n))
		return n
	}
	r.eventually("billing to hear of the hold", func() bool { return held() == 1 })
	c, text := r.certificate(done.ID, 2)
	require.Len(t, c.Decisions, 1)
	require.Contains(t, text, "held by operator: "+caseNumber)
	now, err := r.operator.Erasure(ctx, done.ID)
	require.NoError(t, err)
	require.Equal(t, "complete", now.State)
	require.Equal(t, caseNumber, now.LegalHold)
	seen := map[string]bool{}
	r.validate(r.mesh.Messages("IDENTITY", "identity.v1.erasure.held.>", 1), seen)

	since := time.Now().Add(-time.Hour)
	replayed, err := r.operator.Replay(ctx, api.ReplayRequest{Since: &since, Type: "erasure.held"})
	require.NoError(t, err)
	require.Equal(t, 1, replayed.Replayed, "a participant that was restored hears of the hold again")

	_, err = r.operator.LiftHold(ctx, placed.ID)
	require.NoError(t, err)
	r.eventually("billing to hear of its end", func() bool { return held() == 0 })
	r.validate(r.mesh.Messages("IDENTITY", "identity.v1.erasure.released.>", 1), seen)
	require.Len(t, seen, 2)
	c, _ = r.certificate(done.ID, 3)
	require.Len(t, c.Decisions, 2)
	found, err := footprint.InDatabase(ctx, r.db.AdminURL, user)
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestHold_ComesTooLateOnceParticipantsAreAsked(t *testing.T) {
	t.Parallel()
	r, _, _ := newRoomWith(t, nil)
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	open := r.erasureReaches("requested")
	_, err := r.operator.HoldErasure(t.Context(), open.ID, caseNumber)
	requireRefusal(t, err, http.StatusConflict, "erasure-under-way")
	_, err = r.operator.HoldUser(t.Context(), "u1", "file 7")
	requireRefusal(t, err, http.StatusConflict, "erasure-under-way")
	_, err = r.operator.Readmit(t.Context(), open.ID, "u1", "file 7")
	requireRefusal(t, err, http.StatusConflict, "erasure-under-way")
	require.Zero(t, r.count(`SELECT count(*) FROM legal_holds`))
}

func TestRetry_AsksThoseWhoLostTheRequest(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasureDeadline = time.Hour })
	orders.holds("u1")
	billing.holds("u1")
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	open := r.erasureReaches("requested")
	require.Eventually(t, func() bool {
		d, err := r.operator.Erasure(t.Context(), open.ID)
		return err == nil && len(d.WaitingFor) == 2
	}, within, every)
	stream, err := r.mesh.Broker.JetStream.Stream(t.Context(), "IDENTITY")
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject("identity.v1.erasure.>")))
	orders.run()

	again, err := r.operator.RetryErasure(t.Context(), open.ID)
	require.NoError(t, err)
	require.True(t, again.DueAt.After(*open.DueAt))
	done := r.erasureReaches("complete")
	require.Zero(t, orders.notes("u1"))
	require.Len(t, done.Answers, 3, "a second answer of billing changes nothing")
	require.Equal(t, "asked_again", done.Decisions[0].Decision)
	_, err = r.operator.RetryErasure(t.Context(), done.ID)
	requireRefusal(t, err, http.StatusConflict, "erasure-not-requested")
}

func TestReadmit_LiftsEveryTombstoneAndIsAudited(t *testing.T) {
	t.Parallel()
	const user = "auth0|back again"
	r, orders, billing := newRoomWith(t, nil)
	ctx := t.Context()
	orders.holds(user)
	orders.run()
	billing.run()
	deleted := r.delivery("user.deleted", map[string]any{"id": user})
	require.Equal(t, http.StatusNoContent, r.send(r.request(deleted)))
	done := r.erasureReaches("complete")
	require.ErrorIs(t, orders.refuses(user), participant.ErrErased)

	_, err := r.operator.Readmit(ctx, done.ID, "somebody else", caseNumber)
	requireRefusal(t, err, http.StatusConflict, "erasure-of-another-user")
	_, err = r.operator.Readmit(ctx, done.ID, user, "the account of "+user)
	requireRefusal(t, err, http.StatusBadRequest, "reason-names-user")
	require.ErrorIs(t, orders.refuses(user), participant.ErrErased)
	back, err := r.operator.Readmit(ctx, done.ID, user, caseNumber)
	require.NoError(t, err)
	require.NotNil(t, back.ReadmittedAt)
	require.False(t, r.blocked(user))
	for _, n := range []*neighbour{orders, billing} {
		require.Eventually(t, func() bool { return n.refuses(user) == nil }, within, every, n.name)
	}
	c, text := r.certificate(done.ID, 2)
	require.NotNil(t, c.ReadmittedAt)
	require.Contains(t, text, "readmitted by operator: "+caseNumber)
	_, err = r.operator.Readmit(ctx, done.ID, user, caseNumber)
	requireRefusal(t, err, http.StatusConflict, "user-readmitted")

	// The old deletion, told once more under another ID, is not about the new life.
	late := r.delivery("user.deleted", map[string]any{"id": user})
	late.Timestamp = deleted.Timestamp
	require.Equal(t, http.StatusNoContent, r.send(r.request(late)))
	require.Len(t, r.erasures(api.ErasureFilter{User: user}), 1)
	require.False(t, r.blocked(user))
	orders.holds(user)
	r.idp.Add(user, false)
	quiet, err := r.operator.Reconcile(ctx, api.ReconcileRequest{})
	require.NoError(t, err)
	require.Zero(t, quiet.Erased+quiet.Missing)

	// A deletion of the new life is an erasure of its own.
	r.deliver("user.created", map[string]any{"id": user})
	next := r.delivery("user.deleted", map[string]any{"id": user})
	next.Timestamp = time.Now().Add(time.Second).Unix() * 1000
	require.Equal(t, http.StatusNoContent, r.send(r.request(next)))
	require.Eventually(t, func() bool { return len(r.erasures(api.ErasureFilter{User: user, State: "complete"})) == 2 }, within, every)
	require.Zero(t, orders.notes(user))
	require.ErrorIs(t, orders.refuses(user), participant.ErrErased)
}

func TestReadmit_InTheGracePeriodWithdraws(t *testing.T) {
	t.Parallel()
	r, orders, _ := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasureGrace = time.Hour })
	orders.holds("u1")
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	open := r.erasureReaches("grace")
	back, err := r.operator.Readmit(t.Context(), open.ID, "u1", "a mistake")
	require.NoError(t, err)
	require.Equal(t, "withdrawn", back.State)
	require.False(t, r.blocked("u1"))
	require.Equal(t, 1, orders.notes("u1"))
	require.Len(t, r.events("erasure.readmitted"), 1)
	require.Zero(t, r.count(`SELECT count(*) FROM erasures WHERE user_id = 'u1'`))
	_, err = r.operator.Readmit(t.Context(), open.ID, "u1", "a mistake")
	requireRefusal(t, err, http.StatusConflict, "user-readmitted")
	_, err = r.operator.ReleaseErasure(t.Context(), open.ID)
	requireRefusal(t, err, http.StatusConflict, "erasure-not-held")
}

func TestDecisions_RefuseWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	ctx, nothing := t.Context(), uuid.NewString()
	for name, reason := range map[string]string{"none": "", "blank": "  ", "two lines": "a\nb", "too long": strings.Repeat("x", 1001)} {
		_, err := r.operator.HoldErasure(ctx, nothing, reason)
		requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
		_, err = r.operator.HoldUser(ctx, "u1", reason)
		requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
		_, err = r.operator.Readmit(ctx, nothing, "u1", reason)
		requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
		require.Zero(t, r.count(`SELECT count(*) FROM legal_holds`), name)
	}
	_, err := r.operator.HoldUser(ctx, "", caseNumber)
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.Readmit(ctx, nothing, "", caseNumber)
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.HoldErasure(ctx, nothing, caseNumber)
	requireRefusal(t, err, http.StatusNotFound, "erasure-not-found")
	_, err = r.operator.RetryErasure(ctx, nothing)
	requireRefusal(t, err, http.StatusNotFound, "erasure-not-found")
	_, err = r.operator.Readmit(ctx, nothing, "u1", caseNumber)
	requireRefusal(t, err, http.StatusNotFound, "erasure-not-found")
	_, err = r.operator.LiftHold(ctx, nothing)
	requireRefusal(t, err, http.StatusNotFound, "legal-hold-not-found")
	_, err = r.operator.HoldUser(ctx, "auth0|u1", "about auth0|u1")
	requireRefusal(t, err, http.StatusBadRequest, "reason-names-user")
	_, err = r.operator.LegalHolds(ctx, "x")
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
}
