package identityrelay_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

func (r *room) auditEnds(id, state string) (audit api.OrphanAudit) {
	r.t.Helper()
	r.eventually("the audit to be "+state, func() bool {
		var err error
		audit, err = r.operator.OrphanAudit(r.t.Context(), id)
		require.NoError(r.t, err)
		return audit.State == state
	})
	return audit
}

func (r *room) orphans(id string, showIDs bool) []api.Orphan {
	r.t.Helper()
	page, err := r.operator.Orphans(r.t.Context(), id, 0, showIDs)
	require.NoError(r.t, err)
	return page.Orphans
}

func TestOrphanAudit_TellsPerColumnWhomTheIdPDoesNotKnow(t *testing.T) {
	t.Parallel()
	const orphan = "auth0|nobody knows"
	r, orders, billing := newRoomWith(t, nil)
	orders.run()
	billing.run()
	for _, id := range []string{"known", "u-erased"} {
		r.idp.Add(id, false)
	}
	orders.holds("known", orphan, orphan)
	billing.holds("known", "u-erased")
	r.deliver("user.deleted", map[string]any{"id": "u-erased"})
	r.erasureReaches("complete")
	orders.holds("u-erased") // a backup that was restored: the tombstone is the relay's alone
	// Signs up after the participants were read: in the list alone, and no orphan.
	var signUp sync.Once
	r.idp.OnList(func(http.ResponseWriter, *http.Request) bool {
		signUp.Do(func() {
			orders.holds("late")
			r.idp.Add("late", false)
		})
		return false
	})

	started, err := r.operator.StartOrphanAudit(t.Context(), api.OrphanAuditRequest{})
	require.NoError(t, err)
	audit := r.auditEnds(started.ID, "finished")
	require.Empty(t, audit.Problem)
	require.Zero(t, audit.Unsettled)
	byColumn := map[string]api.OrphanAuditColumn{}
	for _, c := range audit.Columns {
		byColumn[c.Holder+" "+c.Table] = c
	}
	require.Equal(t, api.OrphanAuditColumn{Holder: "orders", Table: "notes", Column: "user_id", IDs: 3, Rows: 4, Orphans: 1, Erased: 1}, byColumn["orders notes"])
	require.Equal(t, api.OrphanAuditColumn{Holder: "billing", Table: "notes", Column: "user_id", IDs: 1, Rows: 1}, byColumn["billing notes"])
	require.Equal(t, api.OrphanAuditColumn{Holder: "billing", Table: "accounts", Column: "user_id", IDs: 2, Rows: 2, Retained: 1}, byColumn["billing accounts"])

	hidden := r.orphans(started.ID, false)
	require.Len(t, hidden, 2)
	shown := r.orphans(started.ID, true)
	for i, o := range shown {
		require.Empty(t, hidden[i].UserID, "IDs are told only where they are asked for")
		require.Equal(t, hidden[i].UserHash, o.UserHash)
		require.Equal(t, "orders", o.Holder)
		if o.Finding == "erased" {
			require.Empty(t, o.UserID, "the relay does not learn the ID of an erased user again")
			continue
		}
		require.Equal(t, "orphan", o.Finding)
		require.Equal(t, userids.Encode(orphan), o.UserID)
		require.Equal(t, []api.OrphanPlace{{Table: "notes", Column: "user_id", Rows: 2}, {Table: "accounts", Column: "user_id", Rows: 2}}, o.Places)
	}
	require.Equal(t, 2, orders.notes(orphan), "an audit changes nothing")
	require.Empty(t, r.erasures(api.ErasureFilter{State: "grace"}))
	found, err := footprint.InDatabase(t.Context(), r.db.AdminURL, "u-erased")
	require.NoError(t, err)
	require.Empty(t, found)

	// The finding goes with the user.
	r.deliver("user.deleted", map[string]any{"id": orphan})
	r.eventually("the finding to be erased", func() bool { return r.count(`SELECT count(*) FROM orphan_audit_ids WHERE user_id = $1`, orphan) == 0 })
}

