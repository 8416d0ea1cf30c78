package authn_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// downstream is a service that is called: it verifies tokens for real.
type downstream struct {
	*httptest.Server
	verifier *authn.Verifier

	mu     sync.Mutex
	seen   []string
	bodies []string
}

func (m *mint) downstream(t *testing.T, audience string) *downstream {
	t.Helper()
	d := &downstream{verifier: m.issuer.Verifier(t, audience)}
	answer := d.verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := authn.FromContext(r.Context())
		_, _ = io.WriteString(w, p.Subject())
	}))
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		d.seen = append(d.seen, r.Header.Get("Authorization"))
		d.bodies = append(d.bodies, string(body))
		d.mu.Unlock()
		answer.ServeHTTP(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *downstream) calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.seen...)
}

func do(t *testing.T, client *http.Client, req *http.Request) (int, string) {
	t.Helper()
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func request(t *testing.T, p *authn.Principal, method, url, body string) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(authn.NewContext(t.Context(), p), method, url, reader)
	require.NoError(t, err)
	return req
}

func TestDelegator_Transport(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	d := m.delegator(t, nil)
	billing := m.downstream(t, "billing")
	client := &http.Client{Transport: d.Transport(nil, "billing", "billing:invoices:create")}
	alice, bob := m.caller(t, "alice"), m.caller(t, "bob")
	for range 3 {
		status, body := do(t, client, request(t, alice, http.MethodPost, billing.URL, "order"))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "alice", body)
	}
	_, body := do(t, client, request(t, bob, http.MethodGet, billing.URL, ""))
	require.Equal(t, "bob", body, "each caller's own token, whatever was sent before")
	require.Len(t, m.requests(), 2)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, billing.URL, nil)
	require.NoError(t, err)
	_, err = client.Do(req)
	require.ErrorIs(t, err, authn.ErrMissingToken, "nobody to act for")
}

// What the called service refuses is dropped and fetched once more.
func TestDelegator_RefusedTokenIsFetchedOnceMore(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	d := m.delegator(t, nil)
	billing := m.downstream(t, "billing")
	client := &http.Client{Transport: d.Transport(nil, "billing")}
	alice := m.caller(t, "alice")
	status, _ := do(t, client, request(t, alice, http.MethodPost, billing.URL, "first"))
	require.Equal(t, http.StatusOK, status)

	// Revoked where it is used, and we have not heard of it.
	p, err := billing.verifier.Verify(t.Context(), strings.TrimPrefix(billing.calls()[0], "Bearer "))
	require.NoError(t, err)
	billing.verifier.Revocations().Apply(revoke(authn.RevokedToken, p.TokenID()))
	status, body := do(t, client, request(t, alice, http.MethodPost, billing.URL, "second"))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "alice", body)
	require.Len(t, m.requests(), 2)
	require.Equal(t, []string{"first", "second", "second"}, billing.bodies)

	billing.verifier.Revocations().Apply(revoke(authn.BlockedUser, "alice"))
	status, _ = do(t, client, request(t, alice, http.MethodGet, billing.URL, ""))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Len(t, m.requests(), 3, "once, not for ever")
}

// A body that cannot be had twice is not sent twice; the next call has a new token.
func TestTransport_BodyThatCannotBeRepeated(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s := m.source(t)
	billing := m.downstream(t, "billing")
	client := &http.Client{Transport: s.Transport(nil)}
	first, err := s.Token()
	require.NoError(t, err)
	p, err := billing.verifier.Verify(t.Context(), first.AccessToken)
	require.NoError(t, err)
	billing.verifier.Revocations().Apply(revoke(authn.RevokedToken, p.TokenID()))
	req := request(t, nil, http.MethodPost, billing.URL, "")
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader("stream")), -1
	status, _ := do(t, client, req)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = do(t, client, request(t, nil, http.MethodGet, billing.URL, ""))
	require.Equal(t, http.StatusOK, status)
	require.Len(t, billing.calls(), 2)
}

func TestTransport_NoTokenForAnotherHost(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	var mu sync.Mutex
	var stolen []string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		stolen = append(stolen, r.Header.Get("Authorization"))
	}))
	t.Cleanup(thief.Close)
	var here []string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		here = append(here, r.Header.Get("Authorization"))
		mu.Unlock()
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		case "/twice":
			http.Redirect(w, r, "/away", http.StatusFound)
		case "/stay":
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	t.Cleanup(service.Close)
	for _, base := range []http.RoundTripper{m.source(t).Transport(nil), m.delegator(t, nil).Transport(nil, "billing")} {
		client := &http.Client{Transport: base}
		for _, path := range []string{"/away", "/twice", "/stay"} {
			status, _ := do(t, client, request(t, m.caller(t, "alice"), http.MethodGet, service.URL+path, ""))
			require.Equal(t, http.StatusOK, status)
		}
	}
	require.Equal(t, []string{"", "", "", ""}, stolen)
	require.Len(t, here, 10)
	require.NotContains(t, here, "", "on its own host it stays")
}

func TestDelegator_TokenSource(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	billing := m.downstream(t, "billing")
	source := m.delegator(t, nil).TokenSource(t.Context(), m.caller(t, "alice"), "billing")
	status, body := do(t, oauth2.NewClient(t.Context(), source), request(t, nil, http.MethodGet, billing.URL, ""))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "alice", body)
}

