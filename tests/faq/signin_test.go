package faq

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/billing"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
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
// revocation of kind `sid` reaches every replica, and orders and billing refuse the tokens of that device while the others go on. "Sign out
// everywhere" ends them all, the console's too. Where a provider says that of the user and not of each session, and where an operator does it, the other kind is used: every token of the user that was first issued up to that second is dead, on all devices.
// No resource service keeps a list of sessions: the provider has it, and each replica remembers only what was revoked until it would have expired anyway. [The console](../services/console) does keep its own sign-ins, because
// it holds the tokens in the browser's place: one row for each, with the user's ID and the tokens sealed, which goes with the first request after the session has ended.
// Where a token has no `sid` only the second kind is left, so ask your provider for one.
func TestSeveralDevices(t *testing.T) {
	t.Parallel()
	w := system(t)
	phone := w.newCustomer()
	laptop := w.signIn(phone.email, phone.password)
	browser := w.atConsole(phone)
	console := func() int {
		answer, err := browser.Get(w.Ports.URL(devstack.Console) + "/v1/me")
		if err != nil {
			return 0
		}
		return status(answer)
	}
	answers := func(token string, want int) func() bool {
		return func() bool {
			_, err := w.billing.Invoices(w.ctx(), token, 0, "")
			return w.reads(token) == want && (err == nil && want == http.StatusOK || journey.Refused(err) == want)
		}
	}
	kept := func() []string {
		return w.sql(devstack.Console, `SELECT (position('eyJhbGci' IN tokens) = 0)::text FROM sessions WHERE user_id = $1`, phone.ID)
	}
	require.True(t, answers(laptop.Token, http.StatusOK)())
	require.Equal(t, []string{"true"}, kept(), "one session, and no token can be read in it")
	var claims struct {
		Session string `json:"sid"`
	}
	decode(t, laptop.Token, &claims)
	for _, service := range []string{devstack.Orders, devstack.Billing} {
		require.Empty(t, w.found(service, claims.Session), service)
	}

	require.NoError(t, laptop.Post(w.ctx(), "/api/auth/sign-out", struct{}{}))
	w.eventually("the laptop's token is refused", answers(laptop.Token, http.StatusUnauthorized))
	require.True(t, answers(phone.Token, http.StatusOK)(), "the phone goes on")
	require.Equal(t, http.StatusOK, console(), "and so does the console")

	require.NoError(t, phone.Post(w.ctx(), "/api/auth/revoke-sessions", struct{}{}))
	w.eventually("the phone's token is refused", answers(phone.Token, http.StatusUnauthorized))
	w.eventually("the console's session is over", func() bool { return console() == http.StatusUnauthorized })
	require.Empty(t, kept())

	tablet := w.signIn(phone.email, phone.password)
	require.True(t, answers(tablet.Token, http.StatusOK)())
	_, err := w.relay().Revoke(w.ctx(), relayapi.KindUser, phone.ID)
	require.NoError(t, err)
	w.eventually("the operator ends what the user has", answers(tablet.Token, http.StatusUnauthorized))
}

// atConsole is a browser that is signed in to the console.
func (w *world) atConsole(c customer) *http.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	browser, idp := &http.Client{Jar: jar, Timeout: within}, w.Ports.URL(devstack.DevIDP)
	form, err := json.Marshal(map[string]string{"email": c.email, "password": c.password})
	require.NoError(w.t, err)
	signIn, err := http.NewRequestWithContext(w.ctx(), http.MethodPost, idp+"/api/auth/sign-in/email", bytes.NewReader(form))
	require.NoError(w.t, err)
	signIn.Header.Set("Content-Type", "application/json")
	signIn.Header.Set("Origin", idp)
	for _, visit := range []func() (*http.Response, error){
		func() (*http.Response, error) { return browser.Do(signIn) },
		func() (*http.Response, error) { return browser.Get(w.Ports.URL(devstack.Console) + "/auth/login") },
		func() (*http.Response, error) { return browser.Get(w.Ports.URL(devstack.Console) + "/v1/me") },
	} {
		answer, err := visit()
		require.NoError(w.t, err)
		require.Equal(w.t, http.StatusOK, status(answer))
	}
	return browser
}

