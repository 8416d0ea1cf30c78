package signup_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/services/console/internal/signup"
)

var (
	client = netip.MustParseAddr("203.0.113.7")
	person = signup.Request{Email: "person@example.com", Password: "correct horse", Name: "A Person"}
)

func proxy(t *testing.T, handler http.HandlerFunc) *signup.Proxy {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("sign-up-secret\n"), 0o600))
	return signup.New(signup.Config{
		URL: server.URL + "/api/auth/sign-up/email", SecretFile: secret, Context: "shop",
		HTTPClient: server.Client(), Limiter: signup.NewLimiter(time.Minute, 100, nil),
	})
}

func TestSignUp_ForwardsSecretContextAndAddress(t *testing.T) {
	t.Parallel()
	var got map[string]any
	p := proxy(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Internal-Signup-Secret") != "sign-up-secret" || r.Header.Get("X-Forwarded-For") != "203.0.113.7" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&got)
		_, _ = w.Write([]byte(`{"token":null,"user":{"id":"new-user"}}`))
	})
	id, err := p.SignUp(context.Background(), person, client)
	require.NoError(t, err)
	require.Equal(t, "new-user", id)
	require.Equal(t, map[string]any{"email": person.Email, "password": person.Password, "name": person.Name, "context": "shop"}, got)
}

func TestSignUp_EveryAnswerOfTheProviderHasASentence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		want   *problem.Error
	}{
		{422, `{"code":"USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL","message":"m"}`, signup.ErrEmailTaken},
		{400, `{"code":"PASSWORD_TOO_SHORT","message":"m"}`, signup.ErrPasswordShort},
		{400, `{"code":"PASSWORD_TOO_LONG","message":"m"}`, signup.ErrPasswordLong},
		{400, `{"code":"INVALID_EMAIL","message":"m"}`, signup.ErrEmail},
		{403, `{"error":"email_domain_not_allowed","message":"m"}`, signup.ErrEmailDomain},
		{400, `{"code":"UNKNOWN_REGISTRATION_CONTEXT","message":"m"}`, signup.ErrMisconfigured},
		{400, `{"code":"SOMETHING_NEW","message":"m"}`, signup.ErrRefused},
		{403, `{"error":"forbidden","message":"m"}`, signup.ErrMisconfigured},
		{500, ``, signup.ErrMisconfigured},
		{500, `{"message":"m"}`, signup.ErrUnavailable},
		{503, ``, signup.ErrUnavailable},
		{429, `Too many requests. Please try again later.`, signup.ErrTooMany},
		{200, `{}`, signup.ErrUnavailable},
		{302, ``, signup.ErrRefused},
	} {
		t.Run(fmt.Sprint(c.status, c.body), func(t *testing.T) {
			t.Parallel()
			p := proxy(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Retry-After", "7")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			_, err := p.SignUp(context.Background(), person, client)
			require.ErrorIs(t, err, c.want)
			require.NotContains(t, err.Error(), "m\"", "the provider's text is not repeated")
			if c.status == 429 {
				require.Equal(t, 7*time.Second, problem.From(err).RetryAfter)
			}
		})
	}
}

func TestSignUp_ProviderIsDown(t *testing.T) {
	t.Parallel()
	p := proxy(t, nil)
	p.URL = "http://127.0.0.1:1/api/auth/sign-up/email"
	_, err := p.SignUp(context.Background(), person, client)
	require.ErrorIs(t, err, signup.ErrUnavailable)
	require.NotContains(t, err.Error(), person.Email)
}

func TestSignUp_RefusesWithoutAsking(t *testing.T) {
	t.Parallel()
	p := proxy(t, func(http.ResponseWriter, *http.Request) { t.Error("the provider was asked") })
	long := strings.Repeat("x", 400)
	for _, c := range []struct {
		request signup.Request
		want    *problem.Error
	}{
		{signup.Request{}, signup.ErrMissing},
		{signup.Request{Email: "a@b.c", Password: "p"}, signup.ErrMissing},
		{signup.Request{Email: long, Password: "p", Name: "n"}, signup.ErrTooLong},
		{signup.Request{Email: "a@b.c", Password: "p", Name: "\xff"}, signup.ErrTooLong},
	} {
		_, err := p.SignUp(context.Background(), c.request, client)
		require.ErrorIs(t, err, c.want)
	}
	p.Limiter = signup.NewLimiter(time.Minute, 0, nil)
	_, err := p.SignUp(context.Background(), person, client)
	require.ErrorIs(t, err, signup.ErrTooMany)
	p.URL = ""
	_, err = p.SignUp(context.Background(), person, client)
	require.ErrorIs(t, err, signup.ErrNotConfigured)
}

func TestRequest_IsNotPrinted(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "sign-up", fmt.Sprintf(verb, person))
	}
}

func TestLimiter_ByAddress(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	l := signup.NewLimiter(10*time.Second, 2, func() time.Time { return now })
	require.Zero(t, l.Take(client))
	require.Zero(t, l.Take(client))
	require.Equal(t, 10*time.Second, l.Take(client))
	require.Equal(t, 10*time.Second, l.Take(netip.MustParseAddr("::ffff:203.0.113.7")), "the same address, mapped")
	require.Zero(t, l.Take(netip.MustParseAddr("203.0.113.8")))
	now = now.Add(10 * time.Second)
	require.Zero(t, l.Take(client))

	require.Zero(t, l.Take(netip.MustParseAddr("2001:db8::1")))
	require.Zero(t, l.Take(netip.MustParseAddr("2001:db8::2")))
	require.NotZero(t, l.Take(netip.MustParseAddr("2001:db8::3")), "a /64 is one client")
	require.Zero(t, l.Take(netip.MustParseAddr("2001:db8:0:1::1")))
}

func TestLimiter_RemembersABoundedNumber(t *testing.T) {
	t.Parallel()
	l := signup.NewLimiter(time.Hour, 1, nil)
	for i := range uint32(10_050) {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], i)
		require.Zero(t, l.Take(netip.AddrFrom4(ip)))
	}
	require.Equal(t, 10_000, l.Len())
	require.Zero(t, l.Take(netip.AddrFrom4([4]byte{})), "the quietest was forgotten")
	require.NotZero(t, l.Take(netip.AddrFrom4([4]byte{0, 0, 39, 65})))
}
