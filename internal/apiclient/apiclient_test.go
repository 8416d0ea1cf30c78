package apiclient_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/apiclient"
)

type body struct {
	N int `json:"n"`
}

func client(t *testing.T, h http.HandlerFunc) *apiclient.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := apiclient.New(srv.URL+"/base", srv.Client())
	require.NoError(t, err)
	return c
}

func TestDo_SendsWhatTheCallSays(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost && r.URL.EscapedPath() == "/base/v1/a%2Fb" && string(raw) == `{"n":1}` &&
			r.Header.Get("Authorization") == "Bearer token" && r.Header.Get("Idempotency-Key") == "k" && r.Header.Get("If-Match") == `"3"` {
			_, _ = w.Write([]byte(`{"n":2}`))
			return
		}
		w.WriteHeader(http.StatusTeapot)
	})
	got, err := apiclient.Do[body](t.Context(), c, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "a/b"}, Bearer: "token", IdempotencyKey: "k", IfMatch: 3, Body: body{1},
	})
	require.NoError(t, err)
	require.Equal(t, 2, got.N)
}

func TestDo_RefusalsAreTyped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer string
		code   string
		says   string
	}{
		"a problem":         {`{"type":"x","title":"Conflict","status":409,"code":"taken","detail":"No."}`, "taken", "answered 503 taken: No."},
		"a proxy's page":    {`<html>secret</html>`, "unexplained", "answered 503 unexplained"},
		"JSON without code": {`{"message":"secret"}`, "unexplained", "answered 503 unexplained"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(tc.answer))
			})
			_, err := apiclient.Do[body](t.Context(), c, apiclient.Call{Method: http.MethodGet})
			var refused *apiclient.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, http.StatusServiceUnavailable, refused.Status)
			require.Equal(t, tc.code, refused.Code)
			require.Equal(t, 7*time.Second, refused.RetryAfter)
			require.NotContains(t, err.Error(), "secret")
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestDo_OtherFailuresAreNoRefusals(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no JSON":   "hello",
		"too large": `{"n":` + strings.Repeat(" ", 5<<20) + `1}`,
	} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) })
		_, err := apiclient.Do[body](t.Context(), c, apiclient.Call{Method: http.MethodGet})
		require.Error(t, err, name)
		var refused *apiclient.Error
		require.NotErrorAs(t, err, &refused, name)
	}
}

func TestDo_UnreachableNamesNoAddress(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	c, err := apiclient.New(srv.URL, http.DefaultClient)
	require.NoError(t, err)
	_, err = apiclient.Do[body](t.Context(), c, apiclient.Call{Method: http.MethodGet, Path: []string{"users", "YWxpY2U"}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "YWxpY2U", "a path may hold a user's ID")
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "ftp://x", "billing:8443", "http://"} {
		_, err := apiclient.New(base, http.DefaultClient)
		require.Error(t, err, base)
	}
	_, err := apiclient.New("http://x", nil)
	require.Error(t, err)
}

func TestDo_NoContentIsAnAnswer(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	got, err := apiclient.Do[body](t.Context(), c, apiclient.Call{Method: http.MethodDelete})
	require.NoError(t, err)
	require.Zero(t, got)
	_, err = apiclient.Do[body](t.Context(), c, apiclient.Call{Method: http.MethodGet})
	require.Error(t, err, "200 without a body is none")
}
