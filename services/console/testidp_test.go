package console_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

const clientSecret = "console's secret / with + signs"

// testIDP is an OpenID Connect provider with one user, whose tokens are really
// signed. Its discovery document is not at the issuer's address.
type testIDP struct {
	*httptest.Server
	issuer *authntest.Issuer

	mu sync.Mutex
	// What the next sign-ins are like.
	user       string
	denied     bool
	nonce      string // instead of the one that was asked for
	prompts    bool   // shows a page with a button, as a person would see it
	named      string // instead of the issuer, in discovery
	down       bool
	accessLeft time.Duration // how long access tokens still live
	idLeft     time.Duration
	refuses    bool // refuses to refresh
	claims     map[string]any

	codes    map[string]url.Values
	refresh  string // the one refresh token that is good
	renewals int
	signUps  []signUpSeen
	answer   func(w http.ResponseWriter) // of sign-up
}

type signUpSeen struct{ secret, forwarded, context, email string }

func newTestIDP(t *testing.T, issuer *authntest.Issuer) *testIDP {
	t.Helper()
	i := &testIDP{
		issuer: issuer, user: "auth0|alice & co", accessLeft: 15 * time.Minute, idLeft: 48 * time.Hour, codes: map[string]url.Values{},
		claims: map[string]any{
			"tenant_id": "acme", "scope": "openid",
			"permissions":   map[string][]string{"client_shop:order": {"place", "read", "cancel"}, "client_shop:invoice": {"read", "pay", "refund"}},
			"abac_required": map[string][]string{"client_shop:invoice": {"refund"}},
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/auth/.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("POST /api/auth/sign-up/email", i.signUp)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

// change changes what the provider does next.
func (i *testIDP) change(f func(*testIDP)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(i)
}

func (i *testIDP) renewed() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.renewals
}

func (i *testIDP) discovery(w http.ResponseWriter, _ *http.Request) {
	named := i.issuer.Name()
	if i.named != "" {
		named = i.named
	}
	writeJSON(w, http.StatusOK, map[string]any{"issuer": named, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token"})
}

func (i *testIDP) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if i.prompts && q.Get("agreed") == "" {
		q.Set("agreed", "yes")
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Provider</title><link rel="icon" href="data:,"><a id="agree" href="%s">Sign in as Alice</a>`, html.EscapeString("/authorize?"+q.Encode()))
		return
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("response_type") != "code" || q.Get("client_id") != "console" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}, "iss": {i.issuer.Name()}}
	if i.denied {
		answer.Set("error", "access_denied")
	} else {
		code := rand.Text()
		i.codes[code] = q
		answer.Set("code", code)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

func (i *testIDP) token(w http.ResponseWriter, r *http.Request) {
	user, secret, _ := r.BasicAuth()
	if plain, err := url.QueryUnescape(secret); err != nil || user != "console" || plain != clientSecret {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	nonce := ""
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		asked, ok := i.codes[r.PostFormValue("code")]
		delete(i.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
			writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
		if nonce = asked.Get("nonce"); i.nonce != "" {
			nonce = i.nonce
		}
	case "refresh_token":
		i.renewals++
		if i.refuses || r.PostFormValue("refresh_token") != i.refresh {
			writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
	}
	i.refresh = rand.Text()
	answer := map[string]any{"token_type": "Bearer", "expires_in": int(i.accessLeft.Seconds()), "access_token": i.access(), "refresh_token": i.refresh}
	if nonce != "" {
		answer["id_token"] = i.idToken(nonce)
	}
	writeJSON(w, http.StatusOK, answer)
}

// access is a promised access token: fifteen minutes long, of which accessLeft
// are left.
func (i *testIDP) access() string {
	made := time.Now().Add(i.accessLeft - 15*time.Minute)
	return i.issuer.UserToken(i.user, authntest.Audience("orders", "billing", "console"), authntest.Claim("kind", nil),
		authntest.Claims(i.claims), authntest.IssuedAt(made))
}

func (i *testIDP) idToken(nonce string) string {
	now := time.Now()
	return i.issuer.Sign(map[string]any{
		"iss": i.issuer.Name(), "sub": i.user, "aud": "console", "iat": now.Unix(), "exp": now.Add(i.idLeft).Unix(), "nonce": nonce,
	}, authntest.Header("typ", nil))
}

func (i *testIDP) signUp(w http.ResponseWriter, r *http.Request) {
	var body struct{ Email, Password, Name, Context string }
	_ = json.NewDecoder(r.Body).Decode(&body)
	i.signUps = append(i.signUps, signUpSeen{r.Header.Get("X-Internal-Signup-Secret"), r.Header.Get("X-Forwarded-For"), body.Context, body.Email})
	if i.answer != nil {
		i.answer(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"token": nil, "user": map[string]any{"id": "new-user"}})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
