// Package web is the console's pages: rendered on the server, without scripts,
// under a content security policy that allows nothing but our own style sheet.
package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/console/internal/seal"
	"github.com/shadowless/shadowless/services/console/internal/session"
	"github.com/shadowless/shadowless/services/console/internal/shop"
	"github.com/shadowless/shadowless/services/console/internal/signin"
	"github.com/shadowless/shadowless/services/console/internal/signup"
)

// Place is another part of the system that the page points to.
type Place struct {
	Name, What, Address string
	Href                string // empty: nothing a browser can open
}

// Config of the pages.
type Config struct {
	Flow           *signin.Flow
	Sessions       *session.Store
	SignUp         *signup.Proxy
	Shop           *shop.Shop
	Verifier       *authn.Verifier
	Notices        *seal.Box
	SecureCookies  bool // TLS: __Host- names and the Secure attribute
	TrustedProxies []netip.Prefix
	Places         []Place
	Now            func() time.Time // nil: time.Now
	Logger         *slog.Logger
}

// Pages answers browsers.
type Pages struct {
	Config
	jar jar
}

// New makes the pages.
func New(cfg Config) *Pages {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Pages{Config: cfg, jar: jar{secure: cfg.SecureCookies}}
}

// Register adds every route to the mux.
func (p *Pages) Register(m *access.Mux) {
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /{$}":                 p.home,
		"GET /assets/{name}":       serveAsset,
		"GET /auth/login":          p.login,
		"GET /auth/callback":       p.callback,
		"POST /auth/logout":        p.logout,
		"GET /sign-up":             p.signUpForm,
		"POST /sign-up":            p.signUp,
		"POST /orders":             p.place,
		"POST /orders/{id}/pay":    p.pay,
		"POST /orders/{id}/cancel": p.cancel,
		"POST /orders/{id}/refund": p.refund,
	} {
		m.Handle(pattern, handler)
	}
	kit.Handle(m, "GET /v1/me", p.decodeMe, p.me, http.StatusOK)
	kit.Handle(m, "POST /v1/sign-up", p.decodeSignUp, p.signUpJSON, http.StatusCreated)
}

// Protect puts what every answer needs around the service's handler: refusal of
// requests that another site makes a browser send, and the security headers.
func (p *Pages) Protect(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(p.crossOrigin))
	return p.headers(origin.Handler(next))
}

// contentPolicy allows our style sheet, our icon and our own forms, and nothing
// else: no script, no frame, no other host.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (p *Pages) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		if p.SecureCookies {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}
