package conformance_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/doctor"
)

// examine runs the prober against an address, and checks that it told no secret.
func (d *deployment) examine(t *testing.T, at string) ([]doctor.Result, error) {
	t.Helper()
	results, err := doctor.Refusals(t.Context(), doctor.Target{
		TokenExchangeURL: at, ClientID: "operator", APIKey: d.Keys["operator"], HTTPClient: http.DefaultClient, Admin: d.admin,
	})
	var printed bytes.Buffer
	require.NoError(t, doctor.Print(&printed, results))
	require.NotContains(t, printed.String(), secretPart(d.Keys["operator"]))
	require.NotContains(t, printed.String(), "eyJ")
	require.NotContains(t, printed.String(), "sl_test_")
	return results, err
}

func verdicts(results []doctor.Result) map[doctor.Verdict][]string {
	out := map[doctor.Verdict][]string{}
	for _, r := range results {
		out[r.Verdict] = append(out[r.Verdict], r.Sent+": "+r.Answer)
	}
	return out
}

// One deployment after the other: the prober has one client of its own.
func TestDoctor(t *testing.T) {
	t.Parallel()
	d := deploy(t)

	results, err := d.examine(t, d.a.url)
	require.NoError(t, err)
	require.NoError(t, doctor.Err(results))
	by := verdicts(results)
	require.Empty(t, by[doctor.Accepted])
	require.Empty(t, by[doctor.Unclear])
	require.Len(t, by[doctor.Skipped], 2, "plain HTTP, and a token's expiry: %v", by[doctor.Skipped])
	require.Greater(t, len(by[doctor.Refused]), 60)
	left, err := d.admin.Client(t.Context(), doctor.Patient)
	require.NoError(t, err)
	require.True(t, left.Blocked)

	for name, flaw := range map[string]struct {
		rewrite  func(r *http.Request, d *deployment)
		accepted string
	}{
		"takes the key from the query string": {func(r *http.Request, _ *deployment) {
			query := r.URL.Query()
			if key := query.Get("client_secret"); key != "" && r.Method == http.MethodPost {
				r.SetBasicAuth(query.Get("client_id"), key)
				r.URL.RawQuery = ""
			}
		}, "the key in the query string"},
		"takes a GET": {func(r *http.Request, _ *deployment) {
			if strings.HasSuffix(r.URL.Path, "/oauth/token") && r.Method == http.MethodGet && r.URL.RawQuery == "" {
				r.Method = http.MethodPost
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Body, r.ContentLength = http.NoBody, 0
				replaceBody(r, credentials())
			}
		}, "GET on the token endpoint"},
		"lets anybody introspect": {func(r *http.Request, d *deployment) {
			if strings.HasSuffix(r.URL.Path, "/introspect") {
				r.SetBasicAuth("operator", d.Keys["operator"])
			}
		}, "introspection without authentication"},
		"takes what says it is JSON": {func(r *http.Request, _ *deployment) {
			if r.Header.Get("Content-Type") == "application/json" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
		}, "a form that says it is JSON"},
	} {
		results, err := d.examine(t, d.flawed(t, flaw.rewrite))
		require.NoError(t, err, name)
		require.Error(t, doctor.Err(results), name)
		require.Contains(t, strings.Join(verdicts(results)[doctor.Accepted], "\n"), flaw.accepted, name)
	}
}

func TestDoctor_AServerThatAcceptsEverything(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	token := d.send(t, d.As("operator"), credentials()).token(t)
	var bad *httptest.Server
	bad = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]any{"access_token": token, "token_type": "Bearer", "active": true, "clients": []any{}, "keys": []any{}}
		if strings.Contains(r.URL.Path, ".well-known/oauth") {
			answer = map[string]any{
				"issuer": bad.URL, "token_endpoint": bad.URL + "/t", "jwks_uri": bad.URL + "/j",
				"introspection_endpoint": bad.URL + "/i", "revocation_endpoint": bad.URL + "/r",
			}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer bad.Close()
	results, err := d.examine(t, bad.URL)
	require.NoError(t, err)
	by := verdicts(results)
	require.Empty(t, by[doctor.Refused])
	require.Empty(t, by[doctor.Unclear])
	require.Len(t, by[doctor.Accepted], len(results)-2)
	require.ErrorContains(t, doctor.Err(results), "were accepted")
}

func TestDoctor_AServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	_, err := d.examine(t, "http://127.0.0.1:1")
	require.Error(t, err)
	require.NotContains(t, err.Error(), secretPart(d.Keys["operator"]))
}

func TestDoctor_AServerThatOnlyFails(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	down := d.flawed(t, func(r *http.Request, _ *deployment) {
		if strings.HasSuffix(r.URL.Path, "/introspect") {
			r.URL.Path = "/" + rand.Text()
		}
	})
	results, err := d.examine(t, down)
	require.NoError(t, err)
	require.NotEmpty(t, verdicts(results)[doctor.Unclear], "not found is no refusal")
	require.Error(t, doctor.Err(results))
}

// flawed is the deployment behind a proxy that spoils it.
func (d *deployment) flawed(t *testing.T, rewrite func(*http.Request, *deployment)) string {
	t.Helper()
	to, err := url.Parse(d.a.url)
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		rewrite(r.Out, d)
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func replaceBody(r *http.Request, form url.Values) {
	body := form.Encode()
	replaced := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Body, r.ContentLength = replaced.Body, int64(len(body))
}
