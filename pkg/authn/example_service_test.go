package authn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/shadowless/shadowless/pkg/authn"
)

// quiet keeps the examples' output to what they print.
var quiet = slog.New(slog.DiscardHandler)

func check[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Several issuers: each has its own keys and rules, and a namespace, because
// "7" of one is not "7" of the other.
func Example_severalIssuers() {
	staff, shop := newExampleIssuer(), newExampleIssuer()
	defer staff.Close()
	defer shop.Close()
	cfg := check(authn.ParseConfig(fmt.Appendf(nil, `
issuers:
  - {issuer: %[1]s, profile: oidc, jwks_urls: [%[1]s/jwks], user_namespace: "staff|"}
  - {issuer: %[2]s, profile: oidc, jwks_urls: [%[2]s/jwks], user_namespace: "shop|"}
`, staff.URL, shop.URL)))
	v := check(authn.New(context.Background(), cfg, authn.Options{Audiences: []string{"orders"}, SkipRevocation: true, Logger: quiet}))
	defer v.Close()

	for _, token := range []string{
		staff.token(jwt.MapClaims{"sub": "7", "aud": "orders"}),
		shop.token(jwt.MapClaims{"sub": "7", "aud": "orders"}),
		shop.token(jwt.MapClaims{"sub": "7", "aud": "billing"}),
	} {
		p, err := v.Verify(context.Background(), token)
		if err != nil {
			fmt.Println(authn.PublicMessage(err))
			continue
		}
		fmt.Println(p.UserID())
	}
	// Output:
	// staff|7
	// shop|7
	// The access token is not meant for this service.
}

// Service to service: one token for the service itself, and one for each user
// on whose behalf it calls.
func Example_serviceToService() {
	idp := newExampleIssuer()
	defer idp.Close()
	cfg := authn.Config{Issuers: []authn.IssuerConfig{{
		Issuer: idp.URL, Profile: "oidc", JWKSURLs: []string{idp.URL}, ServiceMarks: map[string]string{"gty": "client-credentials"},
	}}}

	// billing says who calls.
	billing := check(authn.New(context.Background(), cfg, authn.Options{Audiences: []string{"billing"}, SkipRevocation: true, Logger: quiet}))
	defer billing.Close()
	server := httptest.NewServer(billing.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := authn.FromContext(r.Context())
		if a := p.Actor(); a != nil {
			_, _ = fmt.Fprintf(w, "%s for %s", a.ClientID(), p.UserID())
			return
		}
		_, _ = fmt.Fprintf(w, "%s for itself", p.ClientID())
	})))
	defer server.Close()

	// The token endpoint: client_credentials and RFC 8693 token exchange.
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims := jwt.MapClaims{"sub": "client:orders", "client_id": "orders", "aud": r.FormValue("audience"), "gty": "client-credentials"}
		if r.FormValue("grant_type") == authn.GrantTokenExchange {
			claims = jwt.MapClaims{"sub": "alice", "client_id": "orders", "aud": r.FormValue("audience"), "act": map[string]any{"sub": "client:orders", "client_id": "orders"}}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": idp.token(claims), "token_type": "Bearer", "expires_in": 60})
	}))
	defer sts.Close()
	keyFile := filepath.Join(check(os.MkdirTemp("", "example")), "api-key")
	defer os.RemoveAll(filepath.Dir(keyFile))
	check(0, os.WriteFile(keyFile, []byte("secret"), 0o600))

	own := check(authn.NewTokenSource(authn.TokenSourceConfig{TokenURL: sts.URL, ClientID: "orders", APIKeyFile: keyFile, Audience: "billing", Logger: quiet}))
	defer own.Close()
	onBehalf := check(authn.NewDelegator(authn.DelegatorConfig{TokenURL: sts.URL, ClientID: "orders", APIKeyFile: keyFile, Logger: quiet}))
	defer onBehalf.Close()

	call := func(ctx context.Context, transport http.RoundTripper) {
		req := check(http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil))
		resp := check((&http.Client{Transport: transport}).Do(req))
		defer resp.Body.Close()
		fmt.Println(string(check(io.ReadAll(resp.Body))))
	}
	call(context.Background(), own.Transport(nil))

	// In a handler of orders, the context already has the caller.
	orders := check(authn.New(context.Background(), cfg, authn.Options{Audiences: []string{"orders"}, SkipRevocation: true, Logger: quiet}))
	defer orders.Close()
	alice := check(orders.Verify(context.Background(), idp.token(jwt.MapClaims{"sub": "alice", "aud": "orders"})))
	call(authn.NewContext(context.Background(), alice), onBehalf.Transport(nil, "billing", "billing:invoices:create"))
	// Output:
	// orders for itself
	// orders for alice
}

