package identityrelay_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestDocument_HasTheRoutesOfTheAccessTable(t *testing.T) {
	t.Parallel()
	openapitest.Load(t, "openapi.yaml").RequireRoutes(t, identityrelay.Access)
}

func TestManifest_FitsTheDatabaseAndNamesEveryUserColumn(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	manifest, err := identityrelay.Manifest()
	require.NoError(t, err)
	require.NoError(t, manifest.Validate(t.Context(), db.Pool))
	declared := map[string]bool{}
	for _, table := range manifest.Tables {
		for _, c := range table.Columns {
			declared[table.Name+"."+c.Name] = true
		}
	}
	rows, err := db.Owner.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND (column_name LIKE '%user_id%' OR column_name LIKE '%session_id%')`)
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var column string
		require.NoError(t, rows.Scan(&column))
		require.True(t, declared[column], "%s is not in manifest.yaml", column)
		n++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, 8, n)
}

func TestConfig_EachUserListWantsItsOwn(t *testing.T) {
	t.Parallel()
	faults := func(environ ...string) string {
		_, err := config.Load[identityrelay.Config](identityrelay.Prefix, environ)
		require.Error(t, err)
		return err.Error()
	}
	text := faults("IDENTITY_RELAY_USER_LIST=scim", "IDENTITY_RELAY_SCIM_USER_ID=email", "IDENTITY_RELAY_TRANSMITTERS_FILE=/nowhere")
	for _, fault := range []string{
		"IDENTITY_RELAY_SCIM_URL is required", "IDENTITY_RELAY_SCIM_BEARER_FILE is required",
		`IDENTITY_RELAY_SCIM_USER_ID ("email") must be one of id, externalId, userName`, "IDENTITY_RELAY_TRANSMITTERS_FILE",
	} {
		require.Contains(t, text, fault)
	}
	require.NotContains(t, text, "IDENTITY_RELAY_IDP_URL")
	require.NotContains(t, text, "IDENTITY_RELAY_WEBHOOK_SECRETS_FILE")
	require.Contains(t, faults("IDENTITY_RELAY_USER_LIST=ldap"), `IDENTITY_RELAY_USER_LIST ("ldap") must be auther or scim`)
}

func TestConfig_ReportsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load[identityrelay.Config](identityrelay.Prefix, []string{
		"IDENTITY_RELAY_WEBHOOK_MAX_AGE=200h", "IDENTITY_RELAY_EVENT_RETENTION=1h", "IDENTITY_RELAY_IDP_URL=nowhere",
		"IDENTITY_RELAY_ERASURES_PER_HOUR=0", "IDENTITY_RELAY_RECONCILE_GRACE=0s", "IDENTITY_RELAY_RECONCILE_SHRINK_FRACTION=2",
		"IDENTITY_RELAY_RECONCILE_SHRINK_FLOOR=-1", "IDENTITY_RELAY_ERASURE_GRACE=-1s", "IDENTITY_RELAY_RECONCILE_INTERVAL=-1s",
		"IDENTITY_RELAY_IDP_REQUESTS_PER_SECOND=0", "IDENTITY_RELAY_ERASURE_DEADLINE=0s", "IDENTITY_RELAY_UNKNOWN=1",
		"IDENTITY_RELAY_PARTICIPANTS=orders,identity-relay=http://x,billing=http://x@soon,Console=http://x,a=ftp://x,b=http://x,b=http://y",
	})
	for _, fault := range []string{
		"IDENTITY_RELAY_DELIVERY_RETENTION (168h0m0s) must exceed", "IDENTITY_RELAY_EVENT_RETENTION (1h0m0s)", `IDENTITY_RELAY_IDP_URL ("nowhere")`,
		"IDENTITY_RELAY_ERASURES_PER_HOUR", "IDENTITY_RELAY_RECONCILE_GRACE", "IDENTITY_RELAY_RECONCILE_SHRINK_FRACTION",
		"IDENTITY_RELAY_RECONCILE_SHRINK_FLOOR", "IDENTITY_RELAY_ERASURE_GRACE", "IDENTITY_RELAY_RECONCILE_INTERVAL",
		"IDENTITY_RELAY_IDP_REQUESTS_PER_SECOND", "IDENTITY_RELAY_ERASURE_DEADLINE", "IDENTITY_RELAY_UNKNOWN is not a known variable",
		`"orders": must be name=base URL`, "identity-relay is listed twice, or is the relay itself", `"billing=http://x@soon"`,
		`"Console=http://x"`, `"a=ftp://x": must have an http or https URL`, "b is listed twice",
		"IDENTITY_RELAY_WEBHOOK_SECRETS_FILE is required", "IDENTITY_RELAY_IDP_CREDENTIAL_FILE is required", "API_KEY_FILE is required",
	} {
		require.ErrorContains(t, err, fault)
	}
}

func TestOperator_RoutesAdmitTheOperatorAlone(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	ctx := t.Context()
	for name, client := range map[string]*api.Client{
		"another client": r.client("orders", api.Scope), "without the scope": r.client("operator", "identity:user-ids"),
	} {
		_, err := client.Erasures(ctx, api.ErasureFilter{})
		requireForbidden(t, err, name)
		_, err = client.Erasure(ctx, uuid.NewString())
		requireForbidden(t, err, name)
		_, err = client.ReleaseErasure(ctx, uuid.NewString())
		requireForbidden(t, err, name)
		_, err = client.HoldErasure(ctx, uuid.NewString(), "file 7")
		requireForbidden(t, err, name)
		_, err = client.RetryErasure(ctx, uuid.NewString())
		requireForbidden(t, err, name)
		_, err = client.Readmit(ctx, uuid.NewString(), "u1", "file 7")
		requireForbidden(t, err, name)
		_, err = client.HoldUser(ctx, "u1", "file 7")
		requireForbidden(t, err, name)
		_, err = client.LegalHolds(ctx, "")
		requireForbidden(t, err, name)
		_, err = client.LiftHold(ctx, uuid.NewString())
		requireForbidden(t, err, name)
		_, err = client.Revoke(ctx, api.KindBlock, "u1")
		requireForbidden(t, err, name)
		_, err = client.Lift(ctx, api.KindBlock, "u1")
		requireForbidden(t, err, name)
		_, err = client.RebuildRevocations(ctx)
		requireForbidden(t, err, name)
		_, err = client.Reconcile(ctx, api.ReconcileRequest{})
		requireForbidden(t, err, name)
		_, err = client.Reconciliation(ctx, uuid.NewString())
		requireForbidden(t, err, name)
		_, err = client.Events(ctx, api.EventFilter{})
		requireForbidden(t, err, name)
		_, err = client.Replay(ctx, api.ReplayRequest{After: 1})
		requireForbidden(t, err, name)
		_, err = client.Sources(ctx)
		requireForbidden(t, err, name)
	}
	for _, route := range identityrelay.Access.Routes {
		if route.IsPublic() {
			continue
		}
		method, path, _ := strings.Cut(route.Pattern, " ")
		req, err := http.NewRequestWithContext(ctx, method, r.service.URL+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, route.Pattern)
		require.NotEmpty(t, resp.Header.Get("WWW-Authenticate"), route.Pattern)
	}
}

func requireForbidden(t *testing.T, err error, who string) {
	t.Helper()
	var refused *api.Error
	require.ErrorAs(t, err, &refused, who)
	require.Equal(t, http.StatusForbidden, refused.Status, who)
}

func TestOperator_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	ctx := t.Context()
	_, err := r.operator.Revoke(ctx, "everything", "u1")
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.Revoke(ctx, api.KindUser, "")
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.Lift(ctx, api.KindBlock, "nobody")
	requireRefusal(t, err, http.StatusNotFound, "not-revoked")
	_, err = r.operator.Erasures(ctx, api.ErasureFilter{State: "lost"})
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.Erasures(ctx, api.ErasureFilter{After: "x"})
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.Erasures(ctx, api.ErasureFilter{User: strings.Repeat("x", 256)})
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.Events(ctx, api.EventFilter{Limit: 501})
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	_, err = r.operator.Events(ctx, api.EventFilter{After: -1, Limit: 1})
	requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	for _, request := range []api.ReplayRequest{{}, {Type: "user.created"}, {ID: "x"}, {After: 1, Limit: 501}, {After: 1, Limit: -1}} {
		_, err = r.operator.Replay(ctx, request)
		requireRefusal(t, err, http.StatusBadRequest, "invalid-request")
	}
	_, err = r.operator.Reconciliation(ctx, uuid.NewString())
	requireRefusal(t, err, http.StatusNotFound, "reconciliation-not-found")
	_, err = r.operator.Erasure(ctx, "x")
	requireRefusal(t, err, http.StatusNotFound, "not-found")
}

func TestOperator_RevokesAndLifts(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	ctx := t.Context()
	kv, err := r.mesh.Broker.JetStream.KeyValue(ctx, streams.Revocations)
	require.NoError(t, err)
	value := func(kind authn.RevocationKind, id string) string {
		entry, err := kv.Get(ctx, revocation.Key(kind, authn.NewRevocationKey(kind, id)))
		if err != nil {
			return ""
		}
		return string(entry.Value())
	}
	for name, kind := range map[string]authn.RevocationKind{
		api.KindUser: authn.RevokedUser, api.KindSession: authn.RevokedSession, api.KindToken: authn.RevokedToken,
		api.KindClient: authn.RevokedClient, api.KindBlock: authn.BlockedUser,
	} {
		id := "auth0|" + name
		stored, err := r.operator.Revoke(ctx, name, id)
		require.NoError(t, err)
		require.True(t, stored.Changed, name)
		require.Eventually(t, func() bool { return value(kind, id) != "" }, within, every, name)
		require.NotContains(t, value(kind, id), `"lifted":true`)
		_, err = r.operator.Lift(ctx, name, id)
		require.NoError(t, err, name)
		require.Eventually(t, func() bool { return strings.Contains(value(kind, id), `"lifted":true`) }, within, every, name)
	}
	again, err := r.operator.Revoke(ctx, api.KindBlock, "u1")
	require.NoError(t, err)
	require.True(t, again.Changed)
	again, err = r.operator.Revoke(ctx, api.KindBlock, "u1")
	require.NoError(t, err)
	require.False(t, again.Changed)
}

func TestOperator_LiftsNoBlockOfADeletedUser(t *testing.T) {
	t.Parallel()
	r, _, _ := newRoomWith(t, grace(time.Hour))
	r.deliver("user.deleted", map[string]any{"id": "u1"})
	require.True(t, r.blocked("u1"))
	_, err := r.operator.Lift(t.Context(), api.KindBlock, "u1")
	requireRefusal(t, err, http.StatusNotFound, "not-revoked")
	_, err = r.operator.Revoke(t.Context(), api.KindBlock, "u1")
	require.NoError(t, err)
	_, err = r.operator.Lift(t.Context(), api.KindBlock, "u1")
	require.NoError(t, err, "the operator's own cause")
	require.True(t, r.blocked("u1"))
	_, err = r.operator.Readmit(t.Context(), r.erasures(api.ErasureFilter{})[0].ID, "u1", "file 7")
	require.NoError(t, err)
	require.False(t, r.blocked("u1"))
}

// Another replica is at it.
func TestReconciliation_OneAtATime(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	other, err := r.db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer other.Release()
	_, err = other.Exec(t.Context(), `SELECT pg_advisory_lock(hashtextextended('identity-relay reconciliation', 0))`)
	require.NoError(t, err)
	_, err = r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	requireRefusal(t, err, http.StatusConflict, "reconciliation-in-progress")
	_, err = other.Exec(t.Context(), `SELECT pg_advisory_unlock_all()`)
	require.NoError(t, err)
}

func TestReconciliation_FindsWhatNobodyTold(t *testing.T) {
	t.Parallel()
	r, orders, billing := newRoomWith(t, nil)
	r.idp.Add("alive", false)
	r.idp.Add("banned", true)
	orders.holds("alive", "gone")
	billing.holds("alive", "banned")
	orders.run()
	billing.run()
	result, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Equal(t, "finished", result.State, result.Problem)
	require.Equal(t, 1, result.Deleted)
	require.Equal(t, 1, result.Banned)
	require.Equal(t, 3, result.Held)
	for _, p := range result.Participants {
		require.Empty(t, p.Problem, p.Name)
	}
	r.erasureReaches("complete")
	require.Zero(t, orders.notes("gone"))
	require.Equal(t, 1, orders.notes("alive"))
	stored, err := r.operator.Reconciliation(t.Context(), result.ID)
	require.NoError(t, err)
	require.Equal(t, result.Deleted, stored.Deleted)

	second, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Zero(t, second.Deleted, "what was erased does not come again")
	require.Zero(t, second.Missing)
}

func TestRun_LosesNothingWhileNATSIsDown(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.mesh.Broker.Stop()
	r.deliver("session.deleted", map[string]any{"id": "s1", "userId": "u1"})
	require.Equal(t, 1, r.count(`SELECT count(*) FROM events WHERE stream_sequence IS NULL`))
	r.mesh.Broker.Start()
	require.Eventually(t, func() bool {
		return r.count(`SELECT count(*) FROM events WHERE stream_sequence IS NOT NULL`) == 1 &&
			r.count(`SELECT count(*) FROM revocations WHERE NOT pending`) == 1
	}, 2*within, every)
}

func TestReadme_NamesNoVariableThatDoesNotExist(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	known := map[string]bool{}
	for _, v := range config.Variables[identityrelay.Config]() {
		known[v.Name] = true
	}
	for _, word := range regexp.MustCompile(identityrelay.Prefix+`[A-Z_]+`).FindAllString(string(raw), -1) {
		require.True(t, known[word], word)
	}
}