func (r *room) idpFails(fails bool) {
	answer := func(w http.ResponseWriter) bool {
		if fails {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return fails
	}
	r.idp.OnList(func(w http.ResponseWriter, _ *http.Request) bool { return answer(w) })
	r.idp.OnLookup(func(w http.ResponseWriter, _ string) bool { return answer(w) })
}

func TestOrphanAudit_StopsAndGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, nil)
	r.idp.Add("known", false)
	orders.holds("known", "orphan-1")
	billing.holds("orphan-2")
	_, err := billing.db.Owner.Exec(t.Context(), `ALTER TABLE accounts RENAME TO elsewhere`)
	require.NoError(t, err)
	started, err := r.operator.StartOrphanAudit(t.Context(), api.OrphanAuditRequest{})
	require.NoError(t, err)
	stopped := r.auditEnds(started.ID, "stopped")
	require.Equal(t, "holders", stopped.Phase)
	require.Equal(t, "not every participant told its user IDs", stopped.Problem)
	for _, h := range stopped.Holders {
		require.Equal(t, h.Name != "billing", h.Complete, h.Name)
	}

	// The list cannot be read: nobody is an orphan for that.
	_, err = billing.db.Owner.Exec(t.Context(), `ALTER TABLE elsewhere RENAME TO accounts`)
	require.NoError(t, err)
	r.idpFails(true)
	_, err = r.operator.ResumeOrphanAudit(t.Context(), started.ID, api.OrphanAuditRequest{})
	require.NoError(t, err)
	r.eventually("the list to fail", func() bool {
		stopped, err = r.operator.OrphanAudit(t.Context(), started.ID)
		return err == nil && stopped.State == "stopped" && stopped.Phase == "list"
	})
	require.Empty(t, r.orphans(started.ID, false))

	// Another process goes on.
	r.idpFails(false)
	r.service.Stop()
	r.start()
	_, err = r.operator.ResumeOrphanAudit(t.Context(), started.ID, api.OrphanAuditRequest{})
	require.NoError(t, err)
	audit := r.auditEnds(started.ID, "finished")
	require.Len(t, r.orphans(started.ID, false), 2)
	for _, c := range audit.Columns {
		if c.Holder == "orders" && c.Table == "notes" {
			require.Equal(t, int64(2), c.IDs, "what was read before is not counted twice")
		}
	}
	again, err := r.operator.ResumeOrphanAudit(t.Context(), started.ID, api.OrphanAuditRequest{})
	require.NoError(t, err)
	require.Equal(t, "finished", again.State)

	_, err = r.operator.Orphans(t.Context(), uuid.NewString(), 0, false)
	requireRefusal(t, err, http.StatusNotFound, "audit-not-found")
	_, err = r.operator.OrphanAudit(t.Context(), uuid.NewString())
	requireRefusal(t, err, http.StatusNotFound, "audit-not-found")
	_, err = r.operator.ResumeOrphanAudit(t.Context(), uuid.NewString(), api.OrphanAuditRequest{})
	requireRefusal(t, err, http.StatusNotFound, "audit-not-found")
}

