// Package authntest is an issuer for tests: a real HTTP server with discovery
// and key set, really signed tokens, key rotation, and everything that can be
// wrong with such a server: see Trouble and Slow.
//
//	iss := authntest.NewIssuer(t)
//	v := iss.Verifier(t, "orders")
//	p, err := v.Verify(ctx, iss.UserToken("alice", authntest.Audience("orders")))
package authntest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Issuer issues tokens that a Verifier accepts. It is safe for concurrent use.
type Issuer struct {
	t      testing.TB
	server *httptest.Server
	alg    string
	iss    string
	now    func() time.Time

	mu      sync.Mutex
	keys    []Key // published; the last one signs
	made    int
	trouble Trouble
	delay   time.Duration
	caching string // Cache-Control of the key set
	jwks    []byte // served instead of the keys, if not nil
	fetches int
	same    int           // how many of them were answered with 304
	fetched chan struct{} // closed and replaced at each fetch

	foreign Key           // what the machine that RedirectAway leads to publishes
	ended   chan struct{} // closed at the end of the test
}

// IssuerOption changes an Issuer.
type IssuerOption func(*Issuer)

// WithAlgorithm makes the issuer sign with another algorithm than ES256: RS256,
// RS384, RS512, PS256, PS384, PS512, ES384, ES512 or EdDSA.
func WithAlgorithm(alg string) IssuerOption { return func(i *Issuer) { i.alg = alg } }

// WithClock makes tokens be issued at the clock's time.
func WithClock(c *Clock) IssuerOption { return func(i *Issuer) { i.now = c.Now } }

// WithIssuer makes `iss` differ from the server's URL.
func WithIssuer(iss string) IssuerOption { return func(i *Issuer) { i.iss = iss } }

// NewIssuer starts an issuer that stops with the test.
func NewIssuer(t testing.TB, opts ...IssuerOption) *Issuer {
	t.Helper()
	i := &Issuer{t: t, alg: "ES256", now: time.Now, fetched: make(chan struct{}), ended: make(chan struct{})}
	for _, opt := range opts {
		opt(i)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.serveDiscovery)
	mux.HandleFunc("GET /.well-known/jwks.json", i.serveJWKS)
	mux.HandleFunc("GET "+elsewherePath, i.serveElsewhere)
	i.server = httptest.NewServer(mux)
	t.Cleanup(i.server.Close)
	t.Cleanup(func() { close(i.ended) }) // before the server waits for its requests
	if i.iss == "" {
		i.iss = i.server.URL
	}
	i.keys = []Key{i.newKey()}
	return i
}

func (i *Issuer) newKey() Key {
	i.made++
	return NewKey(i.t, i.alg, fmt.Sprintf("key-%d", i.made))
}

// URL is the server's address.
func (i *Issuer) URL() string { return i.server.URL }

// JWKSURL is where the key set is.
func (i *Issuer) JWKSURL() string { return i.server.URL + "/.well-known/jwks.json" }

// Name is the `iss` of the tokens.
func (i *Issuer) Name() string { return i.iss }

// Config is the issuer as a verifier must be configured for it.
func (i *Issuer) Config(profile string) authn.IssuerConfig {
	return authn.IssuerConfig{
		Issuer: i.iss, Profile: profile, JWKSURLs: []string{i.JWKSURL()}, Algorithms: []string{i.alg},
	}
}

// Verifier returns a verifier of this issuer's shadowless tokens, closed with
// the test. It has an empty, loaded revocation list: Verifier.Revocations.
func (i *Issuer) Verifier(t testing.TB, audiences ...string) *authn.Verifier {
	t.Helper()
	return NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{i.Config("shadowless")}}, authn.Options{
		Audiences: audiences, Now: i.now,
	})
}

// NewVerifier is authn.New for tests: it ends with the test, and gets an
// empty, loaded revocation list and a silent logger if it has none.
func NewVerifier(t testing.TB, cfg authn.Config, opts authn.Options) *authn.Verifier {
	t.Helper()
	if opts.Revocations == nil && !opts.SkipRevocation {
		now := opts.Now
		if now == nil {
			now = time.Now
		}
		opts.Revocations = authn.NewRevocationList(authn.RevocationListOptions{Now: now})
		opts.Revocations.MarkLoaded()
		opts.Revocations.Heartbeat(now())
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	v, err := authn.New(t.Context(), cfg, opts)
	if err != nil {
		t.Fatalf("authntest: new verifier: %v", err)
	}
	t.Cleanup(v.Close)
	return v
}

// SigningKey is the key that signs now.
func (i *Issuer) SigningKey() Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// Rotate publishes a new key that signs from now on; the old ones stay published.
func (i *Issuer) Rotate() Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	k := i.newKey()
	i.keys = append(i.keys, k)
	return k
}

// Prune takes every key but the signing one out of the set.
func (i *Issuer) Prune() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// ServeJWKS makes the key set be exactly these bytes; nil ends that.
func (i *Issuer) ServeJWKS(raw []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.jwks = raw
}

// Fetches is how often the key set was asked for, and a channel that is closed
// at the next time.
func (i *Issuer) Fetches() (int, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches, i.fetched
}

// JWKS is the key set as it is published.
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.jwksLocked()
}

func (i *Issuer) jwksLocked() []byte {
	if i.jwks != nil {
		return i.jwks
	}
	keys := make([]map[string]any, len(i.keys))
	for n, k := range i.keys {
		keys[n] = k.JWK()
	}
	raw, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err) // strings in maps always encode
	}
	return raw
}

// Sign signs exactly these claims, with header `typ: at+jwt` unless options say
// otherwise.
func (i *Issuer) Sign(claims map[string]any, opts ...TokenOption) string {
	i.t.Helper()
	tok := &token{key: i.SigningKey(), header: map[string]any{"typ": "at+jwt"}, claims: maps.Clone(claims)}
	if tok.claims == nil {
		tok.claims = map[string]any{}
	}
	return i.sign(tok, opts)
}

func (i *Issuer) sign(tok *token, opts []TokenOption) string {
	i.t.Helper()
	for _, opt := range opts {
		opt(tok)
	}
	header := map[string]any{"alg": tok.key.Alg, "kid": tok.key.ID}
	for name, value := range tok.header {
		if value == nil {
			delete(header, name)
		} else {
			header[name] = value
		}
	}
	j := &jwt.Token{Header: header, Claims: jwt.MapClaims(tok.claims), Method: tok.key.method()}
	signed, err := j.SignedString(tok.key.Private)
	if err != nil {
		i.t.Fatalf("authntest: sign: %v", err)
	}
	return signed
}
