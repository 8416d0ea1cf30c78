package tokenexchangetest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// Basic proves a client as RFC 6749, section 2.3.1 wants it.
func Basic(id, key string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(key)) }
}

// As proves a declared client.
func (d *Deployment) As(client string) func(*http.Request) { return Basic(client, d.Keys[client]) }

// Pairs makes a form of names and values; a name may be repeated.
func Pairs(list ...string) url.Values {
	form := url.Values{}
	for pair := range slices.Chunk(list, 2) {
		form.Add(pair[0], pair[len(pair)-1])
	}
	return form
}

// Credentials asks for a client's own token.
func Credentials(extra ...string) url.Values {
	return Pairs(append([]string{"grant_type", authn.GrantClientCredentials}, extra...)...)
}

// Exchange asks for one on behalf of an access token's user; further pairs
// override, and a name that is repeated gets all its values.
func Exchange(subject string, extra ...string) url.Values {
	form := Pairs("grant_type", authn.GrantTokenExchange, "subject_token", subject, "subject_token_type", authn.TokenTypeAccessToken)
	maps.Copy(form, Pairs(extra...))
	return form
}

// User signs an access token as the identity provider promises it.
func (d *Deployment) User(sub string, options ...authntest.TokenOption) string {
	return d.Users.UserToken(sub, append([]authntest.TokenOption{
		authntest.Audience("orders", "billing", "console"), authntest.Tenant("acme"), authntest.Claim("kind", nil), authntest.Scope("openid profile"),
		authntest.Claim("acr", "urn:acr:silver"),
		authntest.Permissions(map[string][]string{
			"client_shop:order": {"place", "read", "cancel"}, "client_shop:invoice": {"read", "pay", "refund"}, "client_shop:invoice:i-1": {"void"},
		}),
		authntest.ABACRequired(map[string][]string{"client_shop:invoice": {"refund"}}),
	}, options...)...)
}

// Part of a token, read without verifying it: 0 is the header, 1 the claims.
func Part(t testing.TB, token string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[i])
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}
