package identityrelay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/scim/scimtest"
)

// An identity provider without Auther's administration: users by SCIM, and
// no webhooks.
func TestReconciliation_OverSCIM(t *testing.T) {
	t.Parallel()
	provider := scimtest.New(t, "alive")
	provider.OfferCursor()
	provider.Set("banned", false)
	r := newRoom(t, func(_ *room, cfg *identityrelay.Config) {
		cfg.WebhookSecretsFile, cfg.IdPURL, cfg.IdPCredentialFile = "", "", ""
		cfg.UserList, cfg.SCIMURL, cfg.SCIMBearerFile, cfg.SCIMUserID = "scim", provider.URL, provider.BearerFile(), "id"
	})
	result, err := r.operator.Reconcile(t.Context(), api.ReconcileRequest{})
	require.NoError(t, err)
	require.Equal(t, "finished", result.State, result.Problem)
	require.Equal(t, 2, result.Listed)
	require.Equal(t, 1, result.Banned)
	r.eventually("blocked", func() bool { return r.revoked(authn.BlockedUser, "banned") })
	require.Equal(t, 401, r.send(r.request(r.delivery("user.deleted", map[string]any{"id": "alive"}))), "no secret, no webhook")
}
