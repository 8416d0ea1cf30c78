package identityrelay_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
)

// With several issuers nobody guesses whose users the list names: the users of
// the others would seem to be missing.
func TestRun_WantsToKnowWhoseUsersTheListNames(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	partner := authntest.NewIssuer(t)
	cfg := r.cfg
	cfg.Common = config.Common{Environment: config.Development, ListenAddress: "127.0.0.1:0", InsecurePlainHTTP: true, ShutdownTimeout: within}
	cfg.AuthnConfigFile = filepath.Join(t.TempDir(), "authn.yaml")
	require.NoError(t, os.WriteFile(cfg.AuthnConfigFile, []byte(`issuers:
  - {issuer: `+r.mesh.IdP.Name()+`, profile: oidc, jwks_urls: [`+r.mesh.IdP.JWKSURL()+`], user_namespace: "idp|"}
  - {issuer: `+partner.Name()+`, profile: oidc, jwks_urls: [`+partner.JWKSURL()+`], user_namespace: "partner|"}
`), 0o600))
	err := identityrelay.Run(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "IDENTITY_RELAY_USERS_OF is required, because 2 issuers")
	cfg.UsersOf = "https://nobody.example"
	err = identityrelay.Run(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "IDENTITY_RELAY_USERS_OF names no issuer")
}
