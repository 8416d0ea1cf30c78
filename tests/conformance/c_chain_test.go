package conformance_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// chains: who acts for whom, and what goes along.
var chains = map[string]check{
	"C15": func(t *testing.T, d *deployment) {
		const subject = "auth0|5f7c u1"
		form := exchange(d.User(subject), "act", `{"sub":"client:operator"}`, "sub", "u2", "client_id", "orders", "actor", "operator")
		p := d.Verify(t, d.send(t, d.As("orders"), form).token(t), "billing")
		require.Equal(t, subject, p.Subject())
		require.Equal(t, authn.KindUser, p.Kind())
		require.Equal(t, "client:orders", p.Actor().Subject())
		require.Equal(t, "orders", p.Actor().ClientID())
		require.Nil(t, p.Actor().Actor())
		require.Equal(t, "orders", p.ClientID())
	},
	"C16": func(t *testing.T, d *deployment) {
		first := d.send(t, d.As("orders"), exchange(d.User("u1"))).token(t)
		second := d.send(t, d.As("billing"), exchange(first, "audience", "orders")).token(t)
		p := d.Verify(t, second, "orders")
		require.Equal(t, "billing", p.Actor().ClientID())
		require.Equal(t, "orders", p.Actor().Actor().ClientID())
		require.Nil(t, p.Actor().Actor().Actor())
		require.Equal(t, claims(t, first)["orig_iat"], claims(t, second)["orig_iat"])
		require.ElementsMatch(t, []string{p.Ancestors()[1], d.Verify(t, first, "billing").TokenID()}, p.Ancestors())
		require.Subset(t, p.Ancestors(), d.Verify(t, first, "billing").Ancestors())
		third := d.send(t, d.As("orders"), exchange(second, "audience", "billing")).token(t)
		d.send(t, d.As("billing"), exchange(third, "audience", "orders")).refused(t, 400, "invalid_request")
	},
	"C17": func(t *testing.T, d *deployment) {
		for _, named := range []any{
			map[string]any{"sub": "client:billing"}, map[string]any{"sub": "client:orders", "client_id": "billing"},
			map[string]any{"sub": "billing"}, map[string]any{}, "client:orders", []any{}, null(),
			// These may be a user, or a client of somebody else's.
			map[string]any{"sub": "orders"}, map[string]any{"sub": "orders", "iss": d.Issuer}, map[string]any{"sub": "orders", "client_id": "orders"},
			map[string]any{"sub": "client:orders", "iss": d.IdP.Name()}, map[string]any{"client_id": "orders", "iss": d.IdP.Name()},
			map[string]any{"sub": "client:orders", "kind": "user"},
		} {
			d.send(t, d.As("orders"), exchange(d.User("u1", mayAct(named)))).refused(t, 400, "invalid_request")
		}
		for _, named := range []any{
			map[string]any{"sub": "client:orders"}, map[string]any{"client_id": "orders"},
			map[string]any{"sub": "client:orders", "client_id": "orders", "iss": d.Issuer},
		} {
			d.send(t, d.As("orders"), exchange(d.User("u1", mayAct(named)))).token(t)
		}
	},
	"C18": func(t *testing.T, d *deployment) {
		restricted := d.User("u1", mayAct(map[string]any{"sub": "client:orders"}))
		// In whatever shape it is asked for, another client gets nothing of it …
		for _, extra := range [][]string{
			{"audience", "orders"}, {"audience", "orders", "requested_token_type", authn.TokenTypeAccessToken},
			{"audience", "orders", "requested_token_type", typePrefix + "jwt"}, {"audience", "orders", "subject_token_type", typePrefix + "jwt"},
			{"audience", "orders", "scope", "orders:read"}, {"resource", "https://orders.example"},
		} {
			d.send(t, d.As("billing"), exchange(restricted, extra...)).refused(t, 400, "invalid_request")
		}
		// … and what is made of it says so still.
		next := d.send(t, d.As("orders"), exchange(restricted)).token(t)
		require.Equal(t, map[string]any{"sub": "client:orders"}, claims(t, next)["may_act"])
		d.send(t, d.As("billing"), exchange(next, "audience", "orders")).refused(t, 400, "invalid_request")
		// A delegated token stays one, also at a front door.
		delegated := d.send(t, d.As("billing"), exchange(d.User("u1"), "audience", "console")).token(t)
		again := d.send(t, d.As("console"), exchange(delegated, "audience", "orders"))
		require.Equal(t, "billing", d.Verify(t, again.token(t), "orders").Actor().Actor().ClientID())
		d.send(t, d.As("console"), exchange(delegated, "subject_token_type", idToken, "audience", "orders")).refused(t, 400, "invalid_request")
	},
	"C21": func(t *testing.T, d *deployment) {
		id := rand.Text()
		first := d.send(t, d.As("orders"), exchange(d.User("u1", authntest.ID(id)))).token(t)
		second := d.send(t, d.As("billing"), exchange(first, "audience", "orders")).token(t)
		d.Revoke(authn.Revocation{Kind: authn.RevokedToken, Key: authn.NewRevocationKey(authn.RevokedToken, id)})
		d.eventually(t, func() bool { return d.send(t, d.As("orders"), exchange(second, "audience", "billing")).status == 400 }, "its grandchild is refused")
		d.send(t, d.As("billing"), exchange(first, "audience", "orders")).refused(t, 400, "invalid_request")

		// The same by our own revocation endpoint, on both replicas.
		first = d.send(t, d.As("orders"), exchange(d.User("u1"))).token(t)
		second = d.send(t, d.As("billing"), exchange(first, "audience", "orders")).token(t)
		require.Equal(t, 200, d.revoke(t, d.a, "orders", first).status)
		for _, r := range []*replica{d.a, d.b} {
			d.eventually(t, func() bool {
				return d.post(t, r.url+"/oauth/token", d.As("orders"), exchange(second, "audience", "billing")).status == 400
			}, "its child is refused")
		}
	},
}

func mayAct(named any) authntest.TokenOption { return authntest.Claim("may_act", named) }

// null is a JSON null: authntest.Claim takes a claim away for a bare nil.
func null() any { return (*string)(nil) }
