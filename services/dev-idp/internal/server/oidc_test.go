package server_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
)

const consoleCallback = "http://127.0.0.1:1/auth/callback"

func (i *idp) console() *oauth2.Config {
	return &oauth2.Config{
		ClientID: "console", ClientSecret: "development-console-secret", RedirectURL: consoleCallback,
		Scopes: []string{"openid", "profile", "email", "offline_access"},
		Endpoint: oauth2.Endpoint{
			AuthURL: i.url + "/api/auth/oauth2/authorize", TokenURL: i.url + "/api/auth/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
}

const (
	state = "a-state-of-enough-length"
	nonce = "a-nonce-of-enough-length"
)

// authorize gets a code for a browser that is signed in.
func (b *browser) authorize(config *oauth2.Config, proof string) string {
	b.i.t.Helper()
	got := b.do(http.MethodGet, config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(proof)), "", "", nil)
	return b.code(got)
}

// code reads the code out of the redirect to the client.
func (b *browser) code(got answer) string {
	b.i.t.Helper()
	require.Equal(b.i.t, http.StatusSeeOther, got.status, got.body)
	back, err := url.Parse(got.header.Get("Location"))
	require.NoError(b.i.t, err)
	require.Equal(b.i.t, state, back.Query().Get("state"), back.String())
	require.NotEmpty(b.i.t, back.Query().Get("code"), back.String())
	return back.Query().Get("code")
}

var returnField = regexp.MustCompile(`name="return_to" value="([^"]*)"`)

func returnTo(t *testing.T, page string) string {
	t.Helper()
	found := returnField.FindStringSubmatch(page)
	require.Len(t, found, 2, page)
	return html.UnescapeString(found[1])
}

func TestSignInFormAndCodeFlow(t *testing.T) {
	t.Parallel()
	for _, m := range []mode.Mode{mode.Promised, mode.Observed} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			i := start(t, m)
			b := i.browser()
			config, proof := i.console(), oauth2.GenerateVerifier()

			page := b.do(http.MethodGet, config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(proof)), "", "", nil)
			require.Equal(t, http.StatusOK, page.status)
			back := returnTo(t, page.body)
			wrong := b.form("/sign-in", url.Values{"email": {"alice@example.com"}, "password": {"wrong"}, "return_to": {back}})
			require.Equal(t, http.StatusUnauthorized, wrong.status)
			require.Contains(t, wrong.body, "wrong")
			require.Equal(t, back, returnTo(t, wrong.body))
			right := b.form("/sign-in", url.Values{"email": {"Alice@Example.com"}, "password": {"Passw0rd!alice"}, "return_to": {back}})
			require.Equal(t, http.StatusSeeOther, right.status)
			code := b.code(b.get(right.header.Get("Location")))

			ctx := context.Background()
			token, err := config.Exchange(ctx, code, oauth2.VerifierOption(proof))
			require.NoError(t, err)
			raw, _ := token.Extra("id_token").(string)
			keySet := oidc.NewRemoteKeySet(ctx, i.url+"/api/auth/jwks")
			verifier := oidc.NewVerifier(i.url, keySet, &oidc.Config{ClientID: "console", SupportedSigningAlgs: []string{m.Algorithm()}})
			identity, err := verifier.Verify(ctx, raw)
			require.NoError(t, err)
			require.Equal(t, nonce, identity.Nonce)
			userID, sessionID := b.session()
			require.Equal(t, userID, identity.Subject)

			if m.Observed() {
				require.Regexp(t, `^[A-Za-z]{32}$`, token.AccessToken)
				require.Greater(t, identity.IssuedAt.Unix(), int64(1e12), "iat is in milliseconds")
			} else {
				require.NoError(t, identity.VerifyAccessToken(token.AccessToken))
				checkAccessToken(t, i, keySet, token.AccessToken, userID, sessionID)
			}
			checkUserinfo(t, i, token.AccessToken, userID)
			checkRefresh(t, i, config, m, token.RefreshToken, userID)
		})
	}
}

