package transport_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
	"github.com/shadowless/shadowless/services/token-exchange/internal/transport"
)

type set struct{ loaded chan struct{} }

func (s set) KeySet() (signing.KeySet, bool) {
	return signing.KeySet{Document: []byte(`{"keys":[]}`), ETag: `"tag"`}, true
}
func (s set) Loaded() <-chan struct{} { return s.loaded }

func get(ctx context.Context, rt http.RoundTripper, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return string(raw), err
}

func TestOwnKeys_WaitsForItsKeysAndLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other")) }))
	t.Cleanup(other.Close)
	own := transport.NewOwnKeys("https://sts.example/", http.DefaultTransport)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := get(ended, own, "https://sts.example/.well-known/jwks.json")
	require.ErrorIs(t, err, context.Canceled)
	keys := set{loaded: make(chan struct{})}
	own.Use(keys)
	_, err = get(ended, own, "https://sts.example/.well-known/jwks.json")
	require.ErrorIs(t, err, context.Canceled)
	close(keys.loaded)
	body, err := get(t.Context(), own, "https://sts.example/.well-known/jwks.json")
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":[]}`, body)
	body, err = get(t.Context(), own, other.URL+"/.well-known/jwks.json")
	require.NoError(t, err)
	require.Equal(t, "other", body)
}
