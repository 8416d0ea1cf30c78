package tokenexchange_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// TestCredentials_A7 has one body for every reason, and the audit has the reason.
func TestCredentials_A7(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	admin := w.admin(t)
	unknown, err := api.GenerateKey("test")
	require.NoError(t, err)
	soon := time.Now().Add(300 * time.Millisecond)
	expired, err := admin.CreateKey(ctx, "orders", api.NewKey{ExpiresAt: &soon})
	require.NoError(t, err)
	revoked, err := admin.CreateKey(ctx, "orders", api.NewKey{})
	require.NoError(t, err)
	require.NoError(t, admin.RevokeKey(ctx, "orders", revoked.ID))
	yes, reason := true, "leaked"
	blocked, err := admin.CreateKey(ctx, "many", api.NewKey{})
	require.NoError(t, err)
	_, err = admin.ChangeClient(ctx, "many", api.ClientPatch{Blocked: &yes, BlockReason: &reason})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return w.send(basic("orders", expired.Secret), credentials()).status == 401 }, meshtest.Within, meshtest.Every)

	// A secret of the right form under a known ID, with a right checksum.
	forged := reseal(t, w.Keys["orders"], unknown.Reveal())
	for reason, credential := range map[string][2]string{
		"unknown_key":    {"orders", unknown.Reveal()},
		"wrong_secret":   {"orders", forged},
		"wrong_client":   {"billing", w.Keys["orders"]},
		"key_revoked":    {"orders", revoked.Secret},
		"key_expired":    {"orders", expired.Secret},
		"client_blocked": {"many", blocked.Secret},
		"malformed_key":  {"orders", "secret"},
		"no_credential":  {"orders", ""},
	} {
		a := w.send(basic(credential[0], credential[1]), credentials())
		a.refused(t, 401, "invalid_client")
		require.Equal(t, `{"error":"invalid_client","error_description":"Client authentication failed."}`+"\n", a.raw, reason) //nolint:testifylint // not a byte may tell reasons apart
		b := w.auther(http.MethodPost, `{"apiKey":"`+credential[1]+`"}`, nil)
		if credential[1] != "" && reason != "wrong_client" {
			require.Equal(t, 401, b.status, reason)
			require.JSONEq(t, `{"error":"invalid_api_key","message":"The provided API key is invalid or expired"}`, b.raw)
		}
		if reason == "malformed_key" || reason == "no_credential" {
			w.counted(t, "reason = $1 AND address = '127.0.0.1' AND key_id = ''", reason)
			continue
		}
		w.audited(t, "reason = $1 AND key_id <> ''", reason)
	}
	no := false
	_, err = admin.ChangeClient(ctx, "many", api.ClientPatch{Blocked: &no})
	require.NoError(t, err)
	w.send(basic("many", blocked.Secret), credentials()).token(t)
}

// audited waits for a record and returns how many there are.
func (w *world) audited(t *testing.T, where string, args ...any) int {
	t.Helper()
	var n int
	require.Eventually(t, func() bool {
		return w.Database.Owner.QueryRow(context.Background(), "SELECT count(*) FROM audit WHERE "+where, args...).Scan(&n) == nil && n > 0
	}, meshtest.Within, meshtest.Every, "no audit record")
	return n
}

// counted waits until the refusals add up to something and returns it.
func (w *world) counted(t *testing.T, where string, args ...any) int {
	t.Helper()
	var n int
	require.Eventually(t, func() bool {
		return w.Database.Owner.QueryRow(context.Background(), "SELECT coalesce(sum(count), 0) FROM audit_refusals WHERE "+where, args...).Scan(&n) == nil && n > 0
	}, meshtest.Within, meshtest.Every, "no count of refusals")
	return n
}

// TestCredentials_H1 shows that a malformed key costs no database call: the
// answer is the same with the database gone.
func TestCredentials_H1(t *testing.T) {
	t.Parallel()
	w := start(t)
	good := w.Keys["orders"]
	w.lockTables(t, "api_keys")
	w.send(basic("orders", good[:len(good)-1]+"!"), credentials()).refused(t, 401, "invalid_client")
	w.send(basic("orders", "sl_test_x_y_z"), credentials()).refused(t, 401, "invalid_client")
}

// lockTables makes every query of the tables wait.
func (w *world) lockTables(t *testing.T, tables string) {
	t.Helper()
	tx, err := w.Database.Owner.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), "LOCK TABLE "+tables+" IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
}

func TestAudit_OneRecordPerAttempt(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.send(w.As("orders"), exchange(w.User("u-audited"), "audience", "billing")).token(t)
	w.audited(t, `granted AND user_id = 'u-audited' AND client_id = 'orders' AND audience = '{billing}' AND scope = $1
		AND token_hash = sha256($2::bytea) AND subject_token_hash IS NOT NULL AND address = '127.0.0.1' AND token_id <> '' AND key_id <> ''`, createInvoices, []byte(token))
	w.send(w.As("orders"), exchange(w.User("u-audited"), "audience", "console")).refused(t, 400, "invalid_target")
	w.audited(t, `NOT granted AND reason = 'audience_not_allowed' AND user_id = 'u-audited' AND token_hash IS NULL`)
	w.send(nil, pairs("grant_type", "\x00\xff")).refused(t, 400, "unsupported_grant_type")
	w.counted(t, `reason = 'unsupported_grant_type'`)
	w.send(w.As("orders"), credentials("scope", "\x00\xff"+"a")).refused(t, 400, "invalid_scope")
	w.audited(t, `reason = 'scope_not_allowed'`)
	require.Eventually(t, func() bool {
		keys, err := w.admin(t).Keys(t.Context(), "orders")
		return err == nil && len(keys) == 1 && keys[0].LastUsedAt != nil
	}, meshtest.Within, meshtest.Every, "last use")
}
