package conformance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// accessTokens: what is issued, and what is accepted.
var accessTokens = map[string]check{
	"D1": func(t *testing.T, d *deployment) {
		kids := d.kids(t, d.a)
		for _, token := range d.everyKind(t) {
			header := part(t, token, 0)
			require.Equal(t, "at+jwt", header["typ"])
			require.Equal(t, "ES256", header["alg"])
			require.Contains(t, kids, header["kid"])
		}
	},
	"D2": func(t *testing.T, d *deployment) {
		for _, token := range d.everyKind(t) {
			for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
				require.NotEmpty(t, claims(t, token)[name], name)
			}
		}
	},
	"D3": func(t *testing.T, _ *deployment) {
		for _, algorithm := range []string{"RS256", "EdDSA"} {
			d := prepare(t, func(c *tokenexchange.Config) { c.SigningAlgorithm = algorithm })
			d.a = d.start()
			token := d.send(t, d.As("orders"), credentials()).token(t)
			require.Equal(t, algorithm, part(t, token, 0)["alg"])
			d.Verify(t, token, "billing")
		}
	},
	"D4": func(t *testing.T, d *deployment) {
		p := d.Verify(t, d.send(t, d.As("orders"), credentials()).token(t), "billing")
		require.Equal(t, "client:orders", p.Subject())
		require.Equal(t, authn.KindService, p.Kind())
		require.Empty(t, p.UserID())
		for _, subject := range []string{"client:orders", "client:", "apikey:1"} {
			d.send(t, d.As("orders"), exchange(d.User(subject))).refused(t, 400, "invalid_request")
		}
	},
	"D5": func(t *testing.T, d *deployment) {
		var mu sync.Mutex
		seen := map[any]bool{}
		var senders sync.WaitGroup
		const parallel = 16
		for n := range parallel {
			r := []*replica{d.a, d.b}[n%2]
			senders.Go(func() {
				for range uniqueTokens / parallel {
					id := claims(t, d.post(t, r.url+"/oauth/token", d.As("orders"), credentials()).token(t))["jti"]
					mu.Lock()
					seen[id] = true
					mu.Unlock()
				}
			})
		}
		senders.Wait()
		require.Len(t, seen, uniqueTokens)
	},
	"D6": func(t *testing.T, d *deployment) {
		sign := func(options ...authntest.TokenOption) string {
			return d.User("u1", append([]authntest.TokenOption{authntest.Audience(tokenexchange.Name)}, options...)...)
		}
		ask := func(token string) answer {
			r := request(t, http.MethodGet, d.a.url+"/v1/clients", "")
			bearer(token)(r)
			return d.do(t, r)
		}
		require.Equal(t, http.StatusForbidden, ask(sign()).status, "a good token of somebody who may not")
		own := d.send(t, d.As("operator"), credentials()).token(t)
		require.Equal(t, http.StatusOK, ask(own).status)
		attacker := authntest.NewKey(t, "RS256", "attacker")
		evil := authntest.NewIssuer(t, authntest.WithAlgorithm("RS256"), authntest.WithIssuer(d.IdP.Name()))
		for name, token := range map[string]string{
			"HS256 with the public key":        keyConfusion(t, sign(), d.IdP.SigningKey()),
			"HS256 with our own public key":    keyConfusion(t, own, d.IdP.SigningKey()),
			"jku":                              sign(authntest.SignedBy(attacker), authntest.Header("jku", evil.JWKSURL())),
			"jku, known kid":                   sign(authntest.SignedBy(attacker), authntest.Header("jku", evil.JWKSURL()), authntest.Header("kid", d.IdP.SigningKey().ID)),
			"x5u":                              sign(authntest.SignedBy(attacker), authntest.Header("x5u", evil.URL())),
			"embedded jwk":                     sign(authntest.SignedBy(attacker), authntest.Header("jwk", attacker.JWK())),
			"embedded jwk, known kid":          sign(authntest.SignedBy(attacker), authntest.Header("jwk", attacker.JWK()), authntest.Header("kid", d.IdP.SigningKey().ID)),
			"crit unknown":                     sign(authntest.Header("crit", []string{"x"}), authntest.Header("x", 1)),
			"another issuer that claims to be": evil.UserToken("u1", authntest.Audience(tokenexchange.Name)),
			"another audience":                 sign(authntest.Audience("orders")),
			"expired":                          sign(authntest.IssuedAt(time.Now().Add(-time.Hour))),
			"not yet valid":                    sign(authntest.Claim("nbf", time.Now().Add(time.Hour).Unix())),
			"no exp":                           sign(authntest.Claim("exp", nil)),
		} {
			a := ask(token)
			require.Equal(t, http.StatusUnauthorized, a.status, "%s: %s", name, a.raw)
			require.Contains(t, a.header.Get("WWW-Authenticate"), `Bearer`, name)
			require.Contains(t, a.header.Get("WWW-Authenticate"), `error="invalid_token"`, name)
		}
		// The deployment reads typ JWT from the provider for the front door's sake:
		// our own profile is the strict one.
		a := d.send(t, d.As("orders"), exchange(sign(authntest.Audience("orders"), authntest.Header("typ", "JWT"))))
		a.refused(t, 400, "invalid_request")
	},
	"D7": func(t *testing.T, d *deployment) {
		service := d.send(t, d.As("widest"), credentials("audience", "orders", "audience", "billing", "audience", "console"))
		require.Less(t, len(service.token(t)), 4<<10)
		subject := d.User("auth0|0123456789abcdef01234567", authntest.Audience("widest"), authntest.Permissions(widest().Permissions))
		user := d.send(t, d.As("widest"), exchange(subject, "audience", "orders", "audience", "billing", "audience", "console"))
		require.Less(t, len(user.token(t)), 4<<10)
	},
}

// everyKind of token that is issued.
func (d *deployment) everyKind(t *testing.T) []string {
	t.Helper()
	delegated := d.send(t, d.As("orders"), exchange(d.User("u1"))).token(t)
	r := request(t, http.MethodPost, d.a.url+"/api/auth/api-key/exchange", `{"apiKey":"`+d.Keys["orders"]+`"}`)
	r.Header.Set("Content-Type", "application/json")
	a := d.do(t, r, d.Keys["orders"])
	require.Equal(t, http.StatusOK, a.status, a.raw)
	return []string{
		d.send(t, d.As("orders"), credentials()).token(t), delegated,
		d.send(t, d.As("billing"), exchange(delegated, "audience", "orders")).token(t), a.text("token"),
	}
}

// kids of the key set that a replica serves.
func (d *deployment) kids(t *testing.T, r *replica) []string {
	t.Helper()
	a := d.do(t, request(t, http.MethodGet, r.url+"/.well-known/jwks.json", ""))
	var set struct{ Keys []struct{ Kid string } }
	require.NoError(t, json.Unmarshal([]byte(a.raw), &set))
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

// keyConfusion signs a token's claims with HS256 and a public key as the secret.
func keyConfusion(t *testing.T, token string, key authntest.Key) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	require.NoError(t, err)
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	header := part(t, token, 0)
	header["alg"] = "HS256"
	raw, err := json.Marshal(header)
	require.NoError(t, err)
	input := base64.RawURLEncoding.EncodeToString(raw) + "." + strings.Split(token, ".")[1]
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
