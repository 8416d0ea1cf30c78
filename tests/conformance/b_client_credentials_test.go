package conformance_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var clientCredentials = map[string]check{
	"B1": func(t *testing.T, d *deployment) {
		a := d.send(t, d.As("orders"), credentials())
		a.token(t)
		require.NotContains(t, a.body, "refresh_token")
	},
	"B2": func(t *testing.T, d *deployment) {
		a := d.send(t, d.As("orders"), credentials("scope", "billing:read"))
		require.Equal(t, []string{"billing:read"}, d.Verify(t, a.token(t), "billing").Scopes())
		a = d.send(t, d.As("orders"), credentials())
		require.Equal(t, createInvoices+" billing:read", a.text("scope"), "it was not asked for, so it is said")
		require.Equal(t, a.text("scope"), claims(t, a.token(t))["scope"])
		a = d.send(t, d.As("orders"), credentials("scope", "billing:read  billing:read"))
		require.Equal(t, "billing:read", a.text("scope"))
	},
	"B3": func(t *testing.T, d *deployment) {
		for _, scope := range []string{"admin", "billing:read admin", "billing:*", "BILLING:READ", "openid"} {
			d.send(t, d.As("orders"), credentials("scope", scope)).refused(t, 400, "invalid_scope")
		}
	},
	"B4": func(t *testing.T, d *deployment) {
		for _, extra := range [][]string{
			{"audience", "console"}, {"audience", "nowhere"}, {"audience", "https://orders.example"}, {"audience", "billing", "audience", "console"},
			{"resource", "https://orders.example"}, {"resource", "https://nowhere.example"}, {"resource", "billing"},
		} {
			d.send(t, d.As("orders"), credentials(extra...)).refused(t, 400, "invalid_target")
		}
		require.Equal(t, []string{"orders"}, d.Verify(t, d.send(t, d.As("many"), credentials("resource", "https://orders.example")).token(t), "orders").Audiences())
	},
	"B5": func(t *testing.T, d *deployment) {
		require.Equal(t, []string{"billing"}, d.Verify(t, d.send(t, d.As("orders"), credentials()).token(t), "billing").Audiences())
		require.Equal(t, []string{"orders"}, d.Verify(t, d.send(t, d.As("many"), credentials()).token(t), "orders").Audiences())
		d.send(t, d.As("homeless"), credentials()).refused(t, 400, "invalid_target")
		d.send(t, d.As("billing"), credentials()).refused(t, 400, "invalid_target")
	},
	"B6": func(t *testing.T, d *deployment) {
		d.send(t, d.As("many"), credentials("scope", "orders:read billing:read")).refused(t, 400, "invalid_scope")
		both := credentials("audience", "orders", "audience", "billing", "scope", "billing:read")
		d.send(t, d.As("many"), both).refused(t, 400, "invalid_scope")
		both.Set("scope", "shared")
		require.Equal(t, []string{"orders", "billing"}, d.Verify(t, d.send(t, d.As("many"), both).token(t), "billing").Audiences())
	},
}