// Heard of a revocation, a token of our own is replaced before it is sent.
func TestSender_RevokedTokensAreDroppedAndFetchedOnceMore(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	list := authn.NewRevocationList(authn.RevocationListOptions{Now: m.clock.Now})
	s, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: m.URL, ClientID: "orders", APIKeyFile: m.keyFile, Audience: "billing", Now: m.clock.Now, Logger: silent, Revocations: list,
	})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	d := m.delegator(t, list)
	alice := m.caller(t, "alice")
	verifier := m.issuer.Verifier(t, "billing")
	for name, get := range map[string]func() (*oauth2.Token, error){
		"service token":   s.Token,
		"delegated token": func() (*oauth2.Token, error) { return d.OnBehalfOf(t.Context(), alice, "billing") },
	} {
		first, err := get()
		require.NoError(t, err, name)
		p, err := verifier.Verify(t.Context(), first.AccessToken)
		require.NoError(t, err, name)
		list.Apply(revoke(authn.RevokedToken, p.TokenID()))
		m.clock.Advance(time.Second)
		before := len(m.requests())
		for range 5 {
			again, err := get()
			require.NoError(t, err, name)
			require.NotEqual(t, first.AccessToken, again.AccessToken, name)
		}
		require.Len(t, m.requests(), before+1, name)

		// The client itself, before now: everything it holds is dead.
		second, err := get()
		require.NoError(t, err, name)
		list.Apply(revokeBefore(authn.RevokedClient, "orders", m.clock.Now()))
		m.clock.Advance(time.Second)
		third, err := get()
		require.NoError(t, err, name)
		require.NotEqual(t, second.AccessToken, third.AccessToken, name)
		m.clock.Advance(time.Second)
	}
}

// The endpoint says that the caller's token is dead: what was made of it is not
// handed out any longer, though nobody told our own list.
func TestDelegator_SubjectRefusedWhileRenewing(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	d := m.delegator(t, nil)
	alice := m.caller(t, "alice")
	_, err := d.OnBehalfOf(t.Context(), alice, "billing")
	require.NoError(t, err)
	m.subjects.Revocations().Apply(revoke(authn.BlockedUser, "alice"))
	m.clock.Advance(authntest.DefaultLifetime * 82 / 100)
	require.Eventually(t, func() bool {
		_, err = d.OnBehalfOf(t.Context(), alice, "billing")
		return err != nil
	}, 5*time.Second, time.Millisecond)
	require.ErrorIs(t, err, authn.ErrTokenRefused)
}

// Without a live token a dead endpoint is asked three times, then once a
// second, however many callers there are.
func TestSender_NoStormWhileTheEndpointIsDown(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	m.set(func() { m.down = true })
	s := m.source(t)
	for range 200 {
		_, err := s.Token()
		require.ErrorIs(t, err, authn.ErrTokenUnavailable)
	}
	require.Len(t, m.requests(), 3)
	m.clock.Advance(time.Second)
	for range 200 {
		_, err := s.Token()
		require.ErrorIs(t, err, authn.ErrTokenUnavailable)
	}
	require.Len(t, m.requests(), 4)
	m.set(func() { m.down = false })
	m.clock.Advance(time.Second)
	_, err := s.Token()
	require.NoError(t, err)
}

// An outage that lies within a token's life costs no call at all, at any time
// and for either kind of token, and a minute after its end all is new again.
func TestSender_OutageWithinATokensLifeCostsNothing(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	s, d := m.source(t), m.delegator(t, nil)
	alice := m.caller(t, "alice", authntest.ExpiresAt(start.Add(time.Hour)))
	own, err := s.Token()
	require.NoError(t, err)
	delegated, err := d.OnBehalfOf(t.Context(), alice, "billing")
	require.NoError(t, err)
	m.set(func() { m.down = true })
	for m.clock.Now().Before(start.Add(authntest.DefaultLifetime - 30*time.Second)) {
		m.clock.Advance(10 * time.Second)
		_, err = s.Token()
		require.NoError(t, err)
		_, err = d.OnBehalfOf(t.Context(), alice, "billing")
		require.NoError(t, err)
	}
	m.set(func() { m.down = false })
	require.Eventually(t, func() bool {
		m.clock.Advance(100 * time.Millisecond)
		a, errA := s.Token()
		b, errB := d.OnBehalfOf(t.Context(), alice, "billing")
		require.NoError(t, errA)
		require.NoError(t, errB)
		return a.AccessToken != own.AccessToken && b.AccessToken != delegated.AccessToken
	}, 5*time.Second, time.Millisecond)
}

// A projected workload token is replaced on disk every hour or so: each request
// sends the one that is there then.
func TestSender_WorkloadTokenIsReadAgain(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(content string) { require.NoError(t, os.WriteFile(file, []byte(content), 0o600)) }
	write("assertion-1\n")
	m.set(func() { m.secret = "assertion-1" })
	s, err := authn.NewTokenSource(authn.TokenSourceConfig{TokenURL: m.URL, AssertionFile: file, Now: m.clock.Now, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	d, err := authn.NewDelegator(authn.DelegatorConfig{TokenURL: m.URL, ClientID: "orders", AssertionFile: file, Now: m.clock.Now, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	alice := m.caller(t, "alice", authntest.ExpiresAt(start.Add(3*time.Hour)))
	for _, assertion := range []string{"assertion-1", "assertion-2"} {
		write(assertion)
		m.set(func() { m.secret = assertion })
		before := len(m.requests())
		_, err = s.Token()
		require.NoError(t, err)
		_, err = d.OnBehalfOf(t.Context(), alice, "billing")
		require.NoError(t, err)
		for _, form := range m.requests()[before:] {
			require.Equal(t, assertion, form.Get("client_assertion"))
		}
		m.clock.Advance(time.Hour)
	}
	require.Len(t, m.requests(), 4)
}
