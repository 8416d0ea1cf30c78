package workload_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/workload"
)

// guarded shows an issuer's key set to whoever has the token, as a cluster shows
// its own to service accounts alone. An empty token lets everybody see it.
type guarded struct {
	issuer *authntest.Issuer
	server *httptest.Server
	mu     sync.Mutex
	token  string
	sent   []string
}

func guard(t *testing.T, token string) *guarded {
	t.Helper()
	g := &guarded{issuer: authntest.NewIssuer(t, authntest.WithAlgorithm("RS256")), token: token}
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Authorization")
		g.mu.Lock()
		g.sent = append(g.sent, sent)
		refused := g.token != "" && sent != "Bearer "+g.token
		g.mu.Unlock()
		if refused {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		keys, err := http.Get(g.issuer.JWKSURL()) //nolint:noctx // a test's own server
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer keys.Body.Close() //nolint:errcheck // only read from
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, keys.Body)
	}))
	t.Cleanup(g.server.Close)
	return g
}

func (g *guarded) assertion() string {
	now := time.Now()
	return g.issuer.Sign(map[string]any{
		"iss": g.issuer.Name(), "sub": "system:serviceaccount:shop:reports", "aud": "https://sts.example", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}, authntest.Header("typ", nil))
}

func (g *guarded) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.sent...)
}

func trust(t *testing.T, issuers ...policy.WorkloadIssuer) *authn.Verifier {
	t.Helper()
	list := authn.NewRevocationList(authn.RevocationListOptions{})
	v, err := workload.Trust(t.Context(), workload.TrustOptions{
		Issuers: issuers, Audiences: []string{"https://sts.example"}, Revocations: list, HTTPClient: &http.Client{Timeout: 5 * time.Second},
		Logger: slog.New(slog.DiscardHandler), Development: true,
	})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

// TestTrust_TokenFile: the file's token goes to the key set it is for and to no
// other, and is read again for each fetch, since a cluster renews it.
func TestTrust_TokenFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("first\n"), 0o600))
	cluster, public := guard(t, "second"), guard(t, "")
	v := trust(t,
		policy.WorkloadIssuer{Issuer: cluster.issuer.Name(), JWKSURLs: []string{cluster.server.URL}, TokenFile: file},
		policy.WorkloadIssuer{Issuer: public.issuer.Name(), JWKSURLs: []string{public.server.URL}})

	require.Eventually(t, func() bool { return len(cluster.seen()) > 0 }, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, "Bearer first", cluster.seen()[0])
	_, err := v.Verify(t.Context(), cluster.assertion())
	require.ErrorIs(t, err, authn.ErrKeysUnavailable, "the cluster refuses that token")
	require.NoError(t, os.WriteFile(file, []byte("second\n"), 0o600))
	require.Eventually(t, func() bool {
		p, err := v.Verify(t.Context(), cluster.assertion())
		return err == nil && p.Subject() == "system:serviceaccount:shop:reports"
	}, 20*time.Second, 50*time.Millisecond, "the renewed token is read")

	require.Eventually(t, func() bool { _, err := v.Verify(t.Context(), public.assertion()); return err == nil }, 10*time.Second, 50*time.Millisecond)
	for _, sent := range public.seen() {
		require.Empty(t, sent, "another issuer never sees it")
	}
}

// TestTrust_NoTokenFile: without its file nothing is fetched, and nothing is
// asked without the token.
func TestTrust_NoTokenFile(t *testing.T) {
	t.Parallel()
	cluster := guard(t, "")
	v := trust(t, policy.WorkloadIssuer{
		Issuer: cluster.issuer.Name(), JWKSURLs: []string{cluster.server.URL}, TokenFile: filepath.Join(t.TempDir(), "absent"),
	})
	_, err := v.Verify(t.Context(), cluster.assertion())
	require.ErrorIs(t, err, authn.ErrKeysUnavailable)
	require.Empty(t, cluster.seen())
}
