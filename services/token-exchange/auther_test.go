package tokenexchange_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
)

type recorded struct {
	Name    string
	Request struct {
		Method, Path string
		Headers      map[string]string
		Body         *string
	}
	Response struct {
		Status int
		Body   string
	}
}

// TestAutherExchange_AnswersAsAutherDoes replays what a real Auther was asked
// and compares status and body, except where the key only that server knew.
func TestAutherExchange_AnswersAsAutherDoes(t *testing.T) {
	t.Parallel()
	w := start(t)
	raw, err := os.ReadFile("testdata/auther-exchange.json")
	require.NoError(t, err)
	var all []recorded
	require.NoError(t, json.Unmarshal(raw, &all))
	foreign := map[string]bool{"exchange-valid-key-as-shipped": true, "exchange-no-client-metadata": true}
	for _, r := range all {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			body := ""
			if r.Request.Body != nil {
				body = *r.Request.Body
			}
			status, want := r.Response.Status, r.Response.Body
			if foreign[r.Name] { // keys of that server are unknown here
				status, want = 401, `{"error":"invalid_api_key","message":"The provided API key is invalid or expired"}`
			}
			got := w.auther(r.Request.Method, body, r.Request.Headers)
			require.Equal(t, status, got.status)
			require.Equal(t, want, strings.TrimSpace(got.raw))
		})
	}
}

func (w *world) auther(method, body string, headers map[string]string) answer {
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.Issuer+"/api/auth/api-key/exchange", strings.NewReader(body))
	require.NoError(w.t, err)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	return w.do(req)
}

func (w *world) trade(client string) answer {
	return w.auther(http.MethodPost, `{"apiKey":"`+w.Keys[client]+`"}`, nil)
}

func TestAutherExchange(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.trade("orders")
	require.Equal(t, 200, a.status, a.raw)
	require.Equal(t, "Bearer", a.body["tokenType"])
	require.EqualValues(t, 900, a.body["expiresIn"])
	text, ok := a.body["expiresAt"].(string)
	require.True(t, ok)
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, text)
	expires, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	token, ok := a.body["token"].(string)
	require.True(t, ok)
	p := w.verify(token, "billing")
	require.Equal(t, authn.KindService, p.Kind())
	require.Equal(t, expires.Unix(), p.ExpiresAt().Unix())
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))

	p = w.verify(w.trade("billing").body["token"].(string), "orders") //nolint:forcetypeassert // fails the test
	require.Equal(t, []string{"console", "orders"}, p.Audiences(), "all of them where none is the default")

	for _, client := range []string{"homeless", "exchanger"} {
		refused := w.trade(client)
		require.Equal(t, 403, refused.status)
		require.JSONEq(t, `{"error":"forbidden","message":"API key is missing client scope metadata"}`, refused.raw)
	}
	for _, body := range []string{`null`, `[]`, `{"apiKey":5}`, `{"apiKey":""}`} {
		require.Equal(t, 400, w.auther(http.MethodPost, body, nil).status, body)
	}
	long := w.auther(http.MethodPost, `{"apiKey":"`+strings.Repeat("x", 10_000)+`"}`, nil)
	require.Equal(t, 400, long.status)
}
