// Package browser reads what a browser sends: the session cookie, the origin
// and the address it comes from.
package browser

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/shadowless/shadowless/services/dev-idp/internal/lifecycle"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// Browser is what handlers of cookie requests share.
type Browser struct {
	Life    *lifecycle.Service
	Cookies sessions.Cookies
	// Origins may send cookie requests that change something.
	Origins []string
}

// Current is the signed-in user. Error: sessions.ErrNotFound.
func (b *Browser) Current(r *http.Request) (users.User, sessions.Session, error) {
	return b.Life.Current(r.Context(), b.Cookies.Token(r))
}

// TrustedOrigin guards a POST that a cookie authorizes: a browser says where it
// comes from, and without that the request is refused.
func (b *Browser) TrustedOrigin(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Cookie") == "" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		if referer, err := url.Parse(r.Header.Get("Referer")); err == nil && referer.Host != "" {
			origin = referer.Scheme + "://" + referer.Host
		}
	}
	switch {
	case origin == "" || origin == "null":
		reply.Auth(w, http.StatusForbidden, "MISSING_OR_NULL_ORIGIN", "Missing or null Origin")
		return false
	case !slices.Contains(b.Origins, origin):
		reply.Auth(w, http.StatusForbidden, "INVALID_ORIGIN", "Invalid origin")
		return false
	}
	return true
}

// ForeignForm says whether a page of another site posted the form. A client
// that is no browser sends no origin.
func (b *Browser) ForeignForm(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin != "" && !slices.Contains(b.Origins, origin)
}

// Client is where the request comes from. X-Forwarded-For counts only from a
// proxy on this machine, or anyone could choose their own address.
func Client(r *http.Request) lifecycle.Client {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() {
		// The last hop is the one that the local proxy itself saw.
		hops := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
		if forwarded := net.ParseIP(strings.TrimSpace(hops[len(hops)-1])); forwarded != nil {
			address = forwarded.String()
		}
	}
	return lifecycle.Client{Address: address, UserAgent: r.UserAgent()}
}
