package tokenexchange_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// publish sends an identity event as the relay does.
func (w *world) publish(typ, user string, version uint64, data map[string]any) {
	w.t.Helper()
	e := identity.Event{ID: uuid.NewString(), Source: "urn:test", Type: typ, Version: version, Time: time.Now(), UserID: user}
	if strings.HasPrefix(typ, "erasure.") {
		e.ErasureID = uuid.NewString()
	}
	if data != nil {
		raw, err := json.Marshal(data)
		require.NoError(w.t, err)
		e.Data = raw
	}
	raw, err := identity.Encode(e)
	require.NoError(w.t, err)
	_, err = w.Broker.JetStream.Publish(w.t.Context(), identity.Subject(e), raw, jetstream.WithMsgID(e.ID))
	require.NoError(w.t, err)
}

// becomes waits until the front door answers a user's id_token with the status.
func (w *world) becomes(t *testing.T, user string, status int) {
	t.Helper()
	require.Eventually(t, func() bool { return w.send(w.As("console"), frontDoor(w.idTokenOf(user))).status == status },
		meshtest.Within, meshtest.Every)
}

func TestBlocks_AnOldIDTokenBuysNothing(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	const user = "auth0|blocked user"
	old := w.idTokenOf(user)
	mesh := w.send(w.As("console"), frontDoor(old)).token(t)

	w.publish(identity.TypeUserBanned, user, 10, nil)
	w.becomes(t, user, 400)
	w.send(w.As("console"), frontDoor(old)).refused(t, 400, "invalid_request")
	w.send(w.As("orders"), exchange(mesh)).refused(t, 400, "invalid_request")
	w.audited(t, "reason = 'user_blocked'")

	w.publish(identity.TypeUserUnbanned, user, 9, nil) // came late, happened before
	w.publish(identity.TypeUserDeleted, user, 11, nil)
	w.publish(identity.TypeUserUnbanned, user, 12, nil)
	w.applied(t, "banned", true)
	w.send(w.As("console"), frontDoor(old)).refused(t, 400, "invalid_request")
	w.publish(identity.TypeErasureReadmitted, user, 13, nil)
	w.becomes(t, user, 200)

	var rows string
	require.NoError(t, w.Database.Owner.QueryRow(t.Context(), "SELECT string_agg(blocks::text, ' ') FROM blocks").Scan(&rows))
	require.NotContains(t, rows, "blocked", "a block names nobody")
}

// applied waits for the state of the one block of a kind.
func (w *world) applied(t *testing.T, kind string, lifted bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		var got bool
		return w.Database.Owner.QueryRow(context.Background(), "SELECT lifted FROM blocks WHERE kind = $1", kind).Scan(&got) == nil && got == lifted
	}, meshtest.Within, meshtest.Every)
}

func TestPermissions_FollowTheProvidersGrants(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	change := func(version uint64, kind, entity string) {
		w.publish(identity.TypeAccessChanged, "u1", version, map[string]any{
			"entity_type": "client_shop:invoice", "entity_id": entity, "relation": "staff", "change": kind,
		})
	}
	can := func(entity, permission string) authn.Decision {
		return w.verify(w.send(w.As("console"), frontDoor(w.idTokenOf("u1"))).token(t), "billing").Can("invoice", entity, permission)
	}
	eventually := func(entity, permission string, want authn.Decision) {
		t.Helper()
		require.Eventually(t, func() bool { return can(entity, permission) == want }, meshtest.Within, meshtest.Every)
	}
	require.Equal(t, authn.Deny, can("", "refund_any"))
	change(5, "granted", "*")
	eventually("", "refund_any", authn.Allow)
	change(6, "condition_updated", "*")
	eventually("", "refund_any", authn.Ask)
	change(7, "revoked", "*")
	eventually("", "refund_any", authn.Deny)
	change(4, "granted", "*") // late
	change(8, "granted", "i-7")
	eventually("i-7", "refund_any", authn.Allow)
	require.Equal(t, authn.Deny, can("", "refund_any"))
	w.publish(identity.TypeAccessChanged, "u1", 9, nil) // of a group: nothing to project
	w.publish(identity.TypeAccessChanged, "u1", 10, map[string]any{"entity_type": "a", "relation": "b", "change": "of a later version"})
	w.publish(identity.TypeAccessChanged, "u1", 11, map[string]any{"entity_type": "client_shop:order", "relation": "viewer", "change": "granted"})
	require.Eventually(t, func() bool {
		return w.verify(w.send(w.As("console"), frontDoor(w.idTokenOf("u1"))).token(t), "orders").Can("order", "", "viewer") == authn.Allow
	}, meshtest.Within, meshtest.Every)
}

