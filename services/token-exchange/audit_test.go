package tokenexchange_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func TestAudit_CanBeAsked(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, admin := t.Context(), w.admin(t)
	token := w.send(w.As("orders"), exchange(w.User("user/with ümlaut"), "audience", "billing")).token(t)
	w.send(w.As("orders"), exchange(w.User("user/with ümlaut"), "audience", "console")).refused(t, 400, "invalid_target")
	w.send(w.As("billing"), credentials("audience", "orders")).token(t)
	w.send(basic("orders", "nonsense"), credentials()).refused(t, 401, "invalid_client")
	w.audited(t, "client_id = 'billing'")
	w.counted(t, "reason = 'malformed_key'")
	list := func(q api.AuditQuery) []api.Exchange {
		got, err := admin.Exchanges(ctx, q)
		require.NoError(t, err)
		return got.Exchanges
	}
	sum := sha256.Sum256([]byte(token))
	found := list(api.AuditQuery{Token: hex.EncodeToString(sum[:])})
	require.Len(t, found, 1, "which exchange made this token")
	e := found[0]
	require.True(t, e.Granted)
	require.Equal(t, "orders", e.ClientID)
	require.Equal(t, api.EncodeUserID("user/with ümlaut"), e.UserID)
	require.Equal(t, []string{"billing"}, e.Audience)
	require.Equal(t, "127.0.0.1", e.Address)
	require.NotEmpty(t, e.SubjectTokenSHA256)
	require.Len(t, list(api.AuditQuery{UserID: "user/with ümlaut"}), 2)
	no := false
	refused := list(api.AuditQuery{UserID: "user/with ümlaut", Granted: &no})
	require.Len(t, refused, 1)
	require.Equal(t, "audience_not_allowed", refused[0].Reason)
	require.Empty(t, list(api.AuditQuery{ClientID: "orders", Until: time.Now().Add(-time.Hour)}))
	require.NotEmpty(t, list(api.AuditQuery{ClientID: "orders", Since: time.Now().Add(-time.Hour), KeyID: e.KeyID, Address: "127.0.0.1"}))

	page, err := admin.Exchanges(ctx, api.AuditQuery{Limit: 1})
	require.NoError(t, err)
	require.Len(t, page.Exchanges, 1)
	older := list(api.AuditQuery{Limit: 1, Before: page.Next})
	require.Less(t, older[0].ID, page.Exchanges[0].ID)

	refusals, err := admin.Refusals(ctx, api.AuditQuery{Reason: "malformed_key"})
	require.NoError(t, err)
	require.Len(t, refusals.Refusals, 1)
	require.EqualValues(t, 1, refusals.Refusals[0].Count)

	for _, bad := range []string{"?clientid=orders", "?limit=0", "?limit=1001", "?since=yesterday", "?granted=maybe", "?token_sha256=xyz", "?user_id=%21", "?before=x", "?limit=1&limit=2"} {
		token := w.send(w.As("operator"), credentials()).token(t)
		require.Equal(t, 400, w.get(t, "/v1/audit/exchanges"+bad, "Authorization", "Bearer "+token).status, bad)
	}
}

func TestAudit_WhoMayAsk(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, admin := t.Context(), w.admin(t)
	_, err := admin.CreateClient(ctx, api.ClientSpec{ID: "auditor", Audiences: map[string]api.Audience{"token-exchange": {Scopes: []string{api.AuditScope}}}})
	require.NoError(t, err)
	key, err := admin.CreateKey(ctx, "auditor", api.NewKey{})
	require.NoError(t, err)
	auditor := w.adminAs(t, w.send(basic("auditor", key.Secret), credentials()).token(t))
	_, err = auditor.Exchanges(ctx, api.AuditQuery{})
	require.NoError(t, err)
	_, err = auditor.Changes(ctx, api.AuditQuery{})
	require.NoError(t, err)
	_, err = auditor.Clients(ctx)
	requireCode(t, err, 403, "")
	other := w.adminAs(t, w.send(w.As("identity-relay"), credentials()).token(t))
	_, err = other.Exchanges(ctx, api.AuditQuery{})
	requireCode(t, err, 403, "")
	_, err = other.Refusals(ctx, api.AuditQuery{})
	requireCode(t, err, 403, "")
	_, err = w.adminAs(t, "").Changes(ctx, api.AuditQuery{})
	requireCode(t, err, 401, "")
}

