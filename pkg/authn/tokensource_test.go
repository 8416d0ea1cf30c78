package authn_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

var silent = slog.New(slog.DiscardHandler)

func TestTokenSource_GetsAndKeepsAToken(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s := m.source(t)
	var _ oauth2.TokenSource = s
	first, err := s.Token()
	require.NoError(t, err)
	require.Equal(t, "Bearer", first.TokenType)
	require.Equal(t, start.Add(authntest.DefaultLifetime), first.Expiry)
	form := m.requests()[0]
	require.Equal(t, "billing", form.Get("audience"))
	require.Equal(t, "billing:invoices:create", form.Get("scope"))
	require.NotContains(t, form.Encode(), "sl+key", "the secret is in the Authorization header only")

	p, err := m.issuer.Verifier(t, "billing").Verify(t.Context(), first.AccessToken)
	require.NoError(t, err)
	require.Equal(t, "orders", p.ClientID())
	require.Equal(t, authn.KindService, p.Kind())

	again, err := s.Token()
	require.NoError(t, err)
	require.Equal(t, first.AccessToken, again.AccessToken)
	require.Len(t, m.requests(), 1)
	again.AccessToken = "spoiled"
	third, err := s.Token()
	require.NoError(t, err)
	require.Equal(t, first.AccessToken, third.AccessToken, "callers get copies")
}

func TestTokenSource_OneFlightAtATime(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s := m.source(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := s.Token(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, m.requests(), 1)
}

func TestTokenSource_RefreshesEarlyInTheBackground(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s := m.source(t)
	first, err := s.Token()
	require.NoError(t, err)
	gate := make(chan struct{})
	m.set(func() { m.gate = gate })
	m.clock.Advance(authntest.DefaultLifetime * 82 / 100)
	during, err := s.Token()
	require.NoError(t, err)
	require.Equal(t, first.AccessToken, during.AccessToken, "nobody waits while a token is alive")
	close(gate)
	require.Eventually(t, func() bool {
		tok, err := s.Token()
		return err == nil && tok.AccessToken != first.AccessToken
	}, 5*time.Second, time.Millisecond)
	require.Len(t, m.requests(), 2)
}

func TestTokenSource_LiveTokenOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s := m.source(t)
	first, err := s.Token()
	require.NoError(t, err)
	m.set(func() { m.down = true })
	m.clock.Advance(authntest.DefaultLifetime * 82 / 100)
	for range 20 {
		tok, err := s.Token()
		require.NoError(t, err)
		require.Equal(t, first.AccessToken, tok.AccessToken)
	}
	require.Eventually(t, func() bool { return len(m.requests()) == 2 }, 5*time.Second, time.Millisecond)
	m.clock.Set(first.Expiry.Add(-10 * time.Second))
	_, err = s.Token()
	require.ErrorIs(t, err, authn.ErrTokenUnavailable)
	m.set(func() { m.down = false })
	tok, err := s.Token()
	require.NoError(t, err)
	require.NotEqual(t, first.AccessToken, tok.AccessToken)
}

func TestTokenSource_RotatedKeyIsReadAgain(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s := m.source(t)
	m.set(func() { m.secret = "new key" })
	_, err := s.Token()
	require.ErrorIs(t, err, authn.ErrTokenRefused)
	var refused *authn.TokenError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "invalid_client", refused.Code)
	require.Equal(t, http.StatusUnauthorized, refused.Status)
	require.NotContains(t, err.Error(), "key", "neither secret nor description")

	m.writeKey(t, "new key")
	_, err = s.Token()
	require.NoError(t, err)
	require.NoError(t, os.Remove(m.keyFile))
	m.clock.Advance(time.Hour)
	_, err = s.Token()
	require.ErrorIs(t, err, authn.ErrTokenUnavailable)
}

func TestTokenSource_WorkloadAssertion(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s, err := authn.NewTokenSource(authn.TokenSourceConfig{TokenURL: m.URL, AssertionFile: m.keyFile, Audience: "billing", Now: m.clock.Now, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	_, err = s.Token()
	require.NoError(t, err)
	form := m.requests()[0]
	require.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", form.Get("client_assertion_type"))
	require.Equal(t, "sl key/1+%", form.Get("client_assertion"))
}

func TestTokenSource_BadAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"no token":       {200, `{"token_type":"Bearer","expires_in":60}`, authn.ErrTokenUnavailable},
		"no lifetime":    {200, `{"access_token":"x","token_type":"Bearer"}`, authn.ErrTokenUnavailable},
		"another type":   {200, `{"access_token":"x","token_type":"DPoP","expires_in":60}`, authn.ErrTokenUnavailable},
		"no JSON":        {200, `x`, authn.ErrTokenUnavailable},
		"rate limited":   {429, ``, authn.ErrTokenUnavailable},
		"error, no code": {400, `<html>`, authn.ErrTokenRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(server.Close)
			m := newMint(t)
			m.URL = server.URL
			_, err := m.source(t).Token()
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestTokenSource_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	away := httptest.NewServer(http.RedirectHandler(m.URL, http.StatusTemporaryRedirect))
	t.Cleanup(away.Close)
	m.URL = away.URL
	_, err := m.source(t).Token()
	require.ErrorIs(t, err, authn.ErrTokenRefused)
	require.Empty(t, m.requests(), "the credential stays")
}

func TestTokenSource_CallerMayGiveUpAndCloseEnds(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	gate := make(chan struct{})
	m.set(func() { m.gate = gate })
	t.Cleanup(func() { close(gate) })
	s := m.source(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.TokenContext(ctx)
	require.ErrorIs(t, err, context.Canceled)
	s.Close()
	_, err = s.Token()
	require.ErrorIs(t, err, authn.ErrTokenUnavailable)
}

func TestTokenSource_ConfigFaults(t *testing.T) {
	t.Parallel()
	_, err := authn.NewTokenSource(authn.TokenSourceConfig{TokenURL: "token-exchange"})
	require.ErrorContains(t, err, "token URL")
	require.ErrorContains(t, err, "client ID")
	require.ErrorContains(t, err, "credential")
	_, err = authn.NewDelegator(authn.DelegatorConfig{TokenURL: "http://x", ClientID: "orders", APIKeyFile: "a", AssertionFile: "b"})
	require.ErrorContains(t, err, "credential")
}

func TestTransport_RepeatsOnceAfterARefusal(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	var mu sync.Mutex
	var seen []string
	var bodies []string
	resource := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"))
		bodies = append(bodies, string(body))
		if len(seen) == 1 || r.URL.Path == "/always" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(resource.Close)
	client := &http.Client{Transport: m.source(t).Transport(nil)}
	resp, err := client.Post(resource.URL, "text/plain", strings.NewReader("order"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Len(t, seen, 2)
	require.NotEqual(t, seen[0], seen[1], "with a new token")
	require.Equal(t, []string{"order", "order"}, bodies)

	resp, err = client.Get(resource.URL + "/always")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Len(t, seen, 4, "once, not for ever")
}
