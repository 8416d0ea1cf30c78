package web

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/services/console/internal/signin"
)

// Names of the cookies, without the prefix that TLS adds.
const (
	sessionCookie = "shadowless_session"
	attemptCookie = "shadowless_sign_in"
	noticeCookie  = "shadowless_notice"
)

// hostPrefix makes browsers accept a cookie only from this very host, over TLS
// and for the whole site (RFC 6265bis, section 4.1.3.2): a neighbor on another
// subdomain cannot plant one.
const hostPrefix = "__Host-"

const noticeLife = time.Minute

// jar writes and reads cookies. All of them are HttpOnly and SameSite=Lax: the
// provider sends the browser back by a cross-site navigation, which Strict would
// leave without them.
type jar struct{ secure bool }

func (j jar) name(plain string) string {
	if j.secure {
		return hostPrefix + plain
	}
	return plain
}

// set writes a cookie; life 0 lets it end with the browser.
func (j jar) set(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: j.name(name), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: j.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (j jar) clear(w http.ResponseWriter, name string) { j.set(w, name, "", -time.Second) }

func (j jar) get(r *http.Request, name string) string {
	c, err := r.Cookie(j.name(name))
	if err != nil {
		return ""
	}
	return c.Value
}

func (j jar) setAttempt(w http.ResponseWriter, sealed string) {
	j.set(w, attemptCookie, sealed, signin.AttemptLife)
}

// Notice is one sentence on the next page. It travels sealed, so that a link
// cannot put words into our mouth.
type Notice struct {
	Tone string `json:"tone"` // good, warn or bad
	Text string `json:"text"`
}

var noticeBinding = []byte("notice")

func (p *Pages) leave(w http.ResponseWriter, n Notice) {
	plain, err := json.Marshal(n)
	if err != nil {
		return // two strings always encode
	}
	p.jar.set(w, noticeCookie, base64.RawURLEncoding.EncodeToString(p.Notices.Seal(plain, noticeBinding)), noticeLife)
}

// take reads the notice and forgets it.
func (p *Pages) take(w http.ResponseWriter, r *http.Request) *Notice {
	value := p.jar.get(r, noticeCookie)
	if value == "" {
		return nil
	}
	p.jar.clear(w, noticeCookie)
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil
	}
	plain, err := p.Notices.Open(raw, noticeBinding)
	if err != nil {
		return nil
	}
	var n Notice
	if json.Unmarshal(plain, &n) != nil {
		return nil
	}
	return &n
}

// back ends a form: see other, so that reloading the page sends nothing again.
func (p *Pages) back(w http.ResponseWriter, r *http.Request, n Notice) {
	p.leave(w, n)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
