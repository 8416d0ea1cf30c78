package conformance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// broker: tokens that another issuer mints.
var broker = map[string]check{"H6": upstreamTrouble, "H7": upstreamTokens}

// upstream is an Auther that does what the test says, and remembers what came.
type upstream struct {
	server *httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	seen   []string
}

// marker is in every answer of the upstream's that is no token.
const marker = "said-by-the-upstream"

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	u.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		headers, _ := json.Marshal(r.Header)
		u.mu.Lock()
		u.seen = append(u.seen, r.URL.String()+string(headers)+string(body))
		answer := u.answer
		u.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(u.server.Close)
	return u
}

func (u *upstream) does(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

func (u *upstream) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.seen...)
}

// gives answers with a token that lives that long.
func (u *upstream) gives(d *deployment, life time.Duration, options ...authntest.TokenOption) {
	u.does(func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		token := d.IdP.Sign(map[string]any{
			"iss": d.IdP.Name(), "sub": "owner-of-the-key", "aud": []string{"billing"}, "iat": now.Unix(), "exp": now.Add(life).Unix(),
			"jti": now.String(), "apiKeyId": "upstream-1", "scope": "api_key_exchange",
		}, options...)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "tokenType": "Bearer", "expiresIn": int(life.Seconds()), "expiresAt": now.Add(life)})
	})
}

func (u *upstream) says(status int, header ...string) {
	u.does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"error":"` + marker + `","message":"` + marker + `"}`))
	})
}

// brokered is a deployment in broker mode.
func brokered(t *testing.T) (*deployment, *upstream) {
	t.Helper()
	u := newUpstream(t)
	d := prepare(t, func(c *tokenexchange.Config) { c.Mode, c.UpstreamURL = tokenexchange.ModeBroker, u.server.URL })
	d.a = d.start()
	return d, u
}

// broke registers a client with an upstream key; the upstream is tried at once.
func (d *deployment) broke(t *testing.T) (who authorize, key, upstreamKey string) {
	t.Helper()
	id, issued := d.register(t, api.ClientSpec{Audiences: map[string]api.Audience{"billing": {}}})
	upstreamKey = "auther_" + id
	_, err := d.admin.SetUpstreamKey(t.Context(), id, upstreamKey)
	require.NoError(t, err)
	return basic(id, issued.Secret), issued.Secret, upstreamKey
}

func upstreamTrouble(t *testing.T, _ *deployment) {
	d, u := brokered(t)
	var visited sync.Map
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Store("yes", true) }))
	defer elsewhere.Close()
	unavailable, broken, refused := []int{503}, []int{502}, []int{400}
	for _, c := range []struct {
		name     string
		does     func()
		statuses []int
	}{
		{"500", func() { u.says(500) }, broken},
		{"502", func() { u.says(502) }, []int{502, 503}},
		{"503", func() { u.says(503, "Retry-After", "1") }, unavailable},
		{"429", func() { u.says(429) }, unavailable},
		{"400", func() { u.says(400) }, refused},
		{"401", func() { u.says(401) }, refused},
		{"403", func() { u.says(403) }, refused},
		{"404", func() { u.says(404) }, []int{400, 502}},
		{"a redirect", func() { u.says(307, "Location", elsewhere.URL) }, broken},
		{"another redirect", func() { u.says(302, "Location", elsewhere.URL) }, broken},
		{"a huge body", func() {
			u.does(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"token":"` + strings.Repeat(marker, 1<<20)))
			})
		}, broken},
		{"another content type", func() { u.says(200, "Content-Type", "text/html") }, broken},
		{"no token", func() { u.says(200) }, broken},
		{"a token of a stranger", func() {
			u.gives(d, time.Minute, authntest.SignedBy(authntest.NewKey(t, "RS256", d.IdP.SigningKey().ID)))
		}, broken},
		{"a token that is over", func() { u.gives(d, -time.Minute) }, broken},
		{"a cut connection", func() { u.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) }, unavailable},
		{"silence", func() { u.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) }, unavailable},
	} {
		c.does()
		who, key, upstreamKey := d.broke(t)
		before := len(u.requests())
		a := d.post(t, d.a.url+"/oauth/token", who, credentials())
		require.Contains(t, c.statuses, a.status, "%s: %s", c.name, a.raw)
		a.refused(t, a.status, a.text("error"))
		require.NotContains(t, a.raw, marker, c.name)
		if a.status == http.StatusServiceUnavailable {
			require.NotEmpty(t, a.header.Get("Retry-After"), c.name)
		}
		for _, sent := range u.requests()[before:] {
			require.Contains(t, sent, upstreamKey)
			require.NotContains(t, sent, secretPart(key), "the caller's own key never goes up")
			require.NotContains(t, sent, "Authorization")
		}
		u.gives(d, 15*time.Minute) // the breaker sees that it works
		good, _, _ := d.broke(t)
		d.post(t, d.a.url+"/oauth/token", good, credentials()).token(t)
	}
	_, followed := visited.Load("yes")
	require.False(t, followed)
	require.NotContains(t, d.journal.whole(), marker)
}

