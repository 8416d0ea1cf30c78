package signin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/console/internal/signin"
)

const wait, tick = 10 * time.Second, 10 * time.Millisecond

// An access token must not pass for an id_token, nor the other way round, in
// every profile that an identity provider can have.
func TestIDTokenConfig_KeepsTheKindsApart(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"auther", "auther-observed", "oidc"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			issuer := authntest.NewIssuer(t, authntest.WithAlgorithm("RS256"))
			all := authn.Config{Issuers: []authn.IssuerConfig{issuer.Config(profile)}}
			own, err := signin.IDTokenConfig(all, issuer.Name())
			require.NoError(t, err)
			v := authntest.NewVerifier(t, own, authn.Options{Audiences: []string{"console"}})
			require.Eventually(t, func() bool { return v.Ready() == nil }, wait, tick)

			now := time.Now()
			claims := map[string]any{
				"iss": issuer.Name(), "sub": "u", "aud": "console", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": "n",
			}
			for _, kind := range []any{nil, "JWT"} {
				p, err := v.Verify(t.Context(), issuer.Sign(claims, authntest.Header("typ", kind)))
				require.NoError(t, err)
				require.Equal(t, "u", p.UserID())
			}
			_, err = v.Verify(t.Context(), issuer.Sign(claims, authntest.Header("typ", "at+jwt")))
			require.ErrorIs(t, err, authn.ErrMalformed)
		})
	}
	_, err := signin.IDTokenConfig(authn.Config{}, "https://idp.example")
	require.ErrorContains(t, err, "CONSOLE_ISSUER")
}

func TestIDTokenConfig_TakesAutherMilliseconds(t *testing.T) {
	t.Parallel()
	issuer := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	own, err := signin.IDTokenConfig(authn.Config{Issuers: []authn.IssuerConfig{issuer.Config("auther-observed")}}, issuer.Name())
	require.NoError(t, err)
	v := authntest.NewVerifier(t, own, authn.Options{Audiences: []string{"console"}})
	require.Eventually(t, func() bool { return v.Ready() == nil }, wait, tick)
	now := time.Now()
	_, err = v.Verify(t.Context(), issuer.Sign(map[string]any{
		"iss": issuer.Name(), "sub": "u", "aud": "console", "iat": now.UnixMilli(), "exp": now.Add(48 * time.Hour).Unix(),
	}, authntest.Header("typ", nil)))
	require.NoError(t, err)
}