// checkAccessToken verifies the promised access token and its claims.
func checkAccessToken(t *testing.T, i *idp, keySet oidc.KeySet, token, userID, sessionID string) {
	t.Helper()
	_, err := keySet.VerifySignature(context.Background(), token)
	require.NoError(t, err)
	parts := strings.Split(token, ".")
	header, claims := decoded(t, parts[0]), decoded(t, parts[1])
	require.ElementsMatch(t, []string{"alg", "kid", "typ"}, names(header))
	require.Equal(t, "RS256", header["alg"])
	require.Equal(t, "at+jwt", header["typ"])
	require.ElementsMatch(t, []string{
		"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "sid", "auth_time", "acr", "tenant_id", "scope", "permissions", "abac_required",
	}, names(claims))
	require.Equal(t, i.url, claims["iss"])
	require.Equal(t, userID, claims["sub"])
	require.Equal(t, sessionID, claims["sid"])
	require.Equal(t, []any{"orders", "billing", "console"}, claims["aud"])
	require.Equal(t, "console", claims["client_id"])
	require.Equal(t, "acme", claims["tenant_id"])
	require.Equal(t, "openid profile email offline_access", claims["scope"])
	require.InDelta(t, 900, claims["exp"].(float64)-claims["iat"].(float64), 1)
	require.Equal(t, map[string]any{
		"client_shop:order":   []any{"place", "read", "cancel", "customer"},
		"client_shop:invoice": []any{"read", "pay", "refund", "customer"},
	}, claims["permissions"])
	require.Equal(t, map[string]any{"client_shop:invoice": []any{"refund"}}, claims["abac_required"])
}

func checkUserinfo(t *testing.T, i *idp, token, userID string) {
	t.Helper()
	got := i.browser().do(http.MethodGet, "/api/auth/oauth2/userinfo", "", "", map[string]string{"Authorization": "Bearer " + token})
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Equal(t, userID, got.json(t)["sub"])
}

// checkRefresh: promised refresh tokens are good once and a reuse ends the
// grant; observed ones stay good and bring no id_token.
func checkRefresh(t *testing.T, i *idp, config *oauth2.Config, m mode.Mode, first, userID string) {
	t.Helper()
	ctx := context.Background()
	refresh := func(token string) (*oauth2.Token, error) {
		return config.TokenSource(ctx, &oauth2.Token{RefreshToken: token, Expiry: time.Now().Add(-time.Hour)}).Token()
	}
	second, err := refresh(first)
	require.NoError(t, err)
	require.NotEqual(t, first, second.RefreshToken)
	checkUserinfo(t, i, second.AccessToken, userID)
	third, err := refresh(first)
	if m.Observed() {
		require.NoError(t, err)
		require.Nil(t, second.Extra("id_token"))
		checkUserinfo(t, i, third.AccessToken, userID)
		return
	}
	require.NotEmpty(t, second.Extra("id_token"))
	requireOAuthError(t, err, "invalid_grant")
	_, err = refresh(second.RefreshToken)
	requireOAuthError(t, err, "invalid_grant")
}

func requireOAuthError(t *testing.T, err error, code string) {
	t.Helper()
	var fault *oauth2.RetrieveError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, code, fault.ErrorCode, fault.ErrorDescription)
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	b := i.alice()
	config, ctx := i.console(), context.Background()
	for name, test := range map[string]struct {
		change  func(*oauth2.Config)
		options []oauth2.AuthCodeOption
		want    string
	}{
		"another verifier":     {nil, []oauth2.AuthCodeOption{oauth2.VerifierOption(oauth2.GenerateVerifier())}, "invalid_grant"},
		"no verifier":          {nil, nil, "invalid_grant"},
		"a wrong secret":       {func(c *oauth2.Config) { c.ClientSecret = "wrong" }, nil, "invalid_client"},
		"no secret":            {func(c *oauth2.Config) { c.ClientSecret = "" }, nil, "invalid_client"},
		"another redirect URI": {func(c *oauth2.Config) { c.RedirectURL = "http://127.0.0.1:2/elsewhere" }, nil, "invalid_grant"},
		"another client": {func(c *oauth2.Config) {
			c.ClientID, c.ClientSecret, c.Endpoint.AuthStyle = "shop-spa", "", oauth2.AuthStyleInParams
		}, nil, "invalid_grant"},
	} {
		code := b.authorize(config, oauth2.GenerateVerifier())
		changed := *config
		if test.change != nil {
			test.change(&changed)
		}
		_, err := changed.Exchange(ctx, code, test.options...)
		requireOAuthError(t, err, test.want)
		t.Log(name)
	}
	proof := oauth2.GenerateVerifier()
	code := b.authorize(config, proof)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(proof))
	require.NoError(t, err)
	_, err = config.Exchange(ctx, code, oauth2.VerifierOption(proof))
	requireOAuthError(t, err, "invalid_grant")
	refused := i.browser().do(http.MethodGet, "/api/auth/oauth2/userinfo", "", "", map[string]string{"Authorization": "Bearer " + token.AccessToken})
	require.Equal(t, http.StatusUnauthorized, refused.status, "a code that is used twice takes its tokens along")
}

