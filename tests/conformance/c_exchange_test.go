package conformance_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// tokenExchange: the parameters, the target, the scope and the life of what is
// issued.
var tokenExchange = map[string]check{
	"C1": func(t *testing.T, d *deployment) {
		a := d.send(t, d.As("orders"), exchange(d.User("u1")))
		a.token(t)
		require.Equal(t, authn.TokenTypeAccessToken, a.text("issued_token_type"))
		require.Equal(t, "Bearer", a.text("token_type"))
	},
	"C2": func(t *testing.T, d *deployment) {
		a := d.send(t, d.As("orders"), exchange(d.User("u1")))
		require.Equal(t, createInvoices, a.text("scope"), "none was asked for")
		require.Equal(t, createInvoices, claims(t, a.token(t))["scope"])
	},
	"C3": func(t *testing.T, d *deployment) {
		for _, extra := range [][]string{
			{"subject_token", ""}, {"subject_token_type", ""}, {"subject_token_type", "urn:x"}, {"subject_token_type", "access_token"},
		} {
			d.send(t, d.As("orders"), exchange(d.User("u1"), extra...)).refused(t, 400, "invalid_request")
		}
		for _, name := range []string{"subject_token", "subject_token_type"} {
			form := exchange(d.User("u1"))
			form.Del(name)
			d.send(t, d.As("orders"), form).refused(t, 400, "invalid_request")
		}
	},
	"C4": func(t *testing.T, d *deployment) {
		own := d.send(t, d.As("orders"), credentials()).token(t)
		for _, token := range []string{"x", own, d.User("u2")} {
			d.send(t, d.As("orders"), exchange(d.User("u1"), "actor_token", token)).refused(t, 400, "invalid_request")
		}
	},
	"C5": func(t *testing.T, d *deployment) {
		for _, kind := range []string{authn.TokenTypeAccessToken, typePrefix + "jwt", "urn:x"} {
			d.send(t, d.As("orders"), exchange(d.User("u1"), "actor_token_type", kind)).refused(t, 400, "invalid_request")
		}
	},
	"C8": func(t *testing.T, d *deployment) {
		for _, extra := range [][]string{
			{"audience", "console"}, {"audience", "nowhere"}, {"audience", "billing", "audience", "console"},
			{"resource", "https://orders.example"}, {"resource", "https://nowhere.example"}, {"audience", "billing", "resource", "https://evil.example"},
		} {
			d.send(t, d.As("orders"), exchange(d.User("u1"), extra...)).refused(t, 400, "invalid_target")
		}
	},
	"C9": func(t *testing.T, d *deployment) {
		for _, resource := range []string{"orders", "/orders", "//orders.example", "https://orders.example#", "https://orders.example#x", "https://orders.example/#"} {
			d.send(t, d.As("billing"), exchange(d.User("u1"), "resource", resource)).refused(t, 400, "invalid_target")
		}
		d.send(t, d.As("billing"), exchange(d.User("u1"), "resource", "https://orders.example")).token(t)
	},
	"C10": func(t *testing.T, d *deployment) {
		a := d.send(t, d.As("billing"), exchange(d.User("u1"), "audience", "orders", "audience", "console", "audience", "orders"))
		require.Equal(t, []string{"orders", "console"}, d.Verify(t, a.token(t), "console").Audiences())
	},
	"C11": func(t *testing.T, d *deployment) {
		for _, kind := range []string{"urn:x", "access_token", typePrefix + "refresh_token", typePrefix + "saml2"} {
			d.send(t, d.As("orders"), exchange(d.User("u1"), "requested_token_type", kind)).refused(t, 400, "invalid_request")
		}
		for _, kind := range []string{"access_token", "jwt"} {
			a := d.send(t, d.As("orders"), exchange(d.User("u1"), "requested_token_type", typePrefix+kind))
			a.token(t)
			require.Equal(t, "Bearer", a.text("token_type"))
		}
	},
	// Nothing but access tokens is issued, so there is nothing to call N_A.
	"C12": func(t *testing.T, d *deployment) {
		for _, kind := range []string{"id_token", "refresh_token", "saml1", "saml2"} {
			d.send(t, d.As("orders"), exchange(d.User("u1"), "requested_token_type", typePrefix+kind)).refused(t, 400, "invalid_request")
		}
	},
	"C13": func(t *testing.T, d *deployment) {
		for _, scope := range []string{"billing:read", createInvoices + " billing:read", "openid", "admin"} {
			d.send(t, d.As("orders"), exchange(d.User("u1"), "scope", scope)).refused(t, 400, "invalid_scope")
		}
		// Within the parent: billing may have orders:read, but this token does not.
		parent := d.send(t, d.As("orders"), exchange(d.User("u1"))).token(t)
		d.send(t, d.As("billing"), exchange(parent, "audience", "orders", "scope", "orders:read")).refused(t, 400, "invalid_scope")
		child := d.send(t, d.As("billing"), exchange(parent, "audience", "orders")).token(t)
		require.Equal(t, createInvoices, claims(t, child)["scope"])
		bare := d.send(t, d.As("billing"), exchange(d.User("u1"), "audience", "orders", "scope", "orders:read")).token(t)
		require.Equal(t, "orders:read", claims(t, bare)["scope"])
	},
	"C14": func(t *testing.T, d *deployment) {
		for _, audience := range []string{"billing", "console-web", "order", "Orders", "orders "} {
			d.send(t, d.As("orders"), exchange(d.User("u1", authntest.Audience(audience)))).refused(t, 400, "invalid_request")
		}
		d.send(t, d.As("orders"), exchange(d.User("u1", authntest.Audience("orders")))).token(t)
	},
	"C19": func(t *testing.T, d *deployment) {
		expires := time.Now().Add(2 * time.Minute).Truncate(time.Second)
		a := d.send(t, d.As("orders"), exchange(d.User("u1", authntest.ExpiresAt(expires))))
		require.Equal(t, expires, d.Verify(t, a.token(t), "billing").ExpiresAt())
		require.LessOrEqual(t, a.body["expires_in"], float64(120))
		long := d.send(t, d.As("orders"), exchange(d.User("u1", authntest.ExpiresAt(time.Now().Add(48*time.Hour)))))
		require.EqualValues(t, 900, long.body["expires_in"])
		require.InDelta(t, time.Now().Add(15*time.Minute).Unix(), claims(t, long.token(t))["exp"], 20)
		// Within the verifier's leeway, yet nothing is left to hand on.
		d.send(t, d.As("orders"), exchange(d.User("u1", authntest.ExpiresAt(time.Now().Add(-10*time.Second))))).refused(t, 400, "invalid_request")
	},
	"C20": func(t *testing.T, d *deployment) {
		for _, extra := range [][]string{nil, {"scope", createInvoices}, {"requested_token_type", authn.TokenTypeAccessToken}} {
			a := d.send(t, d.As("orders"), exchange(d.User("u1", authntest.Scope("openid offline_access")), extra...))
			a.token(t)
			require.NotContains(t, a.body, "refresh_token")
		}
	},
	"C24": func(t *testing.T, d *deployment) {
		subject := d.send(t, d.As("orders"), exchange(d.User("u1"))).token(t)
		before := d.introspect(t, "billing", subject)
		require.Equal(t, true, before.body["active"], before.raw)
		d.send(t, d.As("billing"), exchange(subject, "audience", "orders")).token(t)
		require.Equal(t, before.raw, d.introspect(t, "billing", subject).raw)
		d.send(t, d.As("billing"), exchange(subject, "audience", "orders")).token(t)
	},
}
