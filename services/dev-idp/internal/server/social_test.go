package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
)

// social goes over the hop to the fake provider and returns the `sub` that the
// application sees in the end.
func (i *idp) social(email, name string) string {
	t := i.t
	t.Helper()
	b, config, proof := i.browser(), i.console(), oauth2.GenerateVerifier()
	page := b.do(http.MethodGet, config.AuthCodeURL(state, oauth2.S256ChallengeOption(proof)), "", "", nil)
	out := b.form("/api/auth/sign-in/social", url.Values{"return_to": {returnTo(t, page.body)}})
	require.Equal(t, http.StatusSeeOther, out.status, out.body)
	upstream, err := url.Parse(out.header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.get(upstream.String()).status)
	values := upstream.Query()
	values.Set("email", email)
	values.Set("name", name)
	back := b.form("/umbrella/authorize", values)
	require.Equal(t, http.StatusSeeOther, back.status, back.body)
	signedIn := b.get(back.header.Get("Location"))
	require.Equal(t, http.StatusSeeOther, signedIn.status, signedIn.body)
	replayed := b.get(back.header.Get("Location"))
	require.Equal(t, http.StatusBadRequest, replayed.status, "the state is good once")
	token, err := config.Exchange(context.Background(), b.code(b.get(signedIn.header.Get("Location"))), oauth2.VerifierOption(proof))
	require.NoError(t, err)
	return fmt.Sprint(decoded(t, strings.Split(token.AccessToken, ".")[1])["sub"])
}

func TestSocialSignIn(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	fresh := i.social("dora@example.com", "Dora Drew")
	require.Equal(t, fresh, i.social("dora@example.com", "Dora Drew"), "the second time it is the same account")
	alice, _ := i.alice().session()
	require.Equal(t, alice, i.social("alice@example.com", "Alice"), "an address that has an account is linked to it")
	var linked int
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM linked_accounts`).Scan(&linked))
	require.Equal(t, 2, linked)

	unknown := i.browser().get("/umbrella/authorize?client_id=dev-idp&redirect_uri=https://evil.example/&code_challenge=x")
	require.Equal(t, http.StatusBadRequest, unknown.status)
}

// Somebody else may have made an account with the address before, with a
// password of theirs.
func TestSocialSignInDisarmsAnAccountThatNobodyVerified(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised, func(o *server.Options) { o.VerifyAtOnce = false })
	squatter := fields{"email": "dora@example.com", "password": "Passw0rd!squatter", "name": "Not Dora"}
	require.Equal(t, http.StatusOK, i.browser().signUp(squatter).status)
	i.social("dora@example.com", "Dora Drew")
	got := i.browser().post("/api/auth/sign-in/email", squatter)
	require.Equal(t, "INVALID_EMAIL_OR_PASSWORD", code(t, got))
}

func TestSocialCallbackNeedsTheBrowserThatLeft(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	got := i.browser().get("/api/auth/callback/umbrella?code=x&state=y")
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Empty(t, got.header.Get("Set-Cookie"))
	out := i.browser().form("/api/auth/sign-in/social", url.Values{"return_to": {"https://evil.example/"}})
	require.Equal(t, http.StatusForbidden, out.status)
}