// TestAudit_NeverASecret looks for keys and tokens in every row there is.
func TestAudit_NeverASecret(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	token := w.send(w.As("orders"), exchange(w.User("u1"), "audience", "billing")).token(t)
	w.send(basic(w.Keys["orders"], w.Keys["orders"]), credentials()).refused(t, 401, "invalid_client")
	w.send(w.As("orders"), credentials("scope", w.Keys["orders"])).refused(t, 400, "invalid_scope")
	w.send(w.As("orders"), credentials("audience", token)).refused(t, 400, "invalid_target")
	w.audited(t, "reason = 'audience_not_allowed'")
	secret := strings.Split(w.Keys["orders"], "_")[3]
	for _, table := range []string{"audit", "audit_refusals", "changes"} {
		rows, err := w.Database.Owner.Query(ctx, "SELECT r::text FROM "+table+" r")
		require.NoError(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		for _, row := range all {
			require.NotContains(t, row, secret)
			require.NotContains(t, row, "eyJ")
		}
	}
}

func TestAudit_StrictHandsOutNothingUnrecorded(t *testing.T) {
	t.Parallel()
	w := start(t, with(func(c *tokenexchange.Config) { c.Audit = tokenexchange.AuditStrict }))
	ctx := t.Context()
	for range 5 {
		token := w.send(w.As("orders"), credentials()).token(t)
		var n int
		require.NoError(t, w.Database.Owner.QueryRow(ctx, "SELECT count(*) FROM audit WHERE token_hash = sha256($1::bytea)", []byte(token)).Scan(&n))
		require.Equal(t, 1, n, "the record is there before the token is")
	}
	_, err := w.Database.Owner.Exec(ctx, "ALTER TABLE audit RENAME TO audit_away")
	require.NoError(t, err)
	a := w.send(w.As("orders"), credentials())
	a.refused(t, 503, "temporarily_unavailable")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	_, err = w.Database.Owner.Exec(ctx, "ALTER TABLE audit_away RENAME TO audit")
	require.NoError(t, err)
	w.audited(t, "reason = 'audit_unavailable' AND NOT granted AND token_hash IS NULL")
	require.Eventually(t, func() bool { return w.send(w.As("orders"), credentials()).status == 200 }, meshtest.Within, meshtest.Every)
}

func TestAudit_Retention(t *testing.T) {
	t.Parallel()
	w := start(t, with(func(c *tokenexchange.Config) { c.AuditRetention = 24 * time.Hour }))
	ctx := t.Context()
	w.service.Stop()
	_, err := w.Database.Owner.Exec(ctx, `INSERT INTO audit (at, grant_type, granted, client_id)
		SELECT now() - interval '25 hours', 'client_credentials', true, 'old' FROM generate_series(1, 12000)`)
	require.NoError(t, err)
	_, err = w.Database.Owner.Exec(ctx, `INSERT INTO audit (at, grant_type, granted, client_id) VALUES (now() - interval '23 hours', 'client_credentials', true, 'young')`)
	require.NoError(t, err)
	_, err = w.Database.Owner.Exec(ctx, `INSERT INTO audit_refusals (minute, address, reason, count) VALUES (now() - interval '25 hours', '', 'old', 1)`)
	require.NoError(t, err)
	w.run()
	require.Eventually(t, func() bool {
		var n int
		err := w.Database.Owner.QueryRow(context.Background(), `SELECT (SELECT count(*) FROM audit WHERE client_id = 'old') + (SELECT count(*) FROM audit_refusals WHERE reason = 'old')`).Scan(&n)
		return err == nil && n == 0
	}, meshtest.Within, meshtest.Every)
	w.audited(t, "client_id = 'young'")
}
