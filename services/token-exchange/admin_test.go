package tokenexchange_test

import (
	"hash/crc32"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// bearer sends a token with every request.
type bearer struct {
	token string
	base  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.base.RoundTrip(r)
}

func (w *world) adminAs(t *testing.T, token string) *api.Admin {
	t.Helper()
	checked := openapitest.Load(t, "openapi.yaml").Client(t)
	admin, err := api.NewAdmin(w.Issuer, &http.Client{Transport: bearer{token, checked.Transport}})
	require.NoError(t, err)
	return admin
}

// admin is the operator, with a token of the service itself.
func (w *world) admin(t *testing.T) *api.Admin {
	t.Helper()
	return w.adminAs(t, w.send(w.As("operator"), credentials()).token(t))
}

// reseal puts the secret of one key behind the ID of another.
func reseal(t *testing.T, id, secret string) string {
	t.Helper()
	a, b := strings.Split(id, "_"), strings.Split(secret, "_")
	body := strings.Join([]string{a[0], a[1], a[2], b[3]}, "_")
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum, check := crc32.ChecksumIEEE([]byte(body)), ""
	for range 6 {
		check = string(alphabet[sum%62]) + check
		sum /= 62
	}
	_, err := api.ParseKey(body + "_" + check)
	require.NoError(t, err)
	return body + "_" + check
}

func requireCode(t *testing.T, err error, status int, code string) {
	t.Helper()
	var failure *api.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, status, failure.Status)
	if code != "" {
		require.Equal(t, code, failure.Code)
	}
}

func TestAdmin_ClientsAndKeys(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, admin := t.Context(), w.admin(t)

	made, err := admin.CreateClient(ctx, api.ClientSpec{ID: "reports", Name: "Reports", Audiences: map[string]api.Audience{"orders": {Scopes: []string{"orders:read"}}}})
	require.NoError(t, err)
	require.Equal(t, "api", made.Source)
	_, err = admin.CreateClient(ctx, api.ClientSpec{ID: "reports"})
	requireCode(t, err, 409, "client-exists")
	for _, bad := range []api.ClientSpec{
		{ID: "Bad ID"}, {ID: "x", GrantTypes: []string{"password"}}, {ID: "x", FrontDoor: true}, {ID: "x", OIDCClientID: "y"},
		{ID: "x", DefaultAudience: "none"}, {ID: "x", Audiences: map[string]api.Audience{"orders": {Scopes: []string{"a b"}}}},
	} {
		_, err = admin.CreateClient(ctx, bad)
		requireCode(t, err, 422, "invalid-client")
	}

	key, err := admin.CreateKey(ctx, "reports", api.NewKey{})
	require.NoError(t, err)
	require.Equal(t, "test", strings.Split(key.Secret, "_")[1])
	w.send(basic("reports", key.Secret), credentials()).token(t)
	name := "Nightly reports"
	audiences := map[string]api.Audience{"billing": {}}
	changed, err := admin.ChangeClient(ctx, "reports", api.ClientPatch{Name: &name, Audiences: &audiences})
	require.NoError(t, err)
	require.Equal(t, name, changed.Name)
	read, err := admin.Client(ctx, "reports")
	require.NoError(t, err)
	require.Equal(t, changed.ClientSpec, read.ClientSpec)
	w.verify(w.send(basic("reports", key.Secret), credentials()).token(t), "billing")

	second, err := admin.CreateKey(ctx, "reports", api.NewKey{})
	require.NoError(t, err)
	require.NoError(t, admin.RevokeKey(ctx, "reports", key.ID))
	require.NoError(t, admin.RevokeKey(ctx, "reports", key.ID), "again")
	w.send(basic("reports", key.Secret), credentials()).refused(t, 401, "invalid_client")
	w.send(basic("reports", second.Secret), credentials()).token(t)
	keys, err := admin.Keys(ctx, "reports")
	require.NoError(t, err)
	require.Len(t, keys, 2)
	all, err := admin.Clients(ctx)
	require.NoError(t, err)
	require.Len(t, all, len(registrations)+1)

	past := time.Now().Add(-time.Second)
	_, err = admin.CreateKey(ctx, "reports", api.NewKey{ExpiresAt: &past})
	requireCode(t, err, 422, "invalid-key")
	_, err = admin.Client(ctx, "nobody")
	requireCode(t, err, 404, "not-found")
	_, err = admin.ChangeClient(ctx, "nobody", api.ClientPatch{})
	requireCode(t, err, 404, "not-found")
	_, err = admin.Keys(ctx, "nobody")
	requireCode(t, err, 404, "not-found")
	_, err = admin.CreateKey(ctx, "nobody", api.NewKey{})
	requireCode(t, err, 404, "not-found")
	requireCode(t, admin.RevokeKey(ctx, "orders", second.ID), 404, "not-found")
	id := "none"
	_, err = admin.ChangeClient(ctx, "reports", api.ClientPatch{DefaultAudience: &id})
	requireCode(t, err, 422, "invalid-client")

	var changes int
	require.NoError(t, w.Database.Owner.QueryRow(ctx, "SELECT count(*) FROM changes WHERE actor = 'operator' AND client_id = 'reports'").Scan(&changes))
	require.Equal(t, 6, changes, "create, change, two keys, two revocations")
}

func TestAdmin_OnlyTheOperator(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	spec := api.ClientSpec{ID: "evil"}
	for name, token := range map[string]string{
		"nobody":           "",
		"another service":  w.send(w.As("orders"), credentials()).token(t),
		"no scope":         w.send(w.As("identity-relay"), credentials()).token(t),
		"a user":           w.User("u1", authntest.Audience("token-exchange"), authntest.Scope(api.AdminScope)),
		"a foreign signer": authntest.NewIssuer(t, authntest.WithIssuer(w.Issuer)).ServiceToken("operator", authntest.Audience("token-exchange"), authntest.Scope(api.AdminScope)),
	} {
		admin := w.adminAs(t, token)
		want := 401
		if name == "no scope" || name == "a user" {
			want = 403
		}
		_, err := admin.CreateClient(ctx, spec)
		requireCode(t, err, want, "")
		if name == "a foreign signer" {
			continue // each of its tokens waits for keys that never come
		}
		_, err = admin.Clients(ctx)
		requireCode(t, err, want, "")
		_, err = admin.CreateKey(ctx, "orders", api.NewKey{})
		requireCode(t, err, want, "")
		requireCode(t, admin.RevokeKey(ctx, "orders", "x"), want, "")
	}
}

func TestAdmin_ThroughTheTokenSource(t *testing.T) {
	t.Parallel()
	w := start(t)
	source, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: w.Issuer + "/oauth/token", ClientID: "operator", APIKeyFile: w.File("k", w.Keys["operator"]), Audience: "token-exchange", Scopes: []string{api.AdminScope},
	})
	require.NoError(t, err)
	defer source.Close()
	admin, err := api.NewAdmin(w.Issuer, &http.Client{Transport: source.Transport(nil)})
	require.NoError(t, err)
	all, err := admin.Clients(t.Context())
	require.NoError(t, err)
	require.Len(t, all, len(registrations))
}

func TestOpenAPI_HasEveryRoute(t *testing.T) {
	t.Parallel()
	openapitest.Load(t, "openapi.yaml").RequireRoutes(t, tokenexchange.Access())
}
