package identityrelay_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// newRoomWith starts a relay with two participants.
func newRoomWith(t *testing.T, change func(*identityrelay.Config)) (r *room, orders, billing *neighbour) {
	t.Helper()
	r = newRoom(t, func(r *room, cfg *identityrelay.Config) {
		orders, billing = r.addNeighbour("orders"), r.addNeighbour("billing")
		cfg.Participants = []string{"orders=" + orders.url, "billing=" + billing.url}
		if change != nil {
			change(cfg)
		}
	})
	return r, orders, billing
}

func (r *room) erasures(f api.ErasureFilter) []api.Erasure {
	r.t.Helper()
	page, err := r.operator.Erasures(r.t.Context(), f)
	require.NoError(r.t, err)
	return page.Erasures
}

func (r *room) erasureReaches(state string) api.ErasureDetail {
	r.t.Helper()
	var found []api.Erasure
	require.Eventually(r.t, func() bool {
		found = r.erasures(api.ErasureFilter{State: state})
		return len(found) == 1
	}, within, every, "no erasure became %s", state)
	detail, err := r.operator.Erasure(r.t.Context(), found[0].ID)
	require.NoError(r.t, err)
	return detail
}

func TestErasure_FromTheWebhookToTheCertificate(t *testing.T) {
	t.Parallel()
	const user = "auth0|user one"
	r, orders, billing := newRoomWith(t, nil)
	orders.holds(user, "somebody else")
	billing.holds(user)
	orders.run()

	r.deliver("user.created", map[string]any{"id": user, "email": "alice@example.com"})
	r.deliver("grant.created", map[string]any{"subjectType": "user", "subjectId": user, "entityType": "client_shop:order", "entityId": "*", "relation": "customer"})
	r.deliver("user.deleted", map[string]any{"id": user})

	kv, err := r.mesh.Broker.JetStream.KeyValue(t.Context(), "REVOCATIONS")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := kv.Get(t.Context(), revocation.Key(authn.BlockedUser, authn.NewRevocationKey(authn.BlockedUser, user)))
		return err == nil
	}, within, every, "the user is blocked at once")

	open := r.erasureReaches("requested")
	require.Eventually(t, func() bool {
		open, err = r.operator.Erasure(t.Context(), open.ID)
		return err == nil && len(open.WaitingFor) == 2
	}, within, every)
	require.Equal(t, []string{"billing", "identity-relay"}, open.WaitingFor, "the relay answers last")
	require.Nil(t, open.Certificate)

	billing.run()
	done := r.erasureReaches("complete")
	require.Empty(t, done.WaitingFor)
	require.Zero(t, orders.notes(user))
	require.Zero(t, billing.notes(user))
	require.Equal(t, 1, orders.notes("somebody else"))

	var certificate api.Certificate
	require.NoError(t, json.Unmarshal(done.Certificate, &certificate))
	require.Len(t, certificate.Receipts, 3)
	require.Equal(t, done.UserHash, certificate.User.Hash)
	require.Equal(t, int64(7*24*3600), certificate.Stream.MaxAgeSeconds)
	require.Equal(t, int64(4), certificate.Stream.MessagesDeleted, "created, access, deleted, erasure requested")
	var kept participant.Receipt
	require.NoError(t, json.Unmarshal(certificate.Receipts[0].Receipt, &kept))
	require.Equal(t, "bookkeeping", kept.Columns[1].LegalReason)
	require.NotNil(t, kept.Columns[1].RetainedUntil)

	found, err := footprint.InDatabase(t.Context(), r.db.AdminURL, user)
	require.NoError(t, err)
	require.Empty(t, found, "the relay holds no trace of the ID")
	found, err = footprint.InStreams(t.Context(), r.mesh.Broker.JetStream, user)
	require.NoError(t, err)
	require.Empty(t, found, "no stream holds a trace of the ID")
	require.NotContains(t, string(done.Certificate), base64.StdEncoding.EncodeToString([]byte(user)))

	// What comes late brings nobody back.
	r.deliver("user.updated", map[string]any{"id": user, "banned": false})
	r.deliver("user.created", map[string]any{"id": user})
	r.deliver("user.deleted", map[string]any{"id": user})
	require.Equal(t, 3, r.count(`SELECT count(*) FROM deliveries WHERE outcome = 'erased'`))
	require.Len(t, r.erasures(api.ErasureFilter{}), 1)
	found, err = footprint.InDatabase(t.Context(), r.db.AdminURL, user)
	require.NoError(t, err)
	require.Empty(t, found)
}

// The certificate counts what was deleted, not what was looked for.
func TestErasure_AMessageThatWasGoneBeforeIsNotCertifiedAsDeleted(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, nil)
	orders.run()
	r.deliver("user.created", map[string]any{"id": "u1"})
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	r.mesh.Messages("IDENTITY", "identity.v1.erasure.requested.>", 1)
	stream, err := r.mesh.Broker.JetStream.Stream(t.Context(), "IDENTITY")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 1)) // too old, say
	billing.run()
	done := r.erasureReaches("complete")
	var certificate api.Certificate
	require.NoError(t, json.Unmarshal(done.Certificate, &certificate))
	require.Equal(t, int64(2), certificate.Stream.MessagesDeleted, "deleted and erasure requested; created was gone")
}