func TestErasure_LeavesNoTraceOfTheUser(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	ctx := t.Context()
	for _, user := range []string{"u-gone", "u-stays"} {
		w.send(w.As("console"), frontDoor(w.idTokenOf(user))).token(t)
		w.publish(identity.TypeAccessChanged, user, 1, map[string]any{"entity_type": "client_shop:order", "relation": "viewer", "change": "granted"})
		w.audited(t, "user_id = $1", user)
	}
	require.Eventually(t, func() bool {
		var n int
		return w.Database.Owner.QueryRow(ctx, "SELECT count(*) FROM user_grants").Scan(&n) == nil && n == 2
	}, meshtest.Within, meshtest.Every)
	require.ElementsMatch(t, []string{"u-gone", "u-stays"}, w.userIDs(t))

	w.publish(identity.TypeUserDeleted, "u-gone", 2, nil)
	w.publish(identity.TypeErasureRequested, "u-gone", 3, nil)
	receipts, err := w.Broker.JetStream.Stream(ctx, streams.Receipts)
	require.NoError(t, err)
	var receipt participant.Receipt
	require.Eventually(t, func() bool {
		m, err := receipts.GetLastMsgForSubject(ctx, "receipts.v1.token-exchange")
		return err == nil && json.Unmarshal(m.Data, &receipt) == nil
	}, meshtest.Within, meshtest.Every)
	require.Len(t, receipt.Columns, 2)
	for _, column := range receipt.Columns {
		require.Equal(t, participant.Erase, column.Disposition)
		require.Positive(t, column.Rows, column.Table)
		require.Zero(t, column.Remaining, column.Table)
	}
	require.Equal(t, []string{"u-stays"}, w.userIDs(t))

	// What comes late brings nothing back: not an attempt, not an event.
	w.becomes(t, "u-gone", 400)
	w.publish(identity.TypeAccessChanged, "u-gone", 4, map[string]any{"entity_type": "client_shop:order", "relation": "late", "change": "granted"})
	w.publish(identity.TypeAccessChanged, "u-stays", 5, map[string]any{"entity_type": "client_shop:order", "relation": "late", "change": "granted"})
	require.Eventually(t, func() bool {
		var n int
		return w.Database.Owner.QueryRow(ctx, "SELECT count(*) FROM user_grants WHERE relation = 'late'").Scan(&n) == nil && n == 1
	}, meshtest.Within, meshtest.Every)
	w.audited(t, "reason = 'user_blocked' AND user_id IS NULL")
	require.NotContains(t, w.dump(t), "u-gone")
}

func TestManifest_FitsTheDatabase(t *testing.T) {
	t.Parallel()
	w := start(t)
	m, err := tokenexchange.Manifest()
	require.NoError(t, err)
	require.NoError(t, m.Validate(t.Context(), w.Database.Owner))
}

func (w *world) userIDs(t *testing.T) []string {
	t.Helper()
	token := w.send(w.As("identity-relay"), credentials()).token(t)
	client := &http.Client{Transport: bearer{token, openapitest.Load(t, "openapi.yaml").Client(t).Transport}}
	resp, err := client.Get(w.Issuer + "/v1/identity/user-ids") //nolint:noctx // a test's request
	require.NoError(t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, string(raw))
	var page struct {
		UserIDs []string `json:"user_ids"`
	}
	require.NoError(t, json.Unmarshal(raw, &page))
	for i, id := range page.UserIDs {
		decoded, err := base64.RawURLEncoding.DecodeString(id)
		require.NoError(t, err)
		page.UserIDs[i] = string(decoded)
	}
	return page.UserIDs
}

// dump is every row of every table as text.
func (w *world) dump(t *testing.T) string {
	t.Helper()
	rows, err := w.Database.Owner.Query(t.Context(), `SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'`)
	require.NoError(t, err)
	var tables []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, tables)
	var all strings.Builder
	for _, table := range tables {
		var text *string
		require.NoError(t, w.Database.Owner.QueryRow(t.Context(), "SELECT string_agg(r::text, E'\\n') FROM "+table+" r").Scan(&text))
		if text != nil {
			all.WriteString(*text)
		}
	}
	return all.String()
}
