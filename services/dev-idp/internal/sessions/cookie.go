package sessions

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// CookieName is the session cookie's.
const CookieName = "better-auth.session_token"

// Cookies signs session tokens: the value is "<token>.<HMAC-SHA256, base64>",
// percent-encoded.
type Cookies struct {
	Key []byte
	// Secure marks cookies for HTTPS only.
	Secure bool
}

// Set gives the browser the session.
func (c Cookies) Set(w http.ResponseWriter, s Session) {
	http.SetCookie(w, c.cookie(url.QueryEscape(s.Token+"."+c.sign(s.Token)), int(Lifetime/time.Second)))
}

// Clear takes the session's cookie away.
func (c Cookies) Clear(w http.ResponseWriter) { http.SetCookie(w, c.cookie("", -1)) }

// Token reads the cookie; a missing or badly signed one is "".
func (c Cookies) Token(r *http.Request) string {
	cookie, err := r.Cookie(CookieName)
	if err != nil {
		return ""
	}
	value, err := url.QueryUnescape(cookie.Value)
	if err != nil {
		return ""
	}
	token, signature, ok := strings.Cut(value, ".")
	if !ok || !hmac.Equal([]byte(signature), []byte(c.sign(token))) {
		return ""
	}
	return token
}

func (c Cookies) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: CookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode,
	}
}

func (c Cookies) sign(token string) string {
	mac := hmac.New(sha256.New, c.Key)
	mac.Write([]byte(token))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
