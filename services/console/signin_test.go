package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

const sessionCookie = "shadowless_session"

func TestSignIn_ShowsWhoIAmAndWhatMyTokenHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	require.Contains(t, b.get("/").body, "No users table")
	p := b.signIn()
	for _, text := range []string{"auth0|alice &amp; co", "tenant acme", "client_shop:invoice", "refund<span> is asked</span>", "orders, billing, console", "Up to date"} {
		require.Contains(t, p.body, text)
	}
	require.NotContains(t, p.body, "eyJ", "a token never reaches the browser")
	require.NotContains(t, b.cookie(sessionCookie), "eyJ")
	require.Equal(t, 1, w.sessions())
}

func TestSignIn_Refusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refused := func(p page, b *browser, status int, sentence string) {
		t.Helper()
		require.Equal(t, status, p.status, p.body)
		require.Contains(t, p.body, sentence)
		require.Empty(t, b.cookie(sessionCookie))
	}

	b := w.browser()
	answer := b.begin()
	other := w.browser()
	other.begin()
	refused(other.get(answer.String()), other, http.StatusBadRequest, "another sign-in") // state mismatch
	refused(w.browser().get(answer.String()), w.browser(), http.StatusBadRequest, "begun in another browser")

	b = w.browser()
	answer = b.begin()
	b.plant("shadowless_sign_in", "AAAA")
	refused(b.get(answer.String()), b, http.StatusBadRequest, "begun in another browser")

	b = w.browser()
	answer = b.begin()
	q := answer.Query()
	q.Set("iss", "https://another.example")
	answer.RawQuery = q.Encode()
	refused(b.get(answer.String()), b, http.StatusBadRequest, "another sign-in")

	b = w.browser()
	answer = b.begin()
	q = answer.Query()
	q.Set("code", "a code that was injected")
	answer.RawQuery = q.Encode()
	refused(b.get(answer.String()), b, http.StatusForbidden, "did not sign you in")

	w.idp.change(func(i *testIDP) { i.nonce = "another nonce" })
	b = w.browser()
	refused(b.get("/auth/login"), b, http.StatusBadGateway, "cannot be accepted")
	w.idp.change(func(i *testIDP) { i.nonce = ""; i.denied = true })
	refused(b.get("/auth/login"), b, http.StatusForbidden, "did not sign you in")
	require.Zero(t, w.sessions())
}

func TestSignIn_AnAnswerIsGoodOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	answer := b.begin()
	require.Contains(t, b.get(answer.String()).body, "My orders")
	again := b.get(answer.String())
	require.Equal(t, http.StatusBadRequest, again.status)
	require.Equal(t, 1, w.sessions())
}

func TestSignIn_StartsUnderANewCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	const planted = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	b.plant(sessionCookie, planted)
	b.signIn()
	first := b.cookie(sessionCookie)
	require.NotEqual(t, planted, first)

	b.signIn()
	require.NotEqual(t, first, b.cookie(sessionCookie))
	require.Equal(t, 1, w.sessions(), "the session before was ended")
	thief := w.browser()
	thief.plant(sessionCookie, first)
	require.Contains(t, thief.get("/").body, "That session has ended")
}

func TestSignIn_ProviderIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idp.change(func(i *testIDP) { i.down = true })
	p := w.browser().get("/auth/login")
	require.Equal(t, http.StatusServiceUnavailable, p.status)
	require.Contains(t, p.body, "does not answer right now")
	require.NotEmpty(t, p.header.Get("Retry-After"))
}

func TestSignIn_DiscoveryOfAnotherIssuerIsNotUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idp.change(func(i *testIDP) { i.named = "https://another.example" })
	require.Equal(t, http.StatusServiceUnavailable, w.browser().get("/auth/login").status)
}

func TestSignIn_ErasedUserIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tombstones, err := participant.LoadTombstones(w.tombstoneFile)
	require.NoError(t, err)
	_, err = w.db.Owner.Exec(t.Context(), `INSERT INTO participant_tombstones (hash, key_id, erasure_id, version) VALUES ($1, $2, 'e', 1)`,
		tombstones.Hash(w.idp.user), tombstones.KeyID())
	require.NoError(t, err)
	b := w.browser()
	p := b.get("/auth/login")
	require.Equal(t, http.StatusForbidden, p.status)
	require.Contains(t, p.body, "This account was deleted")
	require.Empty(t, b.cookie(sessionCookie))
	require.Zero(t, w.sessions())
}

func TestSession_RevocationEndsItWithASentence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	p := b.signIn()
	w.mesh.Revoke(authn.Revocation{
		Kind: authn.RevokedUser, Key: authn.NewRevocationKey(authn.RevokedUser, w.idp.user),
		Before: time.Now().Add(time.Minute), Expires: time.Now().Add(time.Hour),
	})
	require.Eventually(t, func() bool {
		p = b.get("/")
		return strings.Contains(p.body, "Your sign-in was revoked")
	}, meshtest.Within, meshtest.Every)
	require.Contains(t, p.body, "Sign in")
	require.Empty(t, b.cookie(sessionCookie))
	require.Zero(t, w.sessions())

	p = b.get("/auth/login")
	require.Equal(t, http.StatusForbidden, p.status, "a token from before is refused at once")
	require.Contains(t, p.body, "revoked")
}

func TestSession_IsRenewedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idp.change(func(i *testIDP) { i.accessLeft = 20 * time.Second })
	b := w.browser()
	b.signIn() // the page that it lands on renews already
	w.idp.change(func(i *testIDP) { i.accessLeft = 15 * time.Minute })
	before := w.idp.renewed()
	done := make(chan page, 12)
	for range cap(done) {
		go func() { done <- b.get("/") }()
	}
	for range cap(done) {
		require.Contains(t, (<-done).body, "My orders")
	}
	require.Equal(t, before+1, w.idp.renewed())
	b.get("/")
	require.Equal(t, before+1, w.idp.renewed())
}

func TestSession_ProviderIsDownOrRefusesToRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idp.change(func(i *testIDP) { i.accessLeft = 20 * time.Second })
	b := w.browser()
	b.signIn()
	w.idp.change(func(i *testIDP) { i.down = true })
	require.Contains(t, b.get("/").body, "My orders", "a token that lives is good without the provider")
	w.idp.change(func(i *testIDP) { i.down, i.refuses = false, true })
	require.Contains(t, b.get("/").body, "no longer renews your sign-in")
	require.Zero(t, w.sessions())
}

func TestLogout_EndsTheSessionOnTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	value := b.cookie(sessionCookie)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
	} {
		p := b.do(http.MethodPost, "/auth/logout", nil, headers...)
		require.Equal(t, http.StatusForbidden, p.status)
		require.Contains(t, p.body, "Another site made your browser send this")
	}
	require.Contains(t, b.get("/").body, "My orders")

	p := b.post("/auth/logout", nil)
	require.Contains(t, p.body, "You are signed out.")
	require.Empty(t, b.cookie(sessionCookie))
	require.Zero(t, w.sessions())
	thief := w.browser()
	thief.plant(sessionCookie, value)
	require.Contains(t, thief.get("/").body, "That session has ended")
	require.NotContains(t, b.get("/").body, "You are signed out.", "a notice is shown once")
	require.Contains(t, b.post("/auth/logout", nil).body, "You are signed out.")
}
