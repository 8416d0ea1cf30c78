package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

// fixture is one request and the answer that the real server gave to it.
type fixture struct {
	Name    string
	Request struct {
		Method, Path string
		Headers      map[string]string
		Body         *string
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    string
	}
}

const (
	recordedKey     = "BqQSSIJwageACIimixpQiQAuYEGLYIJPlAJQEzNfXqvrwnlilWAoDUEoHJfrBMbf"
	recordedBareKey = "OjGluvwZrDfZssgPQdpNbcUHgwBtFLlIDkIrHXCBVfXbJCgmwgSCGsPkZqdECxWJ"
	recordedAlice   = "RAzHr6Z8RwoSbZHSnhARQkhP0Qjh6dx1"
	recordedCode    = "2SOQoCK9iy02qMYpRrpcuBocnL1NKSOl"
	recordedToken   = "WQEGYZhQImInNBnwSqAxzWvweQMbTPnj"
	verifier        = "mFmhnkFMauuSOYS0toQioKJXN7oGRBdsvoe-uFjF-hc"
	spaCallback     = "http://localhost:3002/auth/callback"
)

// recordedSettings is how the recorded server was set up.
func recordedSettings(o *server.Options) {
	o.VerifyAtOnce = false
	o.Settings.SignUpSecret = settings.Secret{Value: "payload-confidential-secret"}
	o.Settings.RotationSecret = settings.Secret{Value: "dev-internal-rotate-secret"}
	o.Settings.Users = o.Settings.Users[3:] // the administrator
	o.Settings.Clients = []settings.Client{{ID: "payload-spa-client", RedirectURIs: []string{spaCallback}, Audiences: []string{"orders"}}}
	o.Settings.Model = map[string]settings.EntityType{"client_shop:order": {
		Relations: map[string][]string{"editor": {"read", "update", "refund", "refund_documented", "whoami"}},
		Policies: map[string]string{
			"refund":            `return context.resource.attributes.amount <= 1000`,
			"refund_documented": `return context.resource.amount <= 1000`,
			"whoami":            `return context.user.nothing.here`,
		},
	}}
	o.Settings.APIKeys = []settings.APIKey{
		{ID: "4HGCeH6lNctCqpNVy2Y5G5vWJXtMHZkN", Key: settings.Secret{Value: recordedKey}, OwnerEmail: "admin@example.com", Client: "shop", Grants: []settings.Grant{
			{EntityType: "client_shop:order", EntityID: "*", Relation: "editor", Tenant: "acme"},
		}},
		{ID: "bare", Key: settings.Secret{Value: recordedBareKey}, OwnerEmail: "admin@example.com"},
	}
}

// TestObservedAnswersAreTheRecordedOnes replays every recorded request in order
// and compares status, content type and body: errors byte by byte, the rest by
// shape and by every value that is not an ID, a time or a token.
func TestObservedAnswersAreTheRecordedOnes(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/http.json")
	require.NoError(t, err)
	var fixtures []fixture
	require.NoError(t, json.Unmarshal(content, &fixtures))
	require.Len(t, fixtures, 51)

	i := start(t, mode.Observed, recordedSettings)
	adminCookie := cookieOf(i.admin())
	var aliceCookie, aliceID, code, token string
	// What happened on the recorded server between two requests.
	before := map[string]func(){
		"signin-ok": func() {
			_, err := i.db.Pool.Exec(t.Context(), `UPDATE users SET email_verified = true WHERE email = 'alice@example.com'`)
			require.NoError(t, err)
		},
		"token-ok-public-pkce": func() { code = i.authorizeCode(aliceCookie) },
		"rotate-after-31d":     func() { i.clock.advance(31 * 24 * time.Hour) },
		"jwks-after-prune": func() {
			i.clock.advance(29*24*time.Hour + 12*time.Hour)
			got := i.browser().do(http.MethodPost, "/api/internal/rotate-jwks", "", "", map[string]string{"X-Rotation-Secret": "dev-internal-rotate-secret"})
			require.EqualValues(t, 1, got.json(t)["pruned"], got.body)
		},
	}
	for _, f := range fixtures {
		if prepare := before[f.Name]; prepare != nil {
			prepare()
		}
		replace := strings.NewReplacer(recordedAlice, aliceID, recordedCode, code, recordedToken, token)
		header := map[string]string{}
		for name, value := range f.Request.Headers {
			header[name] = replace.Replace(value)
		}
		switch {
		case f.Name == "get-session" || strings.HasSuffix(f.Name, "-as-alice"):
			header["cookie"] = aliceCookie
		case header["cookie"] != "":
			header["cookie"] = adminCookie
		}
		body := ""
		if f.Request.Body != nil {
			body = replace.Replace(*f.Request.Body)
		}
		got := i.browser().do(f.Request.Method, replace.Replace(f.Request.Path), "", body, header)

		compare(t, f, got)
		switch f.Name {
		case "signin-ok":
			aliceID = got.json(t)["user"].(map[string]any)["id"].(string)
			aliceCookie = got.header.Get("Set-Cookie")
			aliceCookie, _, _ = strings.Cut(aliceCookie, ";")
		case "get-session":
			compareTokens(t, f.Response.Headers["set-auth-jwt"], got.header.Get("Set-Auth-Jwt"))
		case "token-ok-public-pkce":
			token = got.json(t)["access_token"].(string)
			require.Regexp(t, `^[A-Za-z]{32}$`, token)
			var want map[string]any
			require.NoError(t, json.Unmarshal([]byte(f.Response.Body), &want))
			compareTokens(t, want["id_token"].(string), got.json(t)["id_token"].(string))
		}
	}
}

