package conformance_test

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// bad are the six ways in which a token is no good, made of what sign gives.
func (d *deployment) bad(t *testing.T, sign func(issuer *authntest.Issuer, options ...authntest.TokenOption) string) map[string]string {
	t.Helper()
	parts := strings.Split(sign(d.IdP), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"` + d.IdP.SigningKey().ID + `"}`))
	revoked := rand.Text()
	d.Revoke(authn.Revocation{Kind: authn.RevokedToken, Key: authn.NewRevocationKey(authn.RevokedToken, revoked)})
	return map[string]string{
		"expired":                    sign(d.IdP, authntest.IssuedAt(time.Now().Add(-time.Hour))),
		"bad signature":              sign(d.IdP, authntest.SignedBy(authntest.NewKey(t, "RS256", d.IdP.SigningKey().ID))),
		"changed payload":            parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root"}`)) + "." + parts[2],
		"alg none":                   none + "." + parts[1] + ".",
		"alg none, with signature":   none + "." + parts[1] + "." + parts[2],
		"unknown issuer":             sign(authntest.NewIssuer(t)),
		"one issuer's for another's": sign(authntest.NewIssuer(t, authntest.WithIssuer(d.IdP.Name()))),
		"wrong typ":                  sign(d.IdP, authntest.Header("typ", "JWT")),
		"no typ":                     sign(d.IdP, authntest.Header("typ", nil)),
		"garbage":                    "x.y.z",
		"opaque":                     rand.Text(),
		"revoked":                    sign(d.IdP, authntest.ID(revoked)),
	}
}

// subjectTokens: which tokens may be exchanged at all.
var subjectTokens = map[string]check{
	"C6": func(t *testing.T, d *deployment) {
		tokens := d.bad(t, func(issuer *authntest.Issuer, options ...authntest.TokenOption) string {
			return issuer.UserToken("u1", append([]authntest.TokenOption{authntest.Audience("orders"), authntest.Claim("kind", nil)}, options...)...)
		})
		d.eventually(t, func() bool { return d.send(t, d.As("orders"), exchange(tokens["revoked"])).status != 200 }, "the revocation arrives")
		for name, token := range tokens {
			a := d.send(t, d.As("orders"), exchange(token))
			require.Equal(t, 400, a.status, "%s: %s", name, a.raw)
			a.refused(t, 400, "invalid_request")
			require.NotContains(t, a.header, "Www-Authenticate")
		}
	},
	"C7": func(t *testing.T, d *deployment) {
		tokens := d.bad(t, func(issuer *authntest.Issuer, options ...authntest.TokenOption) string {
			return issuer.UserToken("u2", append([]authntest.TokenOption{authntest.Audience("orders"), authntest.Claim("kind", nil)}, options...)...)
		})
		for name, token := range tokens {
			for _, kind := range []string{authn.TokenTypeAccessToken, typePrefix + "jwt"} {
				a := d.send(t, d.As("orders"), exchange(d.User("u1"), "actor_token", token, "actor_token_type", kind))
				require.Equal(t, 400, a.status, "%s: %s", name, a.raw)
				a.refused(t, 400, "invalid_request")
			}
		}
	},
	"C22": func(t *testing.T, d *deployment) {
		for _, cnf := range []any{map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, map[string]any{"x5t#S256": "x"}, map[string]any{}, "x"} {
			d.send(t, d.As("orders"), exchange(d.User("u1", authntest.Claim("cnf", cnf)))).refused(t, 400, "invalid_request")
		}
	},
	"C23": func(t *testing.T, d *deployment) {
		sign := func(audience string, options ...authntest.TokenOption) string {
			now := time.Now()
			return d.IdP.Sign(map[string]any{
				"iss": d.IdP.Name(), "sub": "u1", "aud": audience, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix(),
			}, append([]authntest.TokenOption{authntest.Header("typ", "JWT")}, options...)...)
		}
		door := func(token string) answer {
			return d.send(t, d.As("console"), exchange(token, "subject_token_type", idToken, "audience", "orders"))
		}
		require.Equal(t, "u1", d.Verify(t, door(sign("console-web")).token(t), "orders").UserID())
		for _, audience := range []string{"console", "demo-web", "orders", ""} {
			door(sign(audience)).refused(t, 400, "invalid_request")
		}
		door(d.User("u1", authntest.Audience("console-web"))).refused(t, 400, "invalid_request")
		d.send(t, d.As("orders"), exchange(sign("console-web"), "subject_token_type", idToken)).refused(t, 400, "unauthorized_client")
		d.send(t, d.As("orders"), exchange(sign("orders"))).refused(t, 400, "invalid_request")
	},
}

// eventually waits for what another part of the system must bring about.
func (d *deployment) eventually(t *testing.T, holds func() bool, what string) {
	t.Helper()
	require.Eventually(t, holds, meshtest.Within, meshtest.Every, what)
}
