package access_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

type empty struct{}

// mesh is a verifier that trusts a token-exchange-like issuer.
type mesh struct {
	issuer   *authntest.Issuer
	verifier *authn.Verifier
	list     *authn.RevocationList
	clock    *authntest.Clock
}

func setup(t *testing.T) *mesh {
	t.Helper()
	clock := authntest.NewClock(time.Now())
	m := &mesh{clock: clock, issuer: authntest.NewIssuer(t, authntest.WithClock(clock))}
	m.list = authn.NewRevocationList(authn.RevocationListOptions{Now: clock.Now})
	m.list.MarkLoaded()
	m.list.Heartbeat(clock.Now())
	cfg := authn.Config{Issuers: []authn.IssuerConfig{m.issuer.Config("shadowless")}, EntityTypes: map[string]string{"order": "client_shop:order"}}
	m.verifier = authntest.NewVerifier(t, cfg, authn.Options{Audiences: []string{"orders"}, Revocations: m.list, Now: clock.Now})
	return m
}

func (m *mesh) serve(t *testing.T, route access.Route) http.Handler {
	t.Helper()
	mux := access.NewMux(access.Table{Service: "orders", Routes: []access.Route{route}}, m.verifier)
	kit.Handle(mux, route.Pattern, kit.NoBody[empty], func(context.Context, empty) (empty, error) { return empty{}, nil }, http.StatusOK)
	h, err := mux.Handler()
	require.NoError(t, err)
	return h
}

func call(h http.Handler, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMux_AdmitsByRule(t *testing.T) {
	t.Parallel()
	m := setup(t)
	aud := authntest.Audience("orders")
	permitted := authntest.Permissions(map[string][]string{"client_shop:order": {"cancel"}})
	user := m.issuer.UserToken("u1", aud, permitted)
	stranger := m.issuer.UserToken("u2", aud, authntest.Permissions(map[string][]string{"client_shop:order": {"read"}}))
	service := m.issuer.ServiceToken("billing", aud, authntest.Scope("orders:write"))
	unscoped := m.issuer.ServiceToken("billing", aud)
	delegated := m.issuer.UserToken("u1", aud, permitted, authntest.Scope("orders:write"), authntest.ActedBy("billing"))
	otherActor := m.issuer.UserToken("u1", aud, permitted, authntest.Scope("orders:write"), authntest.ActedBy("console"))
	for _, c := range []struct {
		name    string
		rule    access.Rule
		token   string
		refused int
	}{
		{"public without a token", access.Public(), "", http.StatusOK},
		{"any user", access.AnyUser(), stranger, http.StatusOK},
		{"any user is no service", access.AnyUser(), service, http.StatusForbidden},
		{"any user is no delegate", access.AnyUser(), delegated, http.StatusForbidden},
		{"missing token", access.AnyUser(), "", http.StatusUnauthorized},
		{"user with permission", access.User("order", "cancel"), user, http.StatusOK},
		{"user without permission", access.User("order", "cancel"), stranger, http.StatusForbidden},
		{"delegate is not the user", access.User("order", "cancel"), delegated, http.StatusForbidden},
		{"named client", access.Client("billing", "orders:write"), service, http.StatusOK},
		{"named client without scope", access.Client("billing", "orders:write"), unscoped, http.StatusForbidden},
		{"another client", access.Client("console", "orders:write"), service, http.StatusForbidden},
		{"any client", access.ExternalClient("orders:write"), service, http.StatusOK},
		{"user is no client", access.ExternalClient("orders:write"), user, http.StatusForbidden},
		{"delegated", access.Delegated("billing", "orders:write"), delegated, http.StatusOK},
		{"delegated by another", access.Delegated("billing", "orders:write"), otherActor, http.StatusForbidden},
		{"undelegated", access.Delegated("billing", "orders:write"), user, http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := m.serve(t, access.Route{Pattern: "GET /v1/things", Allow: []access.Rule{c.rule}})
			require.Equal(t, c.refused, call(h, http.MethodGet, "/v1/things", c.token).Code)
		})
	}
}

func TestMux_PostureDecidesWhenRevocationsAreStale(t *testing.T) {
	t.Parallel()
	m := setup(t)
	token := m.issuer.UserToken("u1", authntest.Audience("orders"))
	route := access.Route{Pattern: "GET /v1/things", Allow: []access.Rule{access.AnyUser()}, MaxStaleness: 10 * time.Second}
	open := route
	open.Posture = access.FailOpen
	m.clock.Advance(10 * time.Second)
	require.Equal(t, http.StatusOK, call(m.serve(t, route), http.MethodGet, "/v1/things", token).Code)
	m.clock.Advance(time.Second)
	answer := call(m.serve(t, route), http.MethodGet, "/v1/things", token)
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.NotEmpty(t, answer.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, call(m.serve(t, open), http.MethodGet, "/v1/things", token).Code)
}