func compare(t *testing.T, f fixture, got answer) {
	t.Helper()
	require.Equal(t, f.Response.Status, got.status, "%s: %s", f.Name, got.body)
	require.Equal(t, mediaType(f.Response.Headers["content-type"]), mediaType(got.header.Get("Content-Type")), f.Name)
	if strings.HasPrefix(f.Response.Body, "<!DOCTYPE") {
		require.Contains(t, got.body, "<!DOCTYPE html>", f.Name)
		return
	}
	if f.Response.Status >= 400 {
		require.Equal(t, f.Response.Body, got.body, f.Name)
		return
	}
	var want, have any
	require.NoError(t, json.Unmarshal([]byte(f.Response.Body), &want), f.Name)
	require.NoError(t, json.Unmarshal([]byte(got.body), &have), f.Name)
	sameShape(t, f.Name, "", want, have)
}

// free values differ from run to run, or from our seeds to theirs.
var free = map[string]bool{
	"id": true, "userId": true, "token": true, "kid": true, "x": true, "sub": true, "access_token": true, "refresh_token": true, "id_token": true,
	"createdAt": true, "updatedAt": true, "expiresAt": true, "latestKeyId": true, "latestKeyCreatedAt": true, "iat": true, "exp": true,
	"updated_at": true, "iss": true, "aud": true, "total": true, "name": true, "subjectId": true, "userAgent": true,
}

func sameShape(t *testing.T, fixture, path string, want, have any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		require.True(t, ok, "%s%s", fixture, path)
		require.ElementsMatch(t, names(w), names(h), "%s%s", fixture, path)
		for name := range w {
			if free[name] {
				require.IsType(t, w[name], h[name], "%s%s.%s", fixture, path, name)
				continue
			}
			sameShape(t, fixture, path+"."+name, w[name], h[name])
		}
	case []any:
		h, ok := have.([]any)
		require.True(t, ok, "%s%s", fixture, path)
		require.Len(t, h, len(w), "%s%s", fixture, path)
		for n := range w {
			if _, object := w[n].(map[string]any); object {
				sameShape(t, fixture, path+"[]", w[n], h[n])
			} else {
				require.Equal(t, w[n], h[n], "%s%s", fixture, path)
			}
		}
	case string:
		h, _ := have.(string)
		if route, ok := strings.CutPrefix(w, "http://localhost:3100"); ok {
			require.Equal(t, route, pathOf(h), "%s%s", fixture, path)
			return
		}
		// The list's order and renamed users differ between the runs.
		if fixture == "admin-list-users" || fixture == "admin-get-user" {
			require.NotEmpty(t, h, "%s%s", fixture, path)
			return
		}
		require.Equal(t, w, h, "%s%s", fixture, path)
	default:
		require.Equal(t, want, have, "%s%s", fixture, path)
	}
}

func names(object map[string]any) []string {
	out := []string{}
	for name := range object {
		out = append(out, name)
	}
	return out
}

func pathOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "not a URL: " + text
	}
	return u.Path
}

func mediaType(contentType string) string {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind
}

// compareTokens compares headers and claims of two JWTs by shape.
func compareTokens(t *testing.T, want, have string) {
	t.Helper()
	w, h := strings.Split(want, "."), strings.Split(have, ".")
	require.Len(t, h, 3)
	for part, name := range []string{"header", "claims"} {
		sameShape(t, "jwt", "."+name, decoded(t, w[part]), decoded(t, h[part]))
	}
}

func decoded(t *testing.T, part string) map[string]any {
	t.Helper()
	content, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(t, err)
	var value map[string]any
	require.NoError(t, json.Unmarshal(content, &value))
	return value
}

func cookieOf(b *browser) string {
	u, _ := url.Parse(b.i.url)
	cookies := b.client.Jar.Cookies(u)
	return cookies[0].Name + "=" + cookies[0].Value
}

// authorizeCode gets a code for the recorded SPA with the recorded verifier.
func (i *idp) authorizeCode(cookie string) string {
	i.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {"payload-spa-client"}, "redirect_uri": {spaCallback}, "response_type": {"code"}, "state": {"s-1"}, "nonce": {"n-1"},
		"scope":          {"openid profile email offline_access"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	got := i.browser().do(http.MethodGet, "/api/auth/oauth2/authorize?"+query.Encode(), "", "", map[string]string{"Cookie": cookie})
	require.Equal(i.t, http.StatusSeeOther, got.status, got.body)
	back, err := url.Parse(got.header.Get("Location"))
	require.NoError(i.t, err)
	require.NotEmpty(i.t, back.Query().Get("code"), back.String())
	return back.Query().Get("code")
}
