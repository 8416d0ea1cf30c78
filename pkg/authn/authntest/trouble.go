package authntest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"
)

// Trouble is a way in which an issuer's server can fail, or attack.
type Trouble string

const (
	// NoTrouble: the server does what it should.
	NoTrouble Trouble = ""
	// Outage: every request is answered with 503.
	Outage Trouble = "outage"
	// Hang: requests are accepted and never answered.
	Hang Trouble = "hang"
	// Drop: connections are closed without an answer.
	Drop Trouble = "drop"
	// EmptySet: 200 and `{"keys":[]}`.
	EmptySet Trouble = "empty set"
	// HTMLPage: 200 and a web page, as a captive portal or a login page sends.
	HTMLPage Trouble = "html page"
	// Truncated: 200 and half of the key set.
	Truncated Trouble = "truncated"
	// Endless: 200 and a body that never ends.
	Endless Trouble = "endless"
	// RedirectAway: a redirect to another host, which publishes ForeignKey.
	RedirectAway Trouble = "redirect away"
	// RedirectLoop: a redirect to itself.
	RedirectLoop Trouble = "redirect loop"
	// Unchanged: 304, though nobody asked a conditional question.
	Unchanged Trouble = "unchanged"
)

// Troubles lists every one but NoTrouble.
func Troubles() []Trouble {
	return []Trouble{Outage, Hang, Drop, EmptySet, HTMLPage, Truncated, Endless, RedirectAway, RedirectLoop, Unchanged}
}

// Trouble makes the server fail in this way until the next call.
func (i *Issuer) Trouble(trouble Trouble) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.trouble = trouble
}

// Down is Trouble(Outage).
func (i *Issuer) Down() { i.Trouble(Outage) }

// Up ends every trouble.
func (i *Issuer) Up() { i.Trouble(NoTrouble) }

// Slow makes every answer come this much later; 0 ends that.
func (i *Issuer) Slow(delay time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.delay = delay
}

// CacheControl sets that header of the key set; "" sends none.
func (i *Issuer) CacheControl(value string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.caching = value
}

// NotModified is how many of the Fetches were answered with 304.
func (i *Issuer) NotModified() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.same
}

// ForeignKey is what the host that RedirectAway leads to publishes. A verifier
// must not trust it.
func (i *Issuer) ForeignKey() Key {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.foreign.Private == nil {
		i.foreign = NewKey(i.t, i.alg, "foreign")
	}
	return i.foreign
}

const elsewherePath = "/elsewhere/jwks.json"

// elsewhere is this server under another host name.
func (i *Issuer) elsewhere() string {
	_, port, _ := net.SplitHostPort(i.server.Listener.Addr().String())
	return "http://localhost:" + port + elsewherePath
}

func (i *Issuer) serveElsewhere(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{i.ForeignKey().JWK()}})
}

// wait holds an answer back; it is false if nobody waits for it any more.
func (i *Issuer) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-i.ended:
	}
	return false
}

// afflicted answers as the trouble says, and is false where there is none.
func (i *Issuer) afflicted(w http.ResponseWriter, r *http.Request, trouble Trouble, body []byte) bool {
	switch trouble {
	case Outage:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Hang:
		select {
		case <-r.Context().Done():
		case <-i.ended:
		}
	case Drop:
		panic(http.ErrAbortHandler)
	case EmptySet:
		_, _ = w.Write([]byte(`{"keys":[]}`))
	case HTMLPage:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Please sign in</title>"))
	case Truncated:
		_, _ = w.Write(body[:len(body)/2])
	case Endless:
		for chunk := []byte(`{"keys":[` + strings.Repeat(" ", 32<<10)); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
	case RedirectAway:
		http.Redirect(w, r, i.elsewhere(), http.StatusFound)
	case RedirectLoop:
		http.Redirect(w, r, r.URL.String(), http.StatusFound) //nolint:gosec // a loop is what is asked for
	case Unchanged:
		w.WriteHeader(http.StatusNotModified)
	default:
		return false
	}
	return true
}

func (i *Issuer) serveJWKS(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.fetches++
	close(i.fetched)
	i.fetched = make(chan struct{})
	trouble, delay, caching, body := i.trouble, i.delay, i.caching, i.jwksLocked()
	i.mu.Unlock()
	if !i.wait(r, delay) || i.afflicted(w, r, trouble, body) {
		return
	}
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	w.Header().Set("ETag", etag)
	if caching != "" {
		w.Header().Set("Cache-Control", caching)
	}
	if r.Header.Get("If-None-Match") == etag {
		i.mu.Lock()
		i.same++
		i.mu.Unlock()
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(body)
}

func (i *Issuer) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	trouble, delay := i.trouble, i.delay
	i.mu.Unlock()
	document, err := json.Marshal(map[string]any{
		"issuer": i.iss, "jwks_uri": i.JWKSURL(),
		"id_token_signing_alg_values_supported": []string{i.alg},
	})
	if err != nil {
		panic(err) // strings in maps always encode
	}
	if !i.wait(r, delay) || i.afflicted(w, r, trouble, document) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document)
}
