package authn_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// mint is a token endpoint: it checks the client's credential and the subject
// token, and signs what it gives out.
type mint struct {
	*httptest.Server
	issuer   *authntest.Issuer
	clock    *authntest.Clock
	subjects *authn.Verifier
	keyFile  string

	mu       sync.Mutex
	secret   string
	lifetime time.Duration
	down     bool
	gate     chan struct{} // if not nil, answers wait for it
	forms    []url.Values
}

const mintAudience = "orders"

func newMint(t *testing.T) *mint {
	t.Helper()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("EdDSA"))
	m := &mint{issuer: iss, clock: clock, subjects: iss.Verifier(t, mintAudience), secret: "sl key/1+%", lifetime: authntest.DefaultLifetime}
	m.keyFile = filepath.Join(t.TempDir(), "api-key")
	m.writeKey(t, m.secret)
	m.Server = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(m.Close)
	return m
}

func (m *mint) writeKey(t *testing.T, key string) {
	t.Helper()
	require.NoError(t, os.WriteFile(m.keyFile, []byte(key+"\n"), 0o600))
}

func (m *mint) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *mint) requests() []url.Values {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]url.Values(nil), m.forms...)
}

func (m *mint) serve(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	m.mu.Lock()
	m.forms = append(m.forms, r.PostForm)
	secret, lifetime, down, gate := m.secret, m.lifetime, m.down, m.gate
	m.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	id, password, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	password, _ = url.QueryUnescape(password)
	if assertion := r.PostForm.Get("client_assertion"); assertion != "" {
		id, password = "orders", assertion
	}
	if id != "orders" || password != secret {
		m.refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	expiry := authntest.ExpiresAt(m.clock.Now().Add(lifetime))
	audience := authntest.Audience(r.PostForm.Get("audience"))
	scope := authntest.Scope(r.PostForm.Get("scope"))
	var token string
	switch r.PostForm.Get("grant_type") {
	case authn.GrantClientCredentials:
		token = m.issuer.ServiceToken(id, audience, scope, expiry)
	case authn.GrantTokenExchange:
		subject, err := m.subjects.Verify(r.Context(), r.PostForm.Get("subject_token"))
		if err != nil || r.PostForm.Get("subject_token_type") != authn.TokenTypeAccessToken {
			m.refuse(w, http.StatusBadRequest, "invalid_grant")
			return
		}
		token = m.issuer.UserToken(subject.UserID(), authntest.ActedBy(id), audience, scope, expiry)
	default:
		m.refuse(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(lifetime.Seconds())})
}

func (m *mint) refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": code, "error_description": "quotes the secret: " + m.secret})
}

func (m *mint) source(t *testing.T, changes ...func(*authn.TokenSourceConfig)) *authn.TokenSource {
	t.Helper()
	cfg := authn.TokenSourceConfig{
		TokenURL: m.URL, ClientID: "orders", APIKeyFile: m.keyFile, Audience: "billing",
		Scopes: []string{"billing:invoices:create"}, Now: m.clock.Now, Logger: silent,
	}
	for _, change := range changes {
		change(&cfg)
	}
	s, err := authn.NewTokenSource(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func (m *mint) delegator(t *testing.T, list *authn.RevocationList) *authn.Delegator {
	t.Helper()
	d, err := authn.NewDelegator(authn.DelegatorConfig{
		TokenURL: m.URL, ClientID: "orders", APIKeyFile: m.keyFile, Now: m.clock.Now, Logger: silent, Revocations: list, MaxTokens: 3,
	})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}
