package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/console"
)

// frontDoor is token-exchange as the console sees it.
type frontDoor struct {
	issuer *authntest.Issuer
	server *httptest.Server

	mu       sync.Mutex
	left     time.Duration // how long mesh tokens still live
	refuses  bool
	down     bool
	asked    int
	subjects []string // tokens that were presented
}

func newFrontDoor(t *testing.T, issuer *authntest.Issuer) *frontDoor {
	t.Helper()
	d := &frontDoor{issuer: issuer, left: 15 * time.Minute}
	d.server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.server.Close)
	return d
}

func (d *frontDoor) change(f func(*frontDoor)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *frontDoor) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *frontDoor) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	user, secret, _ := r.BasicAuth()
	_ = r.ParseForm()
	claims := jwt.MapClaims{}
	token := r.Form.Get("subject_token")
	_, _, err := jwt.NewParser().ParseUnverified(token, claims)
	switch {
	case d.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case user != "console" || secret != url.QueryEscape(meshtest.SecretOf("console")):
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	case d.refuses, err != nil, r.Form.Get("grant_type") != authn.GrantTokenExchange,
		r.Form.Get("subject_token_type") != "urn:ietf:params:oauth:token-type:id_token",
		!slices.Equal(r.Form["audience"], []string{"orders", "billing", "console"}):
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
	default:
		d.subjects = append(d.subjects, token)
		subject, _ := claims.GetSubject()
		writeJSON(w, http.StatusOK, map[string]any{
			"token_type": "Bearer", "expires_in": int(d.left.Seconds()), "issued_token_type": authn.TokenTypeAccessToken,
			"access_token": d.issuer.UserToken(subject, authntest.Audience(r.Form["audience"]...),
				authntest.Tenant("acme"), authntest.IssuedAt(time.Now().Add(d.left-authntest.DefaultLifetime))),
		})
	}
}

func observed(t *testing.T) (*world, *frontDoor) {
	t.Helper()
	var door *frontDoor
	w := newWorld(t, func(w *world, c *console.Config) {
		door = newFrontDoor(t, w.mesh.Exchange.Issuer())
		c.FrontDoor, c.TokenExchangeURL = true, door.server.URL
	})
	return w, door
}

func TestFrontDoor_ExchangesTheIDTokenOnce(t *testing.T) {
	t.Parallel()
	w, door := observed(t)
	b := w.browser()
	p := b.signIn()
	require.Contains(t, p.body, w.mesh.Exchange.Issuer().Name(), "the token is the mesh's")
	p = b.place(p, "desk-lamp", "1")
	require.Contains(t, p.body, "Your order is placed.")
	require.Equal(t, 1, door.count())
}

func TestFrontDoor_ExchangesAgainWhileTheIDTokenLives(t *testing.T) {
	t.Parallel()
	w, door := observed(t)
	door.change(func(d *frontDoor) { d.left = 20 * time.Second })
	b := w.browser()
	b.signIn() // renews at once, as there is little left
	require.GreaterOrEqual(t, door.count(), 2)
	require.Equal(t, door.subjects[0], door.subjects[1], "with the same id_token")
	require.Zero(t, w.idp.renewed(), "the provider is not asked")

	door.change(func(d *frontDoor) { d.down = true })
	require.Contains(t, b.get("/").body, "My orders", "a token that lives is good without token-exchange")
	door.change(func(d *frontDoor) { d.down, d.refuses = false, true })
	require.Contains(t, b.get("/").body, "no longer renews your sign-in")
	require.Zero(t, w.sessions())
}

func TestFrontDoor_SessionEndsWithTheIDToken(t *testing.T) {
	t.Parallel()
	w, _ := observed(t)
	w.idp.change(func(i *testIDP) { i.idLeft = 10 * time.Minute })
	w.browser().signIn()
	var left float64
	require.NoError(t, w.db.Pool.QueryRow(t.Context(), `SELECT extract(epoch FROM expires_at - created_at)::float8 FROM sessions`).Scan(&left))
	require.LessOrEqual(t, left, (10 * time.Minute).Seconds())
}

func TestFrontDoor_RefusedOrDown(t *testing.T) {
	t.Parallel()
	w, door := observed(t)
	door.change(func(d *frontDoor) { d.refuses = true })
	require.Equal(t, http.StatusForbidden, w.browser().get("/auth/login").status)
	door.change(func(d *frontDoor) { d.refuses, d.down = false, true })
	require.Equal(t, http.StatusServiceUnavailable, w.browser().get("/auth/login").status)
	require.Zero(t, w.sessions())
}
