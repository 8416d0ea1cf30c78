package conformance_test

import (
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Clients that others wrote work as they are.
func TestClients(t *testing.T) {
	t.Parallel()
	d := deploy(t)

	t.Run("x/oauth2", func(t *testing.T) {
		t.Parallel()
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
			config := clientcredentials.Config{
				ClientID: "orders", ClientSecret: d.Keys["orders"], TokenURL: d.a.url + "/oauth/token", Scopes: []string{"billing:read"},
				EndpointParams: pairs("audience", "billing"), AuthStyle: style,
			}
			token, err := config.Token(t.Context())
			require.NoError(t, err)
			require.True(t, token.Valid())
			require.WithinDuration(t, time.Now().Add(15*time.Minute), token.Expiry, time.Minute)
			require.Equal(t, []string{"billing:read"}, d.Verify(t, token.AccessToken, "billing").Scopes())

			config.ClientSecret = stranger(t)
			_, err = config.Token(t.Context())
			var refused *oauth2.RetrieveError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "invalid_client", refused.ErrorCode)
		}
	})
	t.Run("pkg/authn", func(t *testing.T) {
		t.Parallel()
		source, err := authn.NewTokenSource(authn.TokenSourceConfig{
			TokenURL: d.a.url + "/oauth/token", ClientID: "orders", APIKeyFile: d.File("key", d.Keys["orders"]), Audience: "billing", Scopes: []string{createInvoices},
		})
		require.NoError(t, err)
		defer source.Close()
		token, err := source.Token()
		require.NoError(t, err)
		require.True(t, d.Verify(t, token.AccessToken, "billing").HasScope(createInvoices))
	})
	// The commands of the service's README.
	for name, args := range map[string][]string{
		"curl, client credentials": {"-d", "grant_type=client_credentials", "-d", "audience=billing"},
		"curl, token exchange": {
			"-d", "grant_type=" + authn.GrantTokenExchange, "-d", "subject_token_type=" + authn.TokenTypeAccessToken,
			"-d", "subject_token=" + d.User("u1"), "-d", "audience=billing", "-d", "scope=" + createInvoices,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := curl(t, append(args, "-u", "orders:"+d.Keys["orders"], d.a.url+"/oauth/token")...)
			var body struct {
				AccessToken string `json:"access_token"`
			}
			require.NoError(t, json.Unmarshal(out, &body))
			d.Verify(t, body.AccessToken, "billing")
		})
	}
	t.Run("curl, introspection and revocation", func(t *testing.T) {
		t.Parallel()
		token := d.send(t, d.As("orders"), credentials()).token(t)
		ask := func() []byte {
			return curl(t, "-u", "billing:"+d.Keys["billing"], "-d", "token="+token, d.endpoint(t, d.a, "introspection_endpoint"))
		}
		require.Contains(t, string(ask()), `"active":true`)
		require.Empty(t, curl(t, "-u", "orders:"+d.Keys["orders"], "-d", "token="+token, d.endpoint(t, d.a, "revocation_endpoint")))
		d.eventually(t, func() bool {
			return string(ask()) == string(curl(t, "-u", "billing:"+d.Keys["billing"], "-d", "token=x", d.endpoint(t, d.a, "introspection_endpoint")))
		}, "it is revoked")
	})
}

func curl(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--fail"}, args...)...).Output()
	require.NoError(t, err)
	return out
}
