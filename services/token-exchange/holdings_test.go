package tokenexchange_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/holdings/holdingstest"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/identity"
)

func TestHoldings_TheAuditMovesGrantsDoNotAndTheOldIDBuysNothing(t *testing.T) {
	t.Parallel()
	w := start(t, observed)
	w.send(w.As("console"), frontDoor(w.idTokenOf("u-old"))).token(t)
	w.publish(identity.TypeAccessChanged, "u-old", 1, map[string]any{"entity_type": "client_shop:order", "relation": "viewer", "change": "granted"})
	w.audited(t, "user_id = $1", "u-old")
	require.Eventually(t, func() bool {
		var n int
		return w.Database.Owner.QueryRow(t.Context(), "SELECT count(*) FROM user_grants").Scan(&n) == nil && n == 1
	}, meshtest.Within, meshtest.Every)
	told := holdingstest.Tell(t, holdingstest.Service{URL: w.Issuer, UserID: "u-old", Token: func(client, scope string) string {
		return w.send(w.As(client), credentials("scope", scope)).token(t)
	}})
	require.NotEmpty(t, told.Tables["audit"])
	require.NotContains(t, told.Tables["audit"][0], "token_hash")
	require.Len(t, told.Tables["user_grants"], 1)

	receipt := w.Rekey("u-old", "u-new", "token-exchange")
	require.Equal(t, told.Preview.Columns, receipt.Columns)
	w.becomes(t, "u-old", http.StatusBadRequest)
	w.becomes(t, "u-new", http.StatusOK)
	w.audited(t, "user_id = $1", "u-new")
	require.Equal(t, []string{"u-new"}, w.userIDs(t))
	require.NotContains(t, w.dump(t), "u-old")
}
