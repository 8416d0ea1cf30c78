package console_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/services/console"
	"github.com/shadowless/shadowless/services/console/api"
)

var person = url.Values{"email": {"new.person@example.com"}, "password": {"correct horse"}, "name": {"New Person"}}

func TestSignUp_ByForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	require.Contains(t, b.get("/sign-up").body, "Make an account")
	p := b.post("/sign-up", person)
	require.Contains(t, p.body, "Your account is made.")
	require.Equal(t, []signUpSeen{{"sign-up-secret", "127.0.0.1", "shop", "new.person@example.com"}}, w.idp.signUps)

	w.idp.change(func(i *testIDP) {
		i.answer = func(rw http.ResponseWriter) {
			writeJSON(rw, http.StatusUnprocessableEntity, map[string]any{"code": "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL", "message": "m"})
		}
	})
	p = b.post("/sign-up", person)
	require.Equal(t, http.StatusConflict, p.status)
	require.Contains(t, p.body, "There is an account with this e-mail address already.")
	require.Contains(t, p.body, `value="new.person@example.com" aria-invalid="true"`)
	require.NotContains(t, p.body, "correct horse", "a password is not sent back")

	require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/sign-up", person, "Sec-Fetch-Site", "cross-site").status)
	require.Len(t, w.idp.signUps, 2)
}

func TestSignUp_AsJSONAndTheDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *console.Config) { c.SignUpBurst = 3 })
	doc := openapitest.Load(t, "openapi.yaml")
	client, err := api.NewClient(w.url, doc.Client(t))
	require.NoError(t, err)
	in := api.SignUp{Email: "new.person@example.com", Password: "correct horse", Name: "New Person"}
	made, err := client.SignUp(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, "new-user", made.UserID)

	refused := func(in api.SignUp, status int, code string) {
		t.Helper()
		_, err := client.SignUp(t.Context(), in)
		var refusal *api.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, status, refusal.Status)
		require.Equal(t, code, refusal.Code)
	}
	refused(api.SignUp{}, http.StatusBadRequest, "sign-up-incomplete")
	w.idp.change(func(i *testIDP) {
		i.answer = func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusInternalServerError) }
	})
	refused(in, http.StatusServiceUnavailable, "sign-up-misconfigured")
	w.idp.change(func(i *testIDP) { i.down = true })
	refused(in, http.StatusServiceUnavailable, "sign-up-unavailable")
	refused(in, http.StatusTooManyRequests, "too-many-sign-ups")

	for body, status := range map[string]int{`{"email":`: 400, `{"mail":"x"}`: 400, `{"email":"a","email":"b"}`: 400} {
		resp, err := doc.Client(t).Post(w.url+"/v1/sign-up", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, status, resp.StatusCode, body)
	}
	b := w.browser()
	b.client.Transport = doc.Client(t).Transport
	require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/v1/sign-up", nil, "Sec-Fetch-Site", "cross-site").status)
	resp, err := doc.Client(t).Post(w.url+"/v1/sign-up", "text/plain", strings.NewReader(`{}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode)
}

func TestSignUp_ForwardsTheAddressThatAProxySaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *console.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.SignUpBurst = 1
	})
	b := w.browser()
	require.Equal(t, http.StatusOK, b.do(http.MethodPost, "/sign-up", person, "X-Forwarded-For", "198.51.100.1, 203.0.113.9").status)
	require.Equal(t, "203.0.113.9", w.idp.signUps[0].forwarded, "what the client wrote itself is not believed")
	p := b.do(http.MethodPost, "/sign-up", person, "X-Forwarded-For", "198.51.100.2, 203.0.113.9")
	require.Equal(t, http.StatusTooManyRequests, p.status)
	require.Contains(t, p.body, "Too many sign-ups from your address.")
}

func TestSignUp_NotOffered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *world, c *console.Config) { c.SignUpURL = "" })
	b := w.browser()
	require.NotContains(t, b.get("/").body, "/sign-up")
	require.Equal(t, http.StatusNotFound, b.get("/sign-up").status)
	require.Equal(t, http.StatusNotFound, b.post("/sign-up", person).status)
}
