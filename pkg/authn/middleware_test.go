package authn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func TestMiddleware(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	server := httptest.NewServer(v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := authn.FromContext(r.Context())
		if !ok {
			t.Error("no principal in the context")
			return
		}
		_, _ = io.WriteString(w, p.UserID())
	})))
	t.Cleanup(server.Close)
	token := iss.UserToken("alice")
	for _, c := range []struct {
		name      string
		headers   []string
		status    int
		challenge string
	}{
		{"good", []string{"Bearer " + token}, 200, ""},
		{"scheme in lower case", []string{"bearer " + token}, 200, ""},
		{"two spaces", []string{"Bearer  " + token}, 200, ""},
		{"no header", nil, 401, `Bearer`},
		{"empty header", []string{""}, 401, `Bearer`},
		{"another scheme", []string{"Basic YTpi"}, 401, `Bearer`},
		{"scheme without token", []string{"Bearer"}, 401, `Bearer`},
		{"empty token", []string{"Bearer "}, 401, `Bearer`},
		{"two headers", []string{"Bearer " + token, "Bearer " + token}, 400, `Bearer error="invalid_request", error_description="One Authorization header is required."`},
		{"garbage", []string{"Bearer garbage"}, 401, `Bearer error="invalid_token", error_description="The access token is not acceptable."`},
		{"wrong audience", []string{"Bearer " + iss.UserToken("alice", authntest.Audience("x"))}, 401, `Bearer error="invalid_token", error_description="The access token is not meant for this service."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"?access_token="+token, nil)
			require.NoError(t, err)
			req.Header["Authorization"] = c.headers
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, c.status, resp.StatusCode)
			require.Equal(t, c.challenge, resp.Header.Get("WWW-Authenticate"))
			if c.status != 200 {
				require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
			}
		})
	}
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{authn.ErrMissingToken, 401, "missing-token"},
		{authn.ErrExpired, 401, "invalid-token"},
		{authn.ErrRevoked, 401, "invalid-token"},
		{authn.ErrForbidden, 403, "forbidden"},
		{authn.ErrStale, 503, "revocations-stale"},
		{authn.ErrKeysUnavailable, 503, "keys-unavailable"},
		{authn.ErrCannotAsk, 503, "permission-unavailable"},
		{authn.ErrTokenUnavailable, 503, "token-unavailable"},
		{errors.New("secret detail"), 500, "internal-error"},
	} {
		err := fmt.Errorf("secret detail: %w", c.err)
		w := httptest.NewRecorder()
		authn.WriteError(w, err)
		require.Equal(t, c.status, w.Code)
		var body map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		require.Equal(t, c.code, body["code"])
		require.InDelta(t, c.status, body["status"], 0)
		require.Equal(t, authn.PublicMessage(err), body["detail"])
		require.NotContains(t, w.Body.String(), "secret")
		require.Equal(t, c.status == 401, w.Header().Get("WWW-Authenticate") != "")
		require.Equal(t, c.status == 503, w.Header().Get("Retry-After") != "")
	}
	require.Empty(t, authn.PublicMessage(nil))
}