// status of an answer that nobody reads.
func status(answer *http.Response) int {
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestStepUp: A refund should need a recent, strong sign-in. How does the service ask for it?
//
// By RFC 9470: the token says when (`auth_time`) and how (`acr`) the user signed in, the route says what it wants, and a token that falls short
// gets 401 with `insufficient_user_authentication`, the classes and the age. The client sends the user through the identity provider again with those values as `acr_values` and
// `max_age`, and repeats the request with the new token. Here it is two lines of [configuration](configuration.md), `BILLING_REFUND_ACR` and `BILLING_REFUND_MAX_AUTH_AGE`, and any route of an
// [access table](../internal/access/table.go) can have it; the test runs billing so, and who signed in six minutes ago gets the refund after signing in again. Staff get no exception, and a service is refused with 403, because a
// program cannot come back with a stronger sign-in. A delegated token keeps the user's `auth_time` and `acr` (`services/token-exchange.TestDelegation`), so a called service can ask for the same.
// [The console](../services/console) does not follow the challenge yet: it shows billing's sentence, "You must sign in again, or with a stronger method.", and leaves that to its user.
// It is no second factor by itself: whether `acr` means one is the provider's word, so check what yours puts there.
func TestStepUp(t *testing.T) {
	t.Parallel()
	w := alone(t)
	c := w.newCustomer()
	order := w.paid(c.Person)
	browser := w.atConsole(c)
	source, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: w.Ports.URL(devstack.TokenExchange) + "/oauth/token", ClientID: devstack.Orders,
		APIKeyFile: w.SecretFile(devstack.Orders + ".key"), Audience: devstack.Billing,
	})
	require.NoError(t, err)
	t.Cleanup(source.Close)
	program, err := source.Token()
	require.NoError(t, err)
	w.stop(devstack.Billing)
	refund := func(token string) *http.Response {
		return w.send(http.MethodPost, devstack.Billing, "/v1/invoices/"+order.InvoiceID.String()+"/refunds", map[string]int64{"amount_minor": 10_00},
			"Authorization", "Bearer "+token, "Idempotency-Key", uuid.NewString())
	}
	challenged := func(token, class string) {
		answer := refund(token)
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
		challenge := answer.Header.Get("WWW-Authenticate")
		require.Contains(t, challenge, `error="insufficient_user_authentication"`)
		require.Contains(t, challenge, `acr_values="`+class+`"`)
		require.Contains(t, challenge, `max_age="300"`)
	}

	const second, usual = "urn:example:mfa", "urn:mace:incommon:iap:silver" // the provider gives the usual one alone
	stop := w.strictBilling(t, second)
	challenged(c.Token, second)
	challenged(w.staff().Token, second)
	require.Equal(t, http.StatusForbidden, refund(program.AccessToken).StatusCode)
	page, err := browser.PostForm(w.Ports.URL(devstack.Console)+"/orders/"+order.ID.String()+"/refund", url.Values{"key": {uuid.NewString()}})
	require.NoError(t, err)
	require.Contains(t, body(t, page), "Nothing was refunded. You must sign in again, or with a stronger method.")
	stop()

	w.strictBilling(t, usual)
	w.sql(devstack.DevIDP, `UPDATE sessions SET created_at = created_at - interval '6 minutes' WHERE user_id = $1`, c.ID)
	require.NoError(t, c.Authorize(w.ctx(), w.Running))
	challenged(c.Token, usual)
	require.NoError(t, w.refund(w.signIn(c.email, c.password), order, 10_00))
}

// strictBilling runs billing, which must be stopped, with what it wants of a
// sign-in in its environment, until stop is called or the test ends.
func (w *world) strictBilling(t *testing.T, class string) (stop func()) {
	t.Helper()
	environ, err := shared.stack.Environ(devstack.Billing)
	require.NoError(t, err)
	cfg, err := config.Load[billing.Config](billing.Prefix, append(slices.Clone(environ),
		"BILLING_REFUND_ACR="+class, "BILLING_REFUND_MAX_AUTH_AGE=5m"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- billing.Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	w.eventually("billing is ready", func() bool {
		answer, err := http.Get(w.Ports.URL(devstack.Billing) + "/readyz") //nolint:noctx // a probe of a test
		return err == nil && status(answer) == http.StatusOK
	})
	return stop
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
