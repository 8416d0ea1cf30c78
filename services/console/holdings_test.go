package console_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/holdings/holdingstest"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

func TestHoldings_TellSessionsWithoutTheirTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.browser().signIn()
	issuer := w.mesh.Exchange.Issuer()
	told := holdingstest.Check(t, holdingstest.Service{
		URL: w.url, UserID: w.idp.user,
		Token: func(client, scope string) string {
			return issuer.ServiceToken(client, authntest.Audience("console"), authntest.Scope(scope))
		},
		UserToken: issuer.UserToken(w.idp.user, authntest.Audience("console"), authntest.Scope("identity:export")),
	})
	require.Len(t, told.Tables["sessions"], 1)
	require.Contains(t, told.Tables["sessions"][0], "expires_at")
	require.NotContains(t, told.Tables["sessions"][0], "tokens")
	require.Equal(t, participant.RekeyDiscard, told.Preview.Columns[0].Action)

	receipt := w.mesh.Rekey(w.idp.user, "another", "console")
	require.Equal(t, int64(1), receipt.Columns[0].Rows)
}
