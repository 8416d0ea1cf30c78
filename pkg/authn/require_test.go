package authn_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func TestRequire(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	v := iss.Verifier(t, aud)
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	user := func(opts ...authntest.TokenOption) string { return iss.UserToken("alice", opts...) }
	acr := func(s string) authntest.TokenOption { return authntest.Claim("acr", s) }
	ago := func(d time.Duration) authntest.TokenOption { return authntest.Claim("auth_time", start.Add(-d).Unix()) }
	const stepUp = `Bearer error="insufficient_user_authentication", error_description="You must sign in again, or with a stronger method."`
	mfa, recent := authn.Authentication(authn.RequireACR("phr", "mfa")), authn.Authentication(authn.RequireMaxAge(5*time.Minute))
	for _, c := range []struct {
		name      string
		require   []authn.Requirement
		token     string
		status    int
		challenge string
	}{
		{"nothing required", nil, user(), 204, ""},
		{"nothing required, no token", nil, "", 401, "Bearer"},
		{"scopes", []authn.Requirement{authn.Scopes("a", "b")}, user(authntest.Scope("b c a")), 204, ""},
		{"scope missing", []authn.Requirement{authn.Scopes("a", "b")}, user(authntest.Scope("a ab")), 403,
			`Bearer error="insufficient_scope", error_description="The access token does not cover this.", scope="a b"`},
		{"acr", []authn.Requirement{mfa}, user(acr("mfa")), 204, ""},
		{"acr too weak", []authn.Requirement{mfa}, user(acr("pwd")), 401, stepUp + `, acr_values="phr mfa"`},
		{"acr in capitals", []authn.Requirement{mfa}, user(acr("MFA")), 401, stepUp + `, acr_values="phr mfa"`},
		{"no acr", []authn.Requirement{mfa}, user(), 401, stepUp + `, acr_values="phr mfa"`},
		{"signed in just in time", []authn.Requirement{recent}, user(ago(5 * time.Minute)), 204, ""},
		{"signed in too long ago", []authn.Requirement{recent}, user(ago(5*time.Minute + time.Second)), 401, stepUp + `, max_age="300"`},
		{"no auth_time", []authn.Requirement{recent}, user(authntest.Claim("auth_time", nil)), 401, stepUp + `, max_age="300"`},
		{"both", []authn.Requirement{authn.Authentication(authn.StepUp{ACR: []string{"mfa"}, MaxAge: time.Minute})}, user(acr("mfa"), ago(2*time.Minute)), 401,
			stepUp + `, acr_values="mfa", max_age="60"`},
		{"a service cannot step up", []authn.Requirement{mfa}, iss.ServiceToken("billing"), 403, ""},
		{"a service where nothing is required", []authn.Requirement{authn.Authentication(authn.StepUp{})}, iss.ServiceToken("billing"), 204, ""},
		{"a user through a service", []authn.Requirement{mfa}, user(acr("mfa"), authntest.ActedBy("billing")), 204, ""},
		{"quotes in a class", []authn.Requirement{authn.Authentication(authn.RequireACR("a\"b\r\n"))}, user(), 401, stepUp + `, acr_values="a\"b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			v.Require(ok, c.require...).ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.challenge, w.Header().Get("WWW-Authenticate"))
		})
	}
}

// The route chooses: closed after its limit, or open whatever happens.
func TestRequire_Posture(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	v := iss.Verifier(t, aud)
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	token := iss.UserToken("alice")
	status := func(h http.Handler) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		h.ServeHTTP(w, r)
		return w.Code, w.Header().Get("Retry-After")
	}
	closed, patient, open := v.Require(ok, authn.Fresh(0)), v.Require(ok, authn.Fresh(time.Minute)), v.Require(ok)
	for _, c := range []struct {
		staleness             time.Duration
		closed, patient, open int
	}{
		{0, 204, 204, 204},
		{authn.DefaultMaxStaleness, 204, 204, 204},
		{authn.DefaultMaxStaleness + time.Millisecond, 503, 204, 204},
		{time.Minute, 503, 204, 204},
		{time.Minute + time.Millisecond, 503, 503, 204},
	} {
		clock.Set(start.Add(c.staleness))
		for h, want := range map[*http.Handler]int{&closed: c.closed, &patient: c.patient, &open: c.open} {
			got, retry := status(*h)
			require.Equal(t, want, got, c.staleness)
			require.Equal(t, want == 503, retry != "")
		}
	}

	without := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{iss.Config("shadowless")}},
		authn.Options{Audiences: []string{aud}, SkipRevocation: true, Now: clock.Now})
	got, _ := status(without.Require(ok, authn.Fresh(0)))
	require.Equal(t, 503, got, "what asks for a fresh list gets no yes without one")
}

func TestStepUp_NobodyAndSentinels(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, authn.RequireACR("x").Check(nil, start), authn.ErrMissingToken)
	require.ErrorIs(t, authn.RequireScopes(nil, "x"), authn.ErrMissingToken)
	p := principalOf(t, "shadowless")
	require.ErrorIs(t, authn.RequireACR("x").Check(p, time.Now()), authn.ErrStepUp)
	require.ErrorIs(t, authn.RequireScopes(p, "x"), authn.ErrScope)
	require.NoError(t, authn.RequireScopes(p))
}