func TestMux_AsksForAStrongerSignIn(t *testing.T) {
	t.Parallel()
	m := setup(t)
	aud, scope := authntest.Audience("orders"), authntest.Scope("orders:write")
	h := m.serve(t, access.Route{
		Pattern: "GET /v1/things", StepUp: authn.StepUp{ACR: []string{"strong"}, MaxAge: time.Minute},
		Allow: []access.Rule{access.AnyUser(), access.ExternalClient("orders:write")},
	})
	get := func(token string) *httptest.ResponseRecorder { return call(h, http.MethodGet, "/v1/things", token) }
	require.Equal(t, http.StatusOK, get(m.issuer.UserToken("u", aud, authntest.Claim("acr", "strong"))).Code)
	weak := get(m.issuer.UserToken("u", aud))
	require.Equal(t, http.StatusUnauthorized, weak.Code)
	require.Contains(t, weak.Header().Get("WWW-Authenticate"), `error="insufficient_user_authentication"`)
	require.Contains(t, weak.Header().Get("WWW-Authenticate"), `acr_values="strong", max_age="60"`)
	require.Equal(t, http.StatusForbidden, get(m.issuer.ServiceToken("billing", aud, scope)).Code, "no sign-in, and none to be had")
	require.Equal(t, http.StatusForbidden, get(m.issuer.UserToken("u", aud, authntest.ActedBy("x"))).Code, "nobody admits it, so a sign-in would not help")
}

func TestMux_DoesNotStartWithoutItsTable(t *testing.T) {
	t.Parallel()
	m := setup(t)
	nothing := http.NotFoundHandler()
	row := access.Route{Pattern: "GET /a", Allow: []access.Rule{access.AnyUser()}}
	for name, c := range map[string]struct {
		routes   []access.Route
		handlers []string
		says     string
	}{
		"handler without row":    {nil, []string{"GET /a"}, "not in the access table"},
		"row without handler":    {[]access.Route{row}, nil, "has no handler"},
		"two handlers":           {[]access.Route{row}, []string{"GET /a", "GET /a"}, "two handlers"},
		"row twice":              {[]access.Route{row, row}, []string{"GET /a"}, "stands twice"},
		"nobody authorizes":      {[]access.Route{row}, []string{"GET /a"}, "nothing authorizes"},
		"row that admits nobody": {[]access.Route{{Pattern: "GET /a"}}, []string{"GET /a"}, "admits nobody"},
	} {
		mux := access.NewMux(access.Table{Service: "x", Routes: c.routes}, m.verifier)
		for _, pattern := range c.handlers {
			mux.Handle(pattern, nothing)
		}
		_, err := mux.Handler()
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestMux_AnswersUnknownAddressesAsProblems(t *testing.T) {
	t.Parallel()
	h := setup(t).serve(t, access.Route{Pattern: "GET /v1/things", Allow: []access.Rule{access.Public()}})
	require.Equal(t, http.StatusNotFound, call(h, http.MethodGet, "/nowhere", "").Code)
	w := call(h, http.MethodDelete, "/v1/things", "")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Contains(t, w.Header().Get("Allow"), http.MethodGet)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
}

// OnAdmit hears of those whom a rule admits, and of nobody else.
func TestMux_OnAdmit(t *testing.T) {
	t.Parallel()
	m := setup(t)
	var heard []string
	mux := access.NewMux(access.Table{Service: "orders", Routes: []access.Route{
		{Pattern: "GET /v1/things", Allow: []access.Rule{access.User("order", "read")}},
		{Pattern: "GET /open", Allow: []access.Rule{access.Public()}},
	}}, m.verifier)
	mux.OnAdmit(func(_ context.Context, p *authn.Principal) error {
		heard = append(heard, p.UserID())
		if p.UserID() == "banned" {
			return problem.ErrForbidden
		}
		return nil
	})
	for _, pattern := range []string{"GET /v1/things", "GET /open"} {
		kit.Handle(mux, pattern, kit.NoBody[empty], func(context.Context, empty) (empty, error) { return empty{}, nil }, http.StatusOK)
	}
	h, err := mux.Handler()
	require.NoError(t, err)
	may := authntest.Permissions(map[string][]string{"client_shop:order": {"read"}})
	token := func(sub string, options ...authntest.TokenOption) string {
		return m.issuer.UserToken(sub, append(options, authntest.Audience("orders"))...)
	}
	require.Equal(t, http.StatusOK, call(h, http.MethodGet, "/v1/things", token("u1", may)).Code)
	require.Equal(t, http.StatusForbidden, call(h, http.MethodGet, "/v1/things", token("banned", may)).Code)
	require.Equal(t, http.StatusForbidden, call(h, http.MethodGet, "/v1/things", token("u2")).Code)
	require.Equal(t, http.StatusUnauthorized, call(h, http.MethodGet, "/v1/things", "").Code)
	require.Equal(t, http.StatusOK, call(h, http.MethodGet, "/open", "").Code)
	require.Equal(t, []string{"u1", "banned"}, heard)
}
