package console_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/console"
	"github.com/shadowless/shadowless/services/console/api"
)

func TestDocument_HasEveryJSONRoute(t *testing.T) {
	t.Parallel()
	var table access.Table
	for _, r := range console.Access().Routes {
		if strings.Contains(r.Pattern, " /v1/") {
			table.Routes = append(table.Routes, r)
		}
	}
	openapitest.Load(t, "openapi.yaml").RequireRoutes(t, table)
}

func TestMe_IsWhatTheSessionsTokenHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	doc := openapitest.Load(t, "openapi.yaml")
	b.client.Transport = doc.Client(t).Transport
	p := b.get("/v1/me")
	require.Equal(t, http.StatusUnauthorized, p.status)
	b.client.Transport = nil
	b.signIn()
	b.client.Transport = doc.Client(t).Transport
	p = b.get("/v1/me")
	require.Equal(t, http.StatusOK, p.status, p.body)
	var me api.Me
	require.NoError(t, json.Unmarshal([]byte(p.body), &me))
	require.Equal(t, w.idp.user, me.UserID)
	require.Equal(t, "user", me.Kind)
	require.Equal(t, "acme", me.TenantID)
	require.Equal(t, []string{"refund"}, me.ABACRequired["client_shop:invoice"])
	require.True(t, me.Revocations.Loaded)
	require.NotNil(t, me.Revocations.StalenessMS)
}

func TestUserIDs_AreForTheRelayAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	client := openapitest.Load(t, "openapi.yaml").Client(t)
	exchange := w.mesh.Exchange.Issuer()
	ask := func(token string) (int, userids.Page) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/v1/identity/user-ids?limit=10", nil)
		require.NoError(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close() //nolint:errcheck // read whole
		var body userids.Page
		_ = json.NewDecoder(resp.Body).Decode(&body)
		return resp.StatusCode, body
	}
	audience, scope := authntest.Audience("console"), authntest.Scope(userids.Scope)
	status, body := ask(exchange.ServiceToken("identity-relay", audience, scope))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{userids.Encode(w.idp.user)}, body.UserIDs)
	for _, c := range []struct {
		token string
		want  int
	}{
		{"", http.StatusUnauthorized},
		{exchange.ServiceToken("orders", audience, scope), http.StatusForbidden},
		{exchange.ServiceToken("identity-relay", audience), http.StatusForbidden},
		{exchange.ServiceToken("identity-relay", authntest.Audience("orders"), scope), http.StatusUnauthorized},
		{exchange.UserToken("u", audience, scope), http.StatusForbidden},
	} {
		status, _ := ask(c.token)
		require.Equal(t, c.want, status)
	}
}

func TestAnswers_CarryTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	for _, path := range []string{"/", "/sign-up", "/v1/me", "/nowhere", "/auth/callback"} {
		p := b.get(path)
		policy := p.header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'", path)
		require.NotContains(t, policy, "unsafe", path)
		require.Equal(t, "nosniff", p.header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-store", p.header.Get("Cache-Control"), path)
		require.NotContains(t, p.body, "<script", path)
		require.NotContains(t, p.body, "style=", path)
	}
	home := b.get("/").body
	at := strings.Index(home, "/assets/console.")
	require.Positive(t, at)
	css := b.get(home[at : at+strings.IndexByte(home[at:], '"')])
	require.Equal(t, http.StatusOK, css.status)
	require.Contains(t, css.header.Get("Cache-Control"), "immutable")
	require.NotContains(t, css.body, "url(", "nothing is asked of another host")
	require.Equal(t, http.StatusNotFound, b.get("/assets/other.css").status)
	require.Equal(t, http.StatusMethodNotAllowed, b.do(http.MethodPut, "/v1/me", nil).status)
}