func TestExport_GathersPagesAndIsRecorded(t *testing.T) {
	t.Parallel()
	const user = "auth0|user one"
	r, orders, billing := newRoomWith(t, nil)
	orders.holds(user, "somebody else")
	r.deliver("user.created", map[string]any{"id": user})
	export, err := r.operator.StartExport(t.Context(), user)
	require.NoError(t, err)
	require.Equal(t, "operator", export.RequestedBy)
	require.Len(t, export.Answers, 3)

	rows := map[string]int{}
	for _, a := range export.Answers {
		for cursor := ""; ; {
			page, err := r.operator.ExportPage(t.Context(), export.ID, user, a.Participant, cursor)
			require.NoError(t, err)
			for _, raw := range page.Rows {
				require.NotContains(t, string(raw), "somebody else")
			}
			rows[a.Participant+" "+page.Table] += len(page.Rows)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	require.Equal(t, 1, rows["orders notes"])
	require.Equal(t, 1, rows["orders accounts"])
	require.Equal(t, 1, rows["identity-relay events"])
	require.Zero(t, rows["billing notes"])

	listed, err := r.operator.Exports(t.Context())
	require.NoError(t, err)
	require.Len(t, listed.Exports, 1)
	require.Equal(t, export.UserHash, listed.Exports[0].UserHash)
	for _, a := range listed.Exports[0].Answers {
		require.True(t, a.Complete, a.Participant)
		require.Equal(t, int64(rows[a.Participant+" notes"]+rows[a.Participant+" accounts"]+rows[a.Participant+" events"]), a.Rows, a.Participant)
	}
	require.Zero(t, r.count(`SELECT count(*) FROM exports e WHERE e::text LIKE '%user one%'`))

	_, err = r.operator.ExportPage(t.Context(), export.ID, "somebody else", "orders", "")
	requireRefusal(t, err, http.StatusNotFound, "export-not-found")
	_, err = r.operator.ExportPage(t.Context(), uuid.NewString(), user, "orders", "")
	requireRefusal(t, err, http.StatusNotFound, "export-not-found")
	_, err = r.operator.ExportPage(t.Context(), export.ID, user, "nobody", "")
	requireRefusal(t, err, http.StatusNotFound, "participant-not-found")
	_, err = r.operator.ExportPage(t.Context(), export.ID, user, "orders", "no cursor")
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.StartExport(t.Context(), "")
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = billing.db.Owner.Exec(t.Context(), `DROP TABLE notes`)
	require.NoError(t, err)
	_, err = r.operator.ExportPage(t.Context(), export.ID, user, "billing", "")
	requireRefusal(t, err, http.StatusBadGateway, "participant-unavailable")
}

func (r *room) rekeyingReaches(id, state string) (k api.Rekeying) {
	r.t.Helper()
	r.eventually("the rekeying to be "+state, func() bool {
		var err error
		k, err = r.operator.Rekeying(r.t.Context(), id)
		require.NoError(r.t, err)
		return k.State == state
	})
	return k
}

func TestRekey_FromTheDryRunToTheLastReceipt(t *testing.T) {
	t.Parallel()
	const oldID, newID = "auth0|old one", "oidc|new one"
	r, orders, billing := newRoomWith(t, nil)
	r.idp.Add(newID, false)
	orders.holds(oldID, oldID, newID)
	billing.holds(oldID)
	orders.run()
	r.deliver("user.created", map[string]any{"id": oldID})

	dry, err := r.operator.Rekey(t.Context(), oldID, newID, api.RekeyRequest{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, "dry_run", dry.State)
	require.Len(t, dry.Answers, 3)
	require.False(t, dry.Conflicts)
	require.Equal(t, 2, orders.notes(oldID))
	require.Zero(t, r.count(`SELECT count(*) FROM rekeyings`))
	require.Zero(t, r.count(`SELECT count(*) FROM revocations`))

	opened, err := r.operator.Rekey(t.Context(), oldID, newID, api.RekeyRequest{})
	require.NoError(t, err)
	kv, err := r.mesh.Broker.JetStream.KeyValue(t.Context(), "REVOCATIONS")
	require.NoError(t, err)
	r.eventually("the old ID to be blocked", func() bool {
		_, err := kv.Get(t.Context(), revocation.Key(authn.BlockedUser, authn.NewRevocationKey(authn.BlockedUser, oldID)))
		return err == nil
	})
	r.eventually("all but billing to answer", func() bool {
		opened, err = r.operator.Rekeying(t.Context(), opened.ID)
		return err == nil && len(opened.WaitingFor) == 2
	})
	require.Equal(t, []string{"billing", "identity-relay"}, opened.WaitingFor, "the relay answers last")
	seen := map[string]bool{}
	r.validate(r.mesh.Messages("IDENTITY", "identity.v1.user.rekeyed.>", 1), seen)
	require.True(t, seen[identity.TypeUserRekeyed])
	// The same again is the same, an erasure of the new ID waits, and the identity
	// provider's deletion of the old account erases nothing.
	same, err := r.operator.Rekey(t.Context(), oldID, newID, api.RekeyRequest{})
	require.NoError(t, err)
	require.Equal(t, opened.ID, same.ID)
	r.deliver("user.deleted", map[string]any{"id": oldID})
	r.deliver("user.deleted", map[string]any{"id": newID})
	require.Len(t, r.erasures(api.ErasureFilter{}), 1)
	open, err := r.operator.Rekeyings(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, open.Rekeyings, 1)
	require.Equal(t, 3, orders.notes(newID))

	billing.run()
	done := r.rekeyingReaches(opened.ID, "complete")
	require.Empty(t, done.WaitingFor)
	require.Positive(t, done.MessagesDeleted)
	for i, a := range done.Answers {
		if a.Participant != "identity-relay" { // there the log has grown since
			require.Equal(t, dry.Answers[indexOf(dry, a.Participant)].Columns, a.Columns, "what the dry run said, %d", i)
		}
	}
	r.erasureReaches("complete")
	require.Zero(t, orders.notes(newID), "the erasure found what had been moved")
	for _, id := range []string{oldID, newID} {
		found, err := footprint.InDatabase(t.Context(), r.db.AdminURL, id)
		require.NoError(t, err)
		require.Empty(t, found, id)
		found, err = footprint.InStreams(t.Context(), r.mesh.Broker.JetStream, id)
		require.NoError(t, err)
		require.Empty(t, found, id)
	}
}

func indexOf(k api.Rekeying, name string) int {
	for i, a := range k.Answers {
		if a.Participant == name {
			return i
		}
	}
	return -1
}

func TestRekey_LeavesNoTraceOfTheOldIDAndLateFactsBringNothingBack(t *testing.T) {
	t.Parallel()
	const oldID, newID = "auth0|old two", "oidc|new two"
	r, orders, billing := newRoomWith(t, nil)
	r.idp.Add(newID, false)
	orders.holds(oldID)
	orders.run()
	billing.run()
	r.deliver("user.created", map[string]any{"id": oldID})
	opened, err := r.operator.Rekey(t.Context(), oldID, newID, api.RekeyRequest{})
	require.NoError(t, err)
	done := r.rekeyingReaches(opened.ID, "complete")
	require.Equal(t, 1, orders.notes(newID))
	r.deliver("user.updated", map[string]any{"id": oldID})
	r.deliver("user.deleted", map[string]any{"id": oldID})
	found, err := footprint.InDatabase(t.Context(), r.db.AdminURL, oldID)
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = footprint.InStreams(t.Context(), r.mesh.Broker.JetStream, oldID)
	require.NoError(t, err)
	require.Empty(t, found)
	raw, err := json.Marshal(done)
	require.NoError(t, err)
	require.NotContains(t, string(raw), base64.RawURLEncoding.EncodeToString([]byte(oldID)))

	// A replay of the log neither fails nor rekeys again.
	since := time.Now().Add(-time.Hour)
	replayed, err := r.operator.Replay(t.Context(), api.ReplayRequest{Since: &since})
	require.NoError(t, err)
	require.Zero(t, replayed.Replayed)

	// A hold of the old ID would hold nothing.
	_, err = r.operator.HoldUser(t.Context(), oldID, caseNumber)
	requireRefusal(t, err, http.StatusConflict, "user-rekeyed")

	// billing comes back with an old backup: everybody is asked once more.
	billing.holds(oldID)
	again, err := r.operator.Rekey(t.Context(), oldID, newID, api.RekeyRequest{})
	require.NoError(t, err)
	require.Equal(t, done.ID, again.ID)
	again, err = r.operator.Rekey(t.Context(), oldID, newID, api.RekeyRequest{Again: true})
	require.NoError(t, err)
	require.NotEqual(t, done.ID, again.ID)
	r.rekeyingReaches(again.ID, "complete")
	require.Equal(t, 1, billing.notes(newID))
	require.Zero(t, billing.notes(oldID))
}

func TestRekey_Refusals(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, func(cfg *identityrelay.Config) { cfg.ErasureGrace = 0 })
	orders.run()
	billing.run()
	for _, id := range []string{"a", "b", "c", "gone"} {
		r.idp.Add(id, false)
	}
	rekey := func(oldID, newID string) error {
		_, err := r.operator.Rekey(t.Context(), oldID, newID, api.RekeyRequest{})
		return err
	}
	r.deliver("user.deleted", map[string]any{"id": "gone"})
	r.erasureReaches("complete")
	requireRefusal(t, rekey("a", "gone"), http.StatusConflict, "user-erased")
	requireRefusal(t, rekey("gone", "a"), http.StatusConflict, "user-erased")
	requireRefusal(t, rekey("a", "a"), http.StatusBadRequest, "invalid-request")
	requireRefusal(t, rekey("a", "nobody knows"), http.StatusConflict, "new-user-unknown")
	_, err := r.operator.Rekeying(t.Context(), uuid.NewString())
	requireRefusal(t, err, http.StatusNotFound, "rekeying-not-found")

	orders.stop()
	require.NoError(t, rekey("a", "b"))
	requireRefusal(t, rekey("b", "c"), http.StatusConflict, "user-under-rekeying")
	requireRefusal(t, rekey("c", "a"), http.StatusConflict, "user-under-rekeying")
	_, err = r.operator.HoldUser(t.Context(), "a", caseNumber)
	requireRefusal(t, err, http.StatusConflict, "user-rekeyed")
	_, err = r.operator.HoldUser(t.Context(), "held", caseNumber)
	require.NoError(t, err)
	r.idp.Add("held", false)
	requireRefusal(t, rekey("x", "held"), http.StatusConflict, "user-under-legal-hold")
	r.idp.Add("free", false)
	requireRefusal(t, rekey("held", "free"), http.StatusConflict, "user-under-legal-hold")
	r.deliver("user.deleted", map[string]any{"id": "c"})
	requireRefusal(t, rekey("x", "c"), http.StatusConflict, "user-under-erasure")

	// A conflict that no manifest decides.
	_, err = billing.db.Owner.Exec(t.Context(), `CREATE UNIQUE INDEX one_note ON notes (user_id)`)
	require.NoError(t, err)
	billing.holds("m1", "m2")
	_, err = r.operator.Rekey(t.Context(), "m1", "m2", api.RekeyRequest{AcceptUnknown: true})
	requireRefusal(t, err, http.StatusConflict, "rekey-conflicts")
	dry, err := r.operator.Rekey(t.Context(), "m1", "m2", api.RekeyRequest{DryRun: true})
	require.NoError(t, err)
	require.True(t, dry.Conflicts)

	_, err = billing.db.Owner.Exec(t.Context(), `DROP TABLE notes`)
	require.NoError(t, err)
	_, err = r.operator.Rekey(t.Context(), "m1", "m3", api.RekeyRequest{AcceptUnknown: true})
	requireRefusal(t, err, http.StatusServiceUnavailable, "participant-unavailable")
	r.idpFails(true)
	requireRefusal(t, rekey("y", "z"), http.StatusServiceUnavailable, "identity-provider-unavailable")
}

func TestRekey_ReceiptsThatCannotBeRightAreDeadLetters(t *testing.T) {
	t.Parallel()
	r, _, _ := newRoomWith(t, nil)
	opened, err := r.operator.Rekey(t.Context(), "a", "b", api.RekeyRequest{AcceptUnknown: true})
	require.NoError(t, err)
	receipt := func(change func(*participant.RekeyReceipt)) []byte {
		rc := participant.RekeyReceipt{RekeyID: opened.ID, Participant: "orders", At: time.Now(), Columns: []participant.RekeyedColumn{}}
		change(&rc)
		raw, err := json.Marshal(rc)
		require.NoError(t, err)
		return raw
	}
	poison := []mailbox.Message{
		{Subject: "receipts.v1.orders.rekeyed", Payload: []byte("{")},
		{Subject: "receipts.v1.billing.rekeyed", Payload: receipt(func(*participant.RekeyReceipt) {})},
		{Subject: "receipts.v1.orders.rekeyed", Payload: receipt(func(rc *participant.RekeyReceipt) { rc.RekeyID = uuid.NewString() })},
		{Subject: "receipts.v1.orders.rekeyed", Payload: receipt(func(rc *participant.RekeyReceipt) { rc.RekeyID = "x" })},
		{Subject: "receipts.v1.console.rekeyed", Payload: receipt(func(rc *participant.RekeyReceipt) { rc.Participant = "console" })},
		{Subject: "receipts.v1.orders.rekeyed", Payload: receipt(func(rc *participant.RekeyReceipt) {
			rc.Columns = []participant.RekeyedColumn{{Table: "t", Column: "c", Refused: 1}}
		})},
	}
	for _, m := range poison {
		m.ID = uuid.NewString()
		r.mesh.Publish(m)
	}
	r.mesh.Messages("DEAD_LETTERS", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.RECEIPTS.identity-relay-receipts", len(poison))
	still, err := r.operator.Rekeying(t.Context(), opened.ID)
	require.NoError(t, err)
	require.Len(t, still.WaitingFor, 3)
}
