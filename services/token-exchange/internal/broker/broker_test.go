package broker_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/internal/broker"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

const upstreamKey = "upstreamKeyOfOrders"

// keys has an upstream key for "orders" alone.
type keys struct{ version atomic.Int64 }

func (k *keys) Version(_ context.Context, client string) (int64, error) {
	if client != "orders" {
		return 0, broker.ErrNoKey
	}
	return k.version.Load(), nil
}

func (k *keys) Open(ctx context.Context, client string) (string, int64, error) {
	v, err := k.Version(ctx, client)
	return upstreamKey, v, err
}

// world is an Auther with really signed tokens, and a broker in front of it.
type world struct {
	issuer   *authntest.Issuer
	clock    *authntest.Clock
	keys     *keys
	broker   *broker.Broker
	requests atomic.Int64
	mu       sync.Mutex
	answer   http.HandlerFunc // nil: a token
	seen     []*http.Request
	bodies   []string
}

func (w *world) token(options ...authntest.TokenOption) string {
	return w.issuer.UserToken("owner-of-the-key", append([]authntest.TokenOption{
		authntest.Header("typ", "JWT"), authntest.Claim("apiKeyId", "k-1"), authntest.Claim("kind", nil), authntest.Claim("client_id", nil),
		authntest.Claim("jti", nil), authntest.Claim("sid", nil), authntest.Claim("auth_time", nil), authntest.Scope("api_key_exchange"), authntest.Claim("aud", "https://api.example"),
		authntest.IssuedAt(w.clock.Now()), authntest.ExpiresAt(w.clock.Now().Add(15 * time.Minute)),
	}, options...)...)
}

func give(token string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"token": token, "tokenType": "Bearer", "expiresIn": 900, "secret": "SENTINEL"})
	}
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.requests.Add(1)
	raw, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.seen, w.bodies = append(w.seen, r), append(w.bodies, string(raw))
	answer := w.answer
	w.mu.Unlock()
	if answer == nil {
		answer = give(w.token())
	}
	answer(rw, r)
}

func (w *world) answers(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = h
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{clock: authntest.NewClock(time.Now().Truncate(time.Second)), keys: &keys{}}
	w.issuer = authntest.NewIssuer(t, authntest.WithAlgorithm("RS256"), authntest.WithClock(w.clock))
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(server.Close)
	cfg := authn.Config{Issuers: []authn.IssuerConfig{w.issuer.Config("auther")}}
	w.broker = broker.New(broker.Options{
		Upstream: broker.NewUpstream(server.URL, server.Client()), Keys: w.keys, Own: []string{"token-exchange"}, Issuer: "https://sts.example",
		Verifier: authntest.NewVerifier(t, cfg, authn.Options{Audiences: []string{"token-exchange"}, SkipRevocation: true, Now: w.clock.Now}),
		Logger:   slog.New(slog.DiscardHandler), Now: w.clock.Now,
	})
	return w
}

func (w *world) mint(ctx context.Context) (*exchange.Issued, error) {
	return w.broker.Mint(ctx, "orders", []string{"https://api.example"}, nil)
}

func refused(t *testing.T, err error, status int, reason string) {
	t.Helper()
	var e *oauth.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, status, e.Status, err)
	require.Equal(t, reason, e.Reason)
	require.NotContains(t, e.Description, "SENTINEL")
	require.NotContains(t, err.Error(), "SENTINEL", "the upstream's words are not even logged")
	require.NotContains(t, err.Error(), upstreamKey)
}

func TestMint_H7_KeepsWhatTheUpstreamGave(t *testing.T) {
	t.Parallel()
	w := setup(t)
	issued, err := w.mint(t.Context())
	require.NoError(t, err)
	require.Equal(t, "api_key_exchange", issued.Scope)
	require.Equal(t, "Bearer", issued.TokenType)
	require.EqualValues(t, 900, issued.ExpiresIn)
	require.NotEmpty(t, issued.TokenID)
	_, err = w.broker.Mint(t.Context(), "orders", []string{"https://api.example", "billing"}, nil)
	refused(t, err, 400, "upstream_audience")
	_, err = w.broker.Mint(t.Context(), "orders", []string{"https://api.example"}, []string{"orders:write"})
	refused(t, err, 400, "upstream_scope")
	_, err = w.broker.Mint(t.Context(), "billing", []string{"https://api.example"}, nil)
	refused(t, err, 400, "no_upstream_key")
	require.EqualValues(t, 1, w.requests.Load(), "cached")
	require.True(t, w.broker.Mints([]string{"https://api.example"}))
	require.False(t, w.broker.Mints([]string{"token-exchange"}))
}

func TestMint_H6_OnlyTheUpstreamKeyGoesUp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, err := w.mint(t.Context())
	require.NoError(t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.JSONEq(t, `{"apiKey":"`+upstreamKey+`"}`, w.bodies[0])
	require.Equal(t, "/api/auth/api-key/exchange", w.seen[0].URL.Path)
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "X-Forwarded-For"} {
		require.Empty(t, w.seen[0].Header.Get(name), name)
	}
}

