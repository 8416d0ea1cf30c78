package tokenexchange_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// TestWorkloads is RFC 7523 with a Kubernetes projected service-account token.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	cluster := authntest.NewIssuer(t, authntest.WithAlgorithm("RS256"))
	stranger := authntest.NewIssuer(t)
	w := start(t, with(func(c *configuration) {
		policy := policyYAML + "workload_issuers:\n- issuer: " + cluster.Name() + "\n  jwks_urls: [" + cluster.JWKSURL() + "]\n"
		c.PolicyFile = write(t, "policy.yaml", policy)
	}))
	admin := w.admin(t)
	const subject = "system:serviceaccount:shop:reports"
	workloads := []api.Workload{{Issuer: cluster.Name(), Subject: subject}}
	_, err := admin.CreateClient(t.Context(), api.ClientSpec{ID: "reports", Workloads: workloads, Audiences: map[string]api.Audience{"orders": {Scopes: []string{"orders:read"}}}})
	require.NoError(t, err)
	projected := func(from *authntest.Issuer, options ...authntest.TokenOption) string {
		now := time.Now()
		return from.Sign(map[string]any{
			"iss": from.Name(), "sub": subject, "aud": []string{w.Issuer}, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "reports"}},
		}, append([]authntest.TokenOption{authntest.Header("typ", nil)}, options...)...)
	}
	assert := func(assertion string, extra ...string) answer {
		return w.send(nil, credentials(append([]string{"client_assertion_type", assertionType, "client_assertion", assertion}, extra...)...))
	}
	require.Eventually(t, func() bool { return assert(projected(cluster)).status == 200 }, meshtest.Within, meshtest.Every)
	p := w.verify(assert(projected(cluster)).token(t), "orders")
	require.Equal(t, "reports", p.ClientID())
	require.Equal(t, authn.KindService, p.Kind())
	assert(projected(cluster), "client_id", "reports").token(t)
	w.post(t, "/oauth/introspect", nil, pairs("client_assertion_type", assertionType, "client_assertion", projected(cluster), "token", "x")).inactive(t)

	for name, a := range map[string]answer{
		"another subject":    assert(projected(cluster, authntest.Claim("sub", subject+"2"))),
		"another issuer":     assert(projected(stranger)),
		"another audience":   assert(projected(cluster, authntest.Audience("https://kubernetes.default.svc"))),
		"expired":            assert(projected(cluster, authntest.ExpiresAt(time.Now().Add(-time.Hour)))),
		"no end":             assert(projected(cluster, authntest.Claim("exp", nil))),
		"lives for a year":   assert(projected(cluster, authntest.ExpiresAt(time.Now().Add(365*24*time.Hour)))),
		"an access token":    assert(projected(cluster, authntest.Header("typ", "at+jwt"))),
		"another's key":      assert(projected(cluster, authntest.SignedBy(authntest.NewKey(t, "RS256", cluster.SigningKey().ID)))),
		"another client":     assert(projected(cluster), "client_id", "orders"),
		"a user's token":     assert(w.User("u1", authntest.Audience(w.Issuer))),
		"one of our own":     assert(w.send(w.As("many"), credentials()).token(t)),
		"nothing":            assert(""),
		"another kind of it": w.send(nil, credentials("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", projected(cluster))),
		"no type":            w.send(nil, credentials("client_assertion", projected(cluster))),
	} {
		a.refused(t, 401, "invalid_client")
		require.Equal(t, `{"error":"invalid_client","error_description":"Client authentication failed."}`+"\n", a.raw, name) //nolint:testifylint // not a byte may tell reasons apart
	}
	w.send(w.As("orders"), credentials("client_assertion_type", assertionType, "client_assertion", projected(cluster))).refused(t, 400, "invalid_request")
	w.send(nil, credentials("client_id", "orders", "client_secret", w.Keys["orders"], "client_assertion", projected(cluster))).refused(t, 400, "invalid_request")
	w.send(w.As("orders"), exchange(projected(cluster, authntest.Audience("orders")))).refused(t, 400, "invalid_request")
	w.counted(t, "reason = 'workload_unknown'")
	w.counted(t, "reason = 'assertion_lives_too_long'")
	w.audited(t, "granted AND client_id = 'reports' AND key_id = ''")

	metadata := w.get(t, "/.well-known/oauth-authorization-server").body
	require.Contains(t, metadata["token_endpoint_auth_methods_supported"], "private_key_jwt")
	require.Equal(t, []any{"ES256", "RS256"}, metadata["token_endpoint_auth_signing_alg_values_supported"], "G4")

	// A workload is one client, however another is registered for it.
	second := api.ClientSpec{ID: "reports2", Workloads: workloads, Audiences: map[string]api.Audience{"orders": {}}}
	taken := func(err error) {
		var refused *api.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, 409, refused.Status)
		require.Equal(t, "workload-taken", refused.Code)
	}
	_, err = admin.CreateClient(t.Context(), second)
	taken(err)
	_, err = admin.DeclareClient(t.Context(), second)
	taken(err)
	_, err = admin.ChangeClient(t.Context(), "orders", api.ClientPatch{Workloads: &workloads})
	taken(err)
	assert(projected(cluster)).token(t)
	none := []api.Workload{}
	_, err = admin.ChangeClient(t.Context(), "reports", api.ClientPatch{Workloads: &none})
	require.NoError(t, err)
	assert(projected(cluster)).refused(t, 401, "invalid_client")
	_, err = admin.CreateClient(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, "reports2", w.verify(assert(projected(cluster)).token(t), "orders").ClientID(), "it moved")
	none = []api.Workload{}
	_, err = admin.ChangeClient(t.Context(), "reports2", api.ClientPatch{Workloads: &none})
	require.NoError(t, err)
	_, err = admin.ChangeClient(t.Context(), "reports", api.ClientPatch{Workloads: &workloads})
	require.NoError(t, err)
	w.block(t, admin, "reports")
	assert(projected(cluster)).refused(t, 401, "invalid_client")
	w.audited(t, "reason = 'client_blocked' AND client_id = 'reports'")
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