func TestErasure_WaitsOutItsGraceAndSurvivesARestart(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasureGrace = 1500 * time.Millisecond })
	orders.holds("u1")
	orders.run()
	billing.run()
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	waiting := r.erasureReaches("grace")
	require.Equal(t, 1, orders.notes("u1"))
	require.Empty(t, waiting.Answers, "nobody was asked yet")
	r.service.Stop()
	r.start()
	done := r.erasureReaches("complete")
	require.Equal(t, waiting.ID, done.ID)
	require.False(t, done.RequestedAt.Before(waiting.GraceUntil))
	require.Zero(t, orders.notes("u1"))
}

func TestErasure_IsLateAndSaysWhoIsMissing(t *testing.T) {
	t.Parallel()
	r, orders, _ := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasureDeadline = time.Millisecond })
	orders.run()
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	require.Eventually(t, func() bool {
		late := r.erasures(api.ErasureFilter{Late: true})
		return len(late) == 1 && late[0].Late && len(late[0].WaitingFor) == 2 && late[0].WaitingFor[0] == "billing"
	}, within, every)
}

func TestErasure_BreakerHoldsWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasuresPerHour = 2 })
	orders.holds("u1", "u2", "u3")
	orders.run()
	billing.run()
	for _, id := range []string{"u1", "u2", "u3"} {
		r.deliver("user.deleted", map[string]any{"id": id})
	}
	require.Eventually(t, func() bool { return len(r.erasures(api.ErasureFilter{State: "complete"})) == 2 }, within, every)
	held := r.erasureReaches("held")
	require.Equal(t, 1, orders.notes("u3"))
	require.Equal(t, 1, r.count(`SELECT count(*) FROM events WHERE user_id = 'u3'`))

	released, err := r.operator.ReleaseErasure(t.Context(), held.ID)
	require.NoError(t, err)
	require.NotEqual(t, "held", released.State)
	require.Eventually(t, func() bool { return len(r.erasures(api.ErasureFilter{State: "complete"})) == 3 }, within, every)
	require.Zero(t, orders.notes("u3"))

	_, err = r.operator.ReleaseErasure(t.Context(), held.ID)
	requireRefusal(t, err, http.StatusConflict, "erasure-not-held")
	_, err = r.operator.ReleaseErasure(t.Context(), uuid.NewString())
	requireRefusal(t, err, http.StatusNotFound, "erasure-not-found")
	_, err = r.operator.Erasure(t.Context(), uuid.NewString())
	requireRefusal(t, err, http.StatusNotFound, "erasure-not-found")
}

func requireRefusal(t *testing.T, err error, status int, code string) {
	t.Helper()
	var refused *api.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status)
	require.Equal(t, code, refused.Code)
}

func TestErasure_ReceiptsThatCannotBeRightAreDeadLetters(t *testing.T) {
	t.Parallel()
	r, _, _ := newRoomWith(t, nil)
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	open := r.erasureReaches("requested")
	receipt := func(change func(*participant.Receipt)) []byte {
		rc := participant.Receipt{ErasureID: open.ID, Participant: "orders", At: time.Now(), Columns: []participant.ColumnResult{}}
		change(&rc)
		raw, err := json.Marshal(rc)
		require.NoError(t, err)
		return raw
	}
	poison := map[string]mailbox.Message{
		"not JSON":          {Subject: "receipts.v1.orders", Payload: []byte("{")},
		"in another's name": {Subject: "receipts.v1.billing", Payload: receipt(func(*participant.Receipt) {})},
		"unknown erasure":   {Subject: "receipts.v1.orders", Payload: receipt(func(rc *participant.Receipt) { rc.ErasureID = uuid.NewString() })},
		"no erasure":        {Subject: "receipts.v1.orders", Payload: receipt(func(rc *participant.Receipt) { rc.ErasureID = "x" })},
		"was not asked":     {Subject: "receipts.v1.console", Payload: receipt(func(rc *participant.Receipt) { rc.Participant = "console" })},
		"rows are left": {Subject: "receipts.v1.orders", Payload: receipt(func(rc *participant.Receipt) {
			rc.Columns = []participant.ColumnResult{{Table: "t", Column: "c", Disposition: participant.Erase, Rows: 1, Remaining: 1}}
		})},
		"kept without a reason": {Subject: "receipts.v1.orders", Payload: receipt(func(rc *participant.Receipt) {
			rc.Columns = []participant.ColumnResult{{Table: "t", Column: "c", Disposition: participant.Retain, Rows: 1, Remaining: 1}}
		})},
	}
	for name, m := range poison {
		m.ID = uuid.NewString()
		poison[name] = m
		r.mesh.Publish(m)
	}
	r.mesh.Messages("DEAD_LETTERS", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.RECEIPTS.identity-relay-receipts", len(poison))
	still, err := r.operator.Erasure(t.Context(), open.ID)
	require.NoError(t, err)
	require.Len(t, still.WaitingFor, 3)
}

func TestErasure_RequestsAreEventsOfTheUser(t *testing.T) {
	t.Parallel()
	r, _, _ := newRoomWith(t, nil)
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	open := r.erasureReaches("requested")
	message := r.mesh.Messages("IDENTITY", "identity.v1.erasure.requested.>", 1)[0]
	e, err := identity.Decode(message.Data())
	require.NoError(t, err)
	require.Equal(t, open.ID, e.ErasureID)
	require.Equal(t, "u1", e.UserID)
	require.Equal(t, uint64(2), e.Version, "after user.deleted")
}
