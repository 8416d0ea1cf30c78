package authntest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// orders is the handler under test.
func orders(v *authn.Verifier) http.Handler {
	return v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := authn.FromContext(r.Context())
		if p.Can("order", "", "read") != authn.Allow {
			authn.WriteError(w, authn.ErrForbidden)
			return
		}
		_, _ = fmt.Fprint(w, "orders of ", p.UserID())
	}))
}

// Testing your handlers: a real issuer, really signed tokens.
func Example() {
	test := func(t testing.TB) {
		idp := authntest.NewIssuer(t)
		handler := orders(idp.Verifier(t, "orders"))
		call := func(token string) {
			r := httptest.NewRequest(http.MethodGet, "/orders", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			fmt.Println(w.Code)
		}
		may := authntest.Permissions(map[string][]string{"order": {"read"}})
		call(idp.UserToken("alice", authntest.Audience("orders"), may))
		call(idp.UserToken("bob", authntest.Audience("orders")))
		call(idp.UserToken("alice", authntest.Audience("billing"), may))
		idp.Trouble(authntest.Hang) // the keys are known: nobody notices
		call(idp.UserToken("carol", authntest.Audience("orders"), may))
	}
	runExample(test)
	// Output:
	// 200
	// 403
	// 401
	// 200
}