// Through an outage: with a KeyStore, a service that restarts while the
// identity provider is down serves as before.
func Example_outage() {
	idp := newExampleIssuer()
	dir := check(os.MkdirTemp("", "keys"))
	defer os.RemoveAll(dir)
	cfg := authn.Config{Issuers: []authn.IssuerConfig{{
		Issuer: idp.URL, Profile: "oidc", JWKSURLs: []string{idp.URL},
		Keys: authn.KeysConfig{MaxAge: 24 * time.Hour}, // then it is over all the same
	}}}
	opts := authn.Options{Audiences: []string{"orders"}, SkipRevocation: true, KeyStore: authn.DirKeyStore(dir), Logger: quiet}
	token := idp.token(jwt.MapClaims{"sub": "alice", "aud": "orders"})

	v := check(authn.New(context.Background(), cfg, opts))
	fmt.Println(check(v.Verify(context.Background(), token)).UserID())
	for files := 0; files == 0; files = len(check(os.ReadDir(dir))) {
		time.Sleep(time.Millisecond) // stored in the background, a moment later
	}
	v.Close()

	idp.Close() // the outage
	v = check(authn.New(context.Background(), cfg, opts))
	defer v.Close()
	fmt.Println(check(v.Verify(context.Background(), token)).UserID())
	fmt.Println("ready:", v.Ready() == nil)
	// Output:
	// alice
	// alice
	// ready: true
}

// Step-up: a route can require a recent or a stronger authentication, and
// tells the client so (RFC 9470).
func ExampleVerifier_Require() {
	idp := newExampleIssuer()
	defer idp.Close()
	cfg := authn.Config{Issuers: []authn.IssuerConfig{{Issuer: idp.URL, Profile: "oidc", JWKSURLs: []string{idp.URL}}}}
	v := check(authn.New(context.Background(), cfg, authn.Options{Audiences: []string{"billing"}, SkipRevocation: true, Logger: quiet}))
	defer v.Close()

	handler := v.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		authn.Scopes("refund"),
		authn.Authentication(authn.RequireACR("mfa")))

	for _, acr := range []string{"mfa", "pwd"} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", "Bearer "+idp.token(jwt.MapClaims{"sub": "alice", "aud": "billing", "scope": "refund", "acr": acr}))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
		for _, challenge := range w.Header()["Www-Authenticate"] {
			fmt.Println(challenge)
		}
	}
	// Output:
	// 200
	// 401
	// Bearer error="insufficient_user_authentication", error_description="You must sign in again, or with a stronger method.", acr_values="mfa"
}

// Security events: what an issuer tells about a user, under the same keys.
func ExampleVerifier_VerifySET() {
	idp := newExampleIssuer()
	defer idp.Close()
	cfg := authn.Config{Issuers: []authn.IssuerConfig{{Issuer: idp.URL, Profile: "oidc", JWKSURLs: []string{idp.URL}}}}
	v := check(authn.New(context.Background(), cfg, authn.Options{Audiences: []string{"orders"}, SkipRevocation: true, Logger: quiet}))
	defer v.Close()

	const revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	event := check(v.VerifySET(context.Background(), idp.event(jwt.MapClaims{
		"aud": "orders", "jti": "e-1", "sub_id": map[string]any{"format": "opaque", "id": "alice"}, "events": map[string]any{revoked: map[string]any{}},
	})))
	_, ok := event.Payload(revoked)
	fmt.Println(event.TokenID(), event.Subject().ID, ok)
	// Output:
	// e-1 alice true
}
