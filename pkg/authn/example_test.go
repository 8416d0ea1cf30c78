package authn_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/golang-jwt/jwt/v5"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Protect a handler: who calls is in the context, and everybody else gets 401.
func Example() {
	idp := newExampleIssuer()
	defer idp.Close()

	cfg, err := authn.ParseConfig(fmt.Appendf(nil, `
issuers:
  - issuer: %[1]s
    profile: oidc
    jwks_urls: [%[1]s/jwks]
`, idp.URL))
	if err != nil {
		panic(err)
	}
	revocations := authn.NewRevocationList(authn.RevocationListOptions{})
	v, err := authn.New(context.Background(), cfg, authn.Options{
		Audiences: []string{"orders"}, Revocations: revocations, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer v.Close()

	handler := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := authn.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "hello %s", p.UserID())
	}))

	call := func(token string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	token := idp.token(jwt.MapClaims{"sub": "auth0|5f7c", "aud": "orders", "sid": "s-1"})
	call(token)

	// The session ends: whoever feeds the list says so.
	revocations.Apply(authn.Revocation{
		Kind: authn.RevokedSession, Key: authn.NewRevocationKey(authn.RevokedSession, "s-1"),
	})
	call(token)
	// Output:
	// 200 hello auth0|5f7c
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"The access token has been revoked.","code":"invalid-token"}
}

// Permissions: the token decides where it can, a policy where attributes do.
func ExampleAuthorize() {
	idp := newExampleIssuer()
	defer idp.Close()
	cfg := authn.Config{
		Issuers:     []authn.IssuerConfig{{Issuer: idp.URL, Profile: "oidc", JWKSURLs: []string{idp.URL}}},
		EntityTypes: map[string]string{"invoice": "client_shop:invoice"},
	}
	v, err := authn.New(context.Background(), cfg, authn.Options{
		Audiences: []string{"billing"}, SkipRevocation: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	p, err := v.Verify(context.Background(), idp.token(jwt.MapClaims{
		"sub": "alice", "aud": "billing",
		"permissions":   map[string][]string{"client_shop:invoice": {"read", "refund"}},
		"abac_required": map[string][]string{"client_shop:invoice": {"refund"}},
	}))
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Can("invoice", "i-1", "read"), p.Can("invoice", "i-1", "refund"), p.Can("invoice", "i-1", "void"))

	policy := authn.LocalPolicy(map[string]authn.PolicyFunc{
		"invoice:refund": func(_ context.Context, _ *authn.Principal, q authn.Question) (bool, error) {
			return q.Attributes["amount"].(int) <= 5000, nil
		},
	})
	for _, amount := range []int{5000, 5001} {
		fmt.Println(amount, authn.Authorize(context.Background(), p, policy, authn.Question{
			EntityType: "invoice", EntityID: "i-1", Permission: "refund", Attributes: map[string]any{"amount": amount},
		}))
	}
	// Output:
	// allow ask deny
	// 5000 <nil>
	// 5001 forbidden
}
