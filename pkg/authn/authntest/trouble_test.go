package authntest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func ask(t *testing.T, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, body, err
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	for _, trouble := range authntest.Troubles() {
		t.Run(string(trouble), func(t *testing.T) {
			t.Parallel()
			iss := authntest.NewIssuer(t)
			honest := string(iss.JWKS())
			iss.Trouble(trouble)
			resp, body, err := ask(t, iss.JWKSURL())
			switch trouble {
			case authntest.Hang, authntest.Drop, authntest.RedirectLoop:
				require.Error(t, err)
			case authntest.Outage:
				require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			case authntest.Unchanged:
				require.Equal(t, http.StatusNotModified, resp.StatusCode)
			case authntest.Endless:
				require.Len(t, body, 1<<20)
			case authntest.EmptySet, authntest.HTMLPage, authntest.Truncated:
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, resp.StatusCode)
				require.NotEqual(t, honest, string(body))
			case authntest.RedirectAway:
				require.Equal(t, "localhost", resp.Request.URL.Hostname())
				var set struct{ Keys []struct{ KID, X string } }
				require.NoError(t, json.Unmarshal(body, &set))
				require.Equal(t, iss.ForeignKey().JWK()["x"], set.Keys[0].X)
			}
			iss.Up()
			_, body, err = ask(t, iss.JWKSURL())
			require.NoError(t, err)
			require.Equal(t, honest, string(body))
		})
	}
}

func TestIssuer_CachingAndSlowness(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	iss.CacheControl("max-age=60")
	resp, _, err := ask(t, iss.JWKSURL())
	require.NoError(t, err)
	require.Equal(t, "max-age=60", resp.Header.Get("Cache-Control"))
	resp, _, err = ask(t, iss.JWKSURL(), "If-None-Match", resp.Header.Get("ETag"))
	require.NoError(t, err)
	require.Equal(t, http.StatusNotModified, resp.StatusCode)
	require.Equal(t, 1, iss.NotModified())

	iss.Slow(50 * time.Millisecond)
	began := time.Now()
	_, _, err = ask(t, iss.URL()+"/.well-known/openid-configuration")
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	iss.Slow(time.Hour)
	_, _, err = ask(t, iss.JWKSURL())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestIssuer_EveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			iss := authntest.NewIssuer(t, authntest.WithAlgorithm(alg))
			_, err := iss.Verifier(t, "orders").Verify(t.Context(), iss.UserToken("alice", authntest.Audience("orders")))
			require.NoError(t, err)
		})
	}
}