func TestMint_H6_WhatCanBeWrongWithAnAnswer(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(code)
			_, _ = io.WriteString(rw, body)
		}
	}
	for name, c := range map[string]struct {
		answer func(w *world) http.HandlerFunc
		status int
		reason string
	}{
		"500": {func(*world) http.HandlerFunc { return status(500, `{"error":"SENTINEL"}`) }, 502, "upstream_broken"},
		"Auther shipped": {func(*world) http.HandlerFunc {
			return status(500, `{"error":"internal_error","message":"Failed to process signing key"}`)
		}, 502, "upstream_cannot_exchange"},
		"503": {func(*world) http.HandlerFunc { return status(503, "SENTINEL") }, 503, "upstream_unreachable"},
		"429": {func(*world) http.HandlerFunc { return status(429, "SENTINEL") }, 503, "upstream_unreachable"},
		"401": {func(*world) http.HandlerFunc { return status(401, "SENTINEL") }, 400, "upstream_refused_key"},
		"403": {func(*world) http.HandlerFunc { return status(403, "SENTINEL") }, 400, "upstream_refused_key"},
		"404": {func(*world) http.HandlerFunc { return status(404, "SENTINEL") }, 502, "upstream_broken"},
		"a redirect": {func(w *world) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					w.answers(give("a key went elsewhere"))
				}
				http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
			}
		}, 502, "upstream_broken"},
		"a huge body": {func(*world) http.HandlerFunc { return status(200, `{"token":"`+strings.Repeat("x", 1<<20)+`"}`) }, 502, "upstream_broken"},
		"HTML": {func(*world) http.HandlerFunc {
			return func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(rw, "<SENTINEL>")
			}
		}, 502, "upstream_broken"},
		"no token":     {func(*world) http.HandlerFunc { return status(200, `{"message":"SENTINEL"}`) }, 502, "upstream_broken"},
		"nonsense":     {func(*world) http.HandlerFunc { return status(200, `SENTINEL`) }, 502, "upstream_broken"},
		"a forged one": {func(w *world) http.HandlerFunc { return give(w.token(authntest.SignedBy(w.issuer.ForeignKey()))) }, 502, "upstream_broken"},
		"an expired": {func(w *world) http.HandlerFunc {
			return give(w.token(authntest.ExpiresAt(w.clock.Now().Add(-time.Hour))))
		}, 502, "upstream_broken"},
		"a user's": {func(w *world) http.HandlerFunc { return give(w.issuer.UserToken("u1", authntest.Claim("kind", nil))) }, 502, "upstream_broken"},
		"a dead socket": {func(*world) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}, 503, "upstream_unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.answers(c.answer(w))
			_, err := w.mint(t.Context())
			refused(t, err, c.status, c.reason)
		})
	}
}

func TestMint_H6_ASlowUpstreamIsGivenUp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	release := make(chan struct{})
	defer close(release)
	w.answers(func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := w.mint(ctx)
	refused(t, err, 503, "upstream_unreachable")
}

func TestMint_OneFlightForManyCallers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	release := make(chan struct{})
	token := w.token()
	w.answers(func(rw http.ResponseWriter, r *http.Request) {
		<-release
		give(token)(rw, r)
	})
	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := w.mint(impatient); first <- err }()
	require.Eventually(t, func() bool { return w.requests.Load() == 1 }, 10*time.Second, time.Millisecond)
	var all sync.WaitGroup
	var good atomic.Int64
	for range 50 {
		all.Go(func() {
			if _, err := w.mint(t.Context()); err == nil {
				good.Add(1)
			}
		})
	}
	cancel() // who began it leaves; the flight goes on
	require.Error(t, <-first)
	close(release)
	all.Wait()
	require.EqualValues(t, 50, good.Load())
	require.EqualValues(t, 1, w.requests.Load())
}

// TestMint_ThroughAnOutage states the bound: until the end of the cached token,
// which was asked for anew since the half of its life.
func TestMint_ThroughAnOutage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first, err := w.mint(t.Context())
	require.NoError(t, err)
	w.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
	w.clock.Advance(7*time.Minute + 29*time.Second)
	_, err = w.mint(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, w.requests.Load(), "in the first half of its life nothing is asked")
	w.clock.Advance(2 * time.Second)
	again, err := w.mint(t.Context())
	require.NoError(t, err)
	require.Equal(t, first.AccessToken, again.AccessToken)
	require.EqualValues(t, 2, w.requests.Load(), "in the second half it is tried")
	require.EqualValues(t, 15*60-7*60-31, again.ExpiresIn)
	w.clock.Advance(7*time.Minute + 18*time.Second) // 11 s are left
	_, err = w.mint(t.Context())
	require.NoError(t, err)
	w.clock.Advance(2 * time.Second)
	_, err = w.mint(t.Context())
	refused(t, err, 503, "upstream_unreachable")
	w.answers(nil)
	fresh, err := w.mint(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first.AccessToken, fresh.AccessToken)
}

func TestMint_AKeyThatWasTakenAwayIsNoOutage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, err := w.mint(t.Context())
	require.NoError(t, err)
	w.clock.Advance(8 * time.Minute)
	w.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) })
	_, err = w.mint(t.Context())
	refused(t, err, 400, "upstream_refused_key")
}

func TestMint_ANewKeyMakesANewToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, err := w.mint(t.Context())
	require.NoError(t, err)
	w.keys.version.Add(1)
	_, err = w.mint(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, w.requests.Load())
}

func TestMint_TheCircuitBreaks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
	for range 5 {
		_, err := w.mint(t.Context())
		refused(t, err, 502, "upstream_broken")
	}
	_, err := w.mint(t.Context())
	refused(t, err, 503, "upstream_unreachable")
	require.EqualValues(t, 5, w.requests.Load(), "an open circuit sends nothing")
	require.ErrorIs(t, w.broker.Check(t.Context(), "orders"), broker.ErrUnreachable)
}
