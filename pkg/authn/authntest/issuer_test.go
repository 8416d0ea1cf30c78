package authntest_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, url string) (int, map[string]any) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	var body map[string]any
	if resp.StatusCode == http.StatusOK {
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	}
	return resp.StatusCode, body
}

func TestIssuer_DiscoveryLeadsToTheKeySet(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithIssuer("https://idp.example"))
	_, discovery := get(t, iss.URL()+"/.well-known/openid-configuration")
	require.Equal(t, "https://idp.example", discovery["issuer"])
	_, jwks := get(t, discovery["jwks_uri"].(string))
	require.Len(t, jwks["keys"], 1)
	iss.Rotate()
	_, jwks = get(t, iss.JWKSURL())
	require.Len(t, jwks["keys"], 2)
	iss.Prune()
	_, jwks = get(t, iss.JWKSURL())
	require.Len(t, jwks["keys"], 1)
	require.Equal(t, iss.SigningKey().ID, jwks["keys"].([]any)[0].(map[string]any)["kid"])
}

func TestIssuer_DownAndUp(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	iss.Down()
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		status, _ := get(t, iss.URL()+path)
		require.Equal(t, http.StatusServiceUnavailable, status)
	}
	iss.Up()
	status, _ := get(t, iss.JWKSURL())
	require.Equal(t, http.StatusOK, status)
	n, _ := iss.Fetches()
	require.Equal(t, 2, n)
}

func TestIssuer_TokensFollowTheClock(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(time.Unix(1_795_000_000, 0))
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("RS256"))
	v := iss.Verifier(t, "orders")
	token := iss.ServiceToken("billing", authntest.Audience("orders"))
	p, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, clock.Now().Unix(), p.IssuedAt().Unix())
	clock.Advance(time.Hour)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrExpired)
	_, err = v.Verify(t.Context(), iss.ServiceToken("billing", authntest.Audience("orders")))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), iss.UserToken("alice", authntest.Audience("orders"), authntest.IssuedAt(clock.Now().Add(-time.Hour))))
	require.ErrorIs(t, err, authn.ErrExpired)
}