func upstreamTokens(t *testing.T, _ *deployment) {
	d, u := brokered(t)
	u.gives(d, 15*time.Minute)
	who, _, _ := d.broke(t)
	before := len(u.requests())
	a := d.post(t, d.a.url+"/oauth/token", who, credentials())
	first := a.token(t)
	require.Equal(t, d.IdP.Name(), claims(t, first)["iss"], "it is the upstream's own")
	require.Equal(t, claims(t, first)["scope"], a.text("scope"), "the scope is what the upstream gave")
	require.Equal(t, "Bearer", a.text("token_type"))
	require.NotContains(t, a.body, "issued_token_type", "which Auther does not say, and RFC 6749 has not")
	require.LessOrEqual(t, a.body["expires_in"], float64(900))
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() { d.post(t, d.a.url+"/oauth/token", who, credentials()) })
	}
	together.Wait()
	require.Equal(t, first, d.post(t, d.a.url+"/oauth/token", who, credentials()).token(t))
	require.Len(t, u.requests(), before, "it is kept from when the key was tried")

	// What the upstream did not give is not claimed.
	scoped, scopedKey := d.register(t, api.ClientSpec{})
	_, err := d.admin.SetUpstreamKey(t.Context(), scoped, "auther_"+scoped)
	require.NoError(t, err)
	d.post(t, d.a.url+"/oauth/token", basic(scoped, scopedKey.Secret), credentials("scope", "billing:read")).refused(t, 400, "invalid_scope")
	u.gives(d, 15*time.Minute, authntest.Audience("elsewhere"))
	astray, _, _ := d.broke(t)
	d.post(t, d.a.url+"/oauth/token", astray, credentials("audience", "billing")).refused(t, 400, "invalid_target")

	// No token is handed out at its end, upstream or no upstream.
	u.gives(d, 13*time.Second)
	brief, _, _ := d.broke(t)
	held := d.post(t, d.a.url+"/oauth/token", brief, credentials()).token(t)
	ends := time.Unix(int64(claims(t, held)["exp"].(float64)), 0) //nolint:forcetypeassert // or the test fails
	u.says(500)
	for {
		sent := time.Now()
		a := d.post(t, d.a.url+"/oauth/token", brief, credentials())
		if a.status != http.StatusOK {
			require.Contains(t, []int{502, 503}, a.status)
			break
		}
		require.True(t, sent.Before(ends), "the cached token is over")
		require.Equal(t, held, a.token(t))
		require.LessOrEqual(t, a.body["expires_in"], ends.Sub(sent).Seconds()+1)
	}
	require.True(t, time.Now().Before(ends.Add(time.Second)), "and it was not kept beyond its end")
}
