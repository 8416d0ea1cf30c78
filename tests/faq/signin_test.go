package faq

import (
	"context"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/billing"
)

// TestSocialSignIn: Users sign in with Google or another social provider. What changes for our services?
//
// Nothing. The identity provider does the hop, links the social account to its own user, and issues the token that it issues for a password: same `iss`, its own
// `sub`, its own keys. The test walks the hop with a browser, through the [development provider](../services/dev-idp) and a fake social one, and shows the token to orders, which cannot tell the
// difference. A second social sign-in is the same user. Two things are worth a decision: which grants such a user gets, because nobody
// filled in a form (here those of the first registration context that fits the address), and that an address which nobody had verified is not
// silently merged with an account that has a password (the password is dropped).
// Never store the social provider's ID: it names an account there, not your user.
func TestSocialSignIn(t *testing.T) {
	t.Parallel()
	w := system(t)
	email := "social-" + uuid.NewString() + "@example.com"
	token := w.social(email)
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	decode(t, token, &claims)
	require.Equal(t, w.Ports.URL(devstack.DevIDP), claims.Issuer)
	_, err := w.orders.Place(w.ctx(), token, uuid.NewString(), newOrder)
	require.NoError(t, err)

	first := claims.Subject
	decode(t, w.social(email), &claims)
	require.Equal(t, first, claims.Subject)
}

var returnTo = regexp.MustCompile(`name="return_to" value="([^"]*)"`)

// social signs in over the hop and returns the application's access token.
func (w *world) social(email string) string {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	browser := &http.Client{Jar: jar, Timeout: within, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	app, err := journey.Application(w.Running)
	require.NoError(w.t, err)
	idp, verifier := w.Ports.URL(devstack.DevIDP), oauth2.GenerateVerifier()
	absolute := func(location string) string {
		if strings.HasPrefix(location, "/") {
			return idp + location
		}
		return location
	}
	follow := func(r *http.Response, err error) string {
		w.t.Helper()
		require.NoError(w.t, err)
		defer r.Body.Close()
		require.Equal(w.t, http.StatusSeeOther, r.StatusCode)
		return absolute(r.Header.Get("Location"))
	}
	page, err := browser.Get(app.AuthCodeURL("the-state-of-this-test", oauth2.S256ChallengeOption(verifier)))
	require.NoError(w.t, err)
	back := returnTo.FindStringSubmatch(body(w.t, page))
	require.NotNil(w.t, back)
	out := follow(browser.PostForm(idp+"/api/auth/sign-in/social", url.Values{"return_to": {html.UnescapeString(back[1])}}))
	upstream, err := url.Parse(out)
	require.NoError(w.t, err)
	form := upstream.Query()
	form.Set("email", email)
	form.Set("name", "Sonja Social")
	home := follow(browser.PostForm(idp+"/umbrella/authorize", form))
	target, err := url.Parse(follow(browser.Get(follow(browser.Get(home)))))
	require.NoError(w.t, err)
	token, err := app.Exchange(w.ctx(), target.Query().Get("code"), oauth2.VerifierOption(verifier))
	require.NoError(w.t, err)
	return token.AccessToken
}

// TestSignUpForm: We want our own sign-up form, and new users must have their permissions at once. How?
//
// Your form posts to a back end of yours, and that back end signs the user up at the identity provider with a secret that it alone holds: the browser never sees it, and without it the provider
// refuses. [The console](../services/console) does so, with a limit per network address. The sign-up names a registration context, which is configuration at the provider: a
// client, allowed e-mail domains, and the grants that a new account gets in the same transaction.
// So the first token of the user carries the permissions, and the first request works: the test signs up, signs in and orders without
// anything in between, and no service has heard of the user before that order. There is no "create the user in our database too", hence no half-made user
// when the second of two calls fails.
func TestSignUpForm(t *testing.T) {
	t.Parallel()
	w := system(t)
	id := uuid.NewString()
	form := map[string]string{"email": "form-" + id + "@example.com", "password": "Passw0rd!" + id, "name": "Frida Form"}
	refused := w.send(http.MethodPost, devstack.DevIDP, "/api/auth/sign-up/email", form)
	require.Equal(t, http.StatusForbidden, refused.StatusCode, "without the secret")
	made := w.send(http.MethodPost, devstack.Console, "/v1/sign-up", form)
	require.Less(t, made.StatusCode, 300, body(t, made))

	p := w.signIn(form["email"], form["password"])
	require.Empty(t, w.found(devstack.Orders, p.ID))
	w.place(p)
}

// TestSeveralDevices: A user is signed in on several devices. What ends where?
//
// Each sign-in is a session of its own, and every token carries its `sid`. Signing out on one device ends that session: the identity provider tells the [relay](../services/identity-relay), a
// revocation of kind `sid` reaches every replica, and the tokens of that device are refused within milliseconds while the others go on. "Sign out
// everywhere" is the other kind: every token of the user that was first issued up to that second is dead, on all devices. No service keeps
// a list of sessions; the provider has it, and each replica remembers only what was revoked until it would have expired anyway.
// Where a token has no `sid` only the second kind is left, so ask your provider for one.
func TestSeveralDevices(t *testing.T) {
	t.Parallel()
	w := system(t)
	phone := w.newCustomer()
	laptop := w.signIn(phone.email, phone.password)
	require.Equal(t, http.StatusOK, w.reads(laptop.Token))

	require.NoError(t, laptop.Post(w.ctx(), "/api/auth/sign-out", struct{}{}))
	w.eventually("the laptop's token is refused", func() bool { return w.reads(laptop.Token) == http.StatusUnauthorized })
	require.Equal(t, http.StatusOK, w.reads(phone.Token), "the phone goes on")

	require.NoError(t, phone.Post(w.ctx(), "/api/auth/revoke-sessions", struct{}{}))
	w.eventually("the phone's token is refused", func() bool { return w.reads(phone.Token) == http.StatusUnauthorized })
}

// TestStepUp: A refund should need a recent, strong sign-in. How does the service ask for it?
//
// By RFC 9470: the token says when (`auth_time`) and how (`acr`) the user signed in, the route says what it wants, and a token that falls short
// gets 401 with `insufficient_user_authentication`, the classes and the age. The client sends the user through the identity provider again with those values as `acr_values` and
// `max_age`, and repeats the request with the new token. Here it is two lines of [configuration](configuration.md), `BILLING_REFUND_ACR` and `BILLING_REFUND_MAX_AUTH_AGE`, and any route of an
// [access table](../internal/access/table.go) can have it; the test runs billing so. Staff get no exception, and a service is refused with 403, because a
// program cannot come back with a stronger sign-in. A delegated token keeps the user's `auth_time` and `acr`, so a called service can ask for the same.
// It is no second factor by itself: whether `acr` means one is the provider's word, so check what yours puts there.
func TestStepUp(t *testing.T) {
	t.Parallel()
	m := meshtest.New(t)
	backends, db := m.Backends(billing.Name)
	backends.MigrationDatabaseURLFile = filepath.Join(t.TempDir(), "migrator")
	require.NoError(t, os.WriteFile(backends.MigrationDatabaseURLFile, []byte(db.OwnerURL), 0o600))
	service := m.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		return billing.Run(ctx, billing.Config{
			Common: common, Backends: backends, RefundDecider: billing.DeciderLocal, RefundLimitMinor: 5000, StatementsInterval: time.Hour,
			RefundACR: []string{"urn:example:mfa"}, RefundMaxAuthAge: 5 * time.Minute,
		}, log)
	})
	ask := func(token string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, service.URL+"/v1/invoices/"+uuid.NewString()+"/refunds", strings.NewReader(`{"amount_minor":1}`))
		require.NoError(t, err)
		for name, value := range map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json", "Idempotency-Key": uuid.NewString()} {
			r.Header.Set(name, value)
		}
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer
	}
	user := func(options ...authntest.TokenOption) string {
		return m.IdP.UserToken("u", append([]authntest.TokenOption{
			authntest.Audience(billing.Name), authntest.Tenant("acme"), authntest.Claim("kind", nil),
			authntest.Permissions(map[string][]string{"client_shop:invoice": {"refund_any", "refund"}}),
		}, options...)...)
	}
	strong := authntest.Claim("acr", "urn:example:mfa")
	for name, token := range map[string]string{
		"a sign-in of six minutes ago": user(strong, authntest.Claim("auth_time", time.Now().Add(-6*time.Minute).Unix())),
		"a password alone":             user(),
		"no word of when":              user(strong, authntest.Claim("auth_time", nil)),
	} {
		answer := ask(token)
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode, name)
		challenge := answer.Header.Get("WWW-Authenticate")
		require.Contains(t, challenge, `error="insufficient_user_authentication"`, name)
		require.Contains(t, challenge, `acr_values="urn:example:mfa"`, name)
		require.Contains(t, challenge, `max_age="300"`, name)
	}
	require.Equal(t, http.StatusForbidden, ask(m.Exchange.Issuer().ServiceToken("orders", authntest.Audience(billing.Name))).StatusCode)
	require.Equal(t, http.StatusNotFound, ask(user(strong)).StatusCode, "admitted, and there is no such invoice")
}