func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	b := i.alice()
	config := i.console()
	challenge := oauth2.S256ChallengeOption(oauth2.GenerateVerifier())
	for name, test := range map[string]struct {
		options []oauth2.AuthCodeOption
		want    string
	}{
		"no PKCE":           {nil, "invalid_request"},
		"plain PKCE":        {[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("code_challenge", "x"), oauth2.SetAuthURLParam("code_challenge_method", "plain")}, "invalid_request"},
		"an implicit grant": {[]oauth2.AuthCodeOption{challenge, oauth2.SetAuthURLParam("response_type", "token")}, "unsupported_response_type"},
		"an unknown scope":  {[]oauth2.AuthCodeOption{challenge, oauth2.SetAuthURLParam("scope", "openid admin")}, "invalid_scope"},
		"a short state":     {[]oauth2.AuthCodeOption{challenge, oauth2.SetAuthURLParam("state", "x")}, "invalid_state"},
	} {
		got := b.do(http.MethodGet, config.AuthCodeURL(state, test.options...), "", "", nil)
		require.Equal(t, http.StatusSeeOther, got.status, name)
		location := got.header.Get("Location")
		require.True(t, strings.HasPrefix(location, consoleCallback+"?"), name)
		back, err := url.Parse(location)
		require.NoError(t, err)
		require.Equal(t, test.want, back.Query().Get("error"), "%s: %s", name, location)
	}
	for name, change := range map[string]func(*oauth2.Config){
		"an unknown client":       func(c *oauth2.Config) { c.ClientID = "nobody" },
		"an unknown redirect URI": func(c *oauth2.Config) { c.RedirectURL = "https://evil.example/" },
	} {
		changed := *config
		change(&changed)
		got := b.do(http.MethodGet, changed.AuthCodeURL(state, challenge), "", "", nil)
		require.GreaterOrEqual(t, got.status, 400, name)
		require.Empty(t, got.header.Get("Location"), name)
	}
}

func TestPromptAndMaxAge(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	config := i.console()
	challenge := oauth2.S256ChallengeOption(oauth2.GenerateVerifier())
	silent := i.browser().do(http.MethodGet, config.AuthCodeURL(state, challenge, oauth2.SetAuthURLParam("prompt", "none")), "", "", nil)
	require.Contains(t, silent.header.Get("Location"), "error=login_required")
	b := i.alice()
	b.code(b.do(http.MethodGet, config.AuthCodeURL(state, challenge, oauth2.SetAuthURLParam("prompt", "none")), "", "", nil))
	again := b.do(http.MethodGet, config.AuthCodeURL(state, challenge, oauth2.SetAuthURLParam("prompt", "login")), "", "", nil)
	require.Equal(t, http.StatusOK, again.status)
	signedIn := b.form("/sign-in", url.Values{"email": {"alice@example.com"}, "password": {"Passw0rd!alice"}, "return_to": {returnTo(t, again.body)}})
	b.code(b.get(signedIn.header.Get("Location")))
	i.clock.advance(time.Hour)
	stale := b.do(http.MethodGet, config.AuthCodeURL(state, challenge, oauth2.SetAuthURLParam("max_age", "60")), "", "", nil)
	require.Equal(t, http.StatusOK, stale.status)
	require.Contains(t, stale.body, "Sign in")
}

