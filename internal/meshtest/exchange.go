package meshtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// Exchange is a token endpoint that signs what its clients ask for. It knows
// its clients and nothing about what they may have: the tests say that.
type Exchange struct {
	issuer *authntest.Issuer
	server *httptest.Server
	down   atomic.Bool
}

// SecretOf is a client's secret.
func SecretOf(client string) string { return "secret-of-" + client }

func newExchange(t testing.TB) *Exchange {
	t.Helper()
	e := &Exchange{issuer: authntest.NewIssuer(t)}
	e.server = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.server.Close)
	return e
}

// URL is the base of the token endpoint.
func (e *Exchange) URL() string { return e.server.URL }

// Issuer signs the tokens.
func (e *Exchange) Issuer() *authntest.Issuer { return e.issuer }

// SetDown makes every request fail until it is set to false.
func (e *Exchange) SetDown(down bool) { e.down.Store(down) }

func (e *Exchange) serve(w http.ResponseWriter, r *http.Request) {
	if e.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	user, secret, _ := r.BasicAuth()
	client, err := url.QueryUnescape(user)
	if r.URL.Path != "/oauth/token" || err != nil || secret != SecretOf(client) || r.ParseForm() != nil {
		refuse(w, "invalid_client")
		return
	}
	options := []authntest.TokenOption{authntest.Audience(r.Form["audience"]...), authntest.Scope(r.Form.Get("scope"))}
	answer := map[string]any{"token_type": "Bearer", "expires_in": int(authntest.DefaultLifetime.Seconds())}
	switch r.Form.Get("grant_type") {
	case authn.GrantClientCredentials:
		answer["access_token"] = e.issuer.ServiceToken(client, options...)
	case authn.GrantTokenExchange:
		// The tests present tokens that they signed themselves.
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(r.Form.Get("subject_token"), claims); err != nil {
			refuse(w, "invalid_request")
			return
		}
		for _, name := range []string{"tenant_id", "sid", "auth_time"} {
			if v, ok := claims[name]; ok {
				options = append(options, authntest.Claim(name, v))
			}
		}
		subject, _ := claims.GetSubject()
		answer["access_token"] = e.issuer.UserToken(subject, append(options, authntest.ActedBy(client))...)
		answer["issued_token_type"] = authn.TokenTypeAccessToken
	default:
		refuse(w, "unsupported_grant_type")
		return
	}
	answer["scope"] = strings.TrimSpace(r.Form.Get("scope"))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
}