// TestCORS: Our single-page application gets CORS errors. What should we allow?
//
// Nothing, at first. The services answer no preflight and send no `Access-Control-Allow-Origin`, so a page of another origin can neither send a bearer token to
// orders nor read an answer; the test tries both. Browsers talk to [the console](../services/console), which is the back end of its own pages: it keeps the tokens, the browser has a cookie that says nothing
// (HttpOnly, SameSite), and a request that another site made the browser send is refused with 403. That is the shape to prefer: a token in a page's storage is
// one script injection away from anybody. If you need the API in the browser all the same, allow exactly your own origins at the gateway, never `*` and
// never credentials, and keep the token in memory.
func TestCORS(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	for _, service := range []string{devstack.Orders, devstack.Billing, devstack.TokenExchange, devstack.IdentityRelay, devstack.Console} {
		preflight := w.send(http.MethodOptions, service, "/v1/orders", nil,
			"Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
		require.Empty(t, preflight.Header.Get("Access-Control-Allow-Origin"), service)
		require.GreaterOrEqual(t, preflight.StatusCode, 400, service)
	}
	read := w.send(http.MethodGet, devstack.Orders, "/v1/orders", nil, "Origin", "https://evil.example", "Authorization", "Bearer "+c.Token)
	require.Equal(t, http.StatusOK, read.StatusCode, "the service answers, and the browser keeps it from the page")
	require.Empty(t, read.Header.Get("Access-Control-Allow-Origin"))

	forged := w.send(http.MethodPost, devstack.Console, "/v1/sign-up", map[string]string{}, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, forged.StatusCode)
	require.Contains(t, body(t, forged), "cross-origin")
}