func TestSignInFormIsNotForOtherSites(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	values := url.Values{"email": {"alice@example.com"}, "password": {"Passw0rd!alice"}, "return_to": {"/api/auth/oauth2/authorize?x"}}
	foreign := i.browser().do(http.MethodPost, "/sign-in", "application/x-www-form-urlencoded", values.Encode(), map[string]string{"Origin": "https://evil.example"})
	require.Equal(t, http.StatusForbidden, foreign.status)
	values.Set("return_to", "https://evil.example/")
	require.Equal(t, http.StatusForbidden, i.browser().form("/sign-in", values).status)
}

func TestPublicClient(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	config := i.console()
	config.ClientID, config.ClientSecret, config.RedirectURL = "shop-spa", "", "http://127.0.0.1:8400/spa/callback"
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	proof := oauth2.GenerateVerifier()
	token, err := config.Exchange(context.Background(), i.alice().authorize(config, proof), oauth2.VerifierOption(proof))
	require.NoError(t, err)
	claims := decoded(t, strings.Split(token.AccessToken, ".")[1])
	require.Equal(t, []any{"orders", "billing"}, claims["aud"])
}

func TestGrantEndsWithItsSessionOnlyAsPromised(t *testing.T) {
	t.Parallel()
	for _, m := range []mode.Mode{mode.Promised, mode.Observed} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			i := start(t, m)
			b, config, proof := i.alice(), i.console(), oauth2.GenerateVerifier()
			token, err := config.Exchange(context.Background(), b.authorize(config, proof), oauth2.VerifierOption(proof))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, b.post("/api/auth/sign-out", fields{}).status)
			_, err = config.TokenSource(context.Background(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
			if m.Observed() {
				require.NoError(t, err)
			} else {
				requireOAuthError(t, err, "invalid_grant")
			}
		})
	}
}

func TestRotationSignsAtOnceAndOldTokensStayGood(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	b, config, ctx := i.alice(), i.console(), context.Background()
	token := func() string {
		proof := oauth2.GenerateVerifier()
		got, err := config.Exchange(ctx, b.authorize(config, proof), oauth2.VerifierOption(proof))
		require.NoError(t, err)
		return got.AccessToken
	}
	before := token()
	got := i.browser().do(http.MethodPost, "/api/internal/rotate-jwks?force=true", "", "", map[string]string{"Authorization": "Bearer development-rotation-secret"})
	require.Equal(t, true, got.json(t)["rotated"], got.body)
	after := token()
	keySet := oidc.NewRemoteKeySet(ctx, i.url+"/api/auth/jwks")
	for _, signed := range []string{before, after} {
		_, err := keySet.VerifySignature(ctx, signed)
		require.NoError(t, err)
	}
	require.Equal(t, got.json(t)["latestKeyId"], decoded(t, strings.Split(after, ".")[0])["kid"])
	require.NotEqual(t, got.json(t)["latestKeyId"], decoded(t, strings.Split(before, ".")[0])["kid"])
}

func TestBrokenTokenBuildHookIssuesNothing(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised, func(o *server.Options) { o.Settings.TokenBuild = `while true do end` })
	config, proof := i.console(), oauth2.GenerateVerifier()
	_, err := config.Exchange(context.Background(), i.alice().authorize(config, proof), oauth2.VerifierOption(proof))
	requireOAuthError(t, err, "server_error")
	require.Contains(t, i.logs.String(), "instructions")
}

func TestOfTwoRequestsWithOneCodeOneWins(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	config, proof := i.console(), oauth2.GenerateVerifier()
	code := i.alice().authorize(config, proof)
	outcomes := make(chan error, 4)
	for range cap(outcomes) {
		go func() {
			_, err := config.Exchange(context.Background(), code, oauth2.VerifierOption(proof))
			outcomes <- err
		}()
	}
	won := 0
	for range cap(outcomes) {
		if <-outcomes == nil {
			won++
		}
	}
	require.Equal(t, 1, won)
}
