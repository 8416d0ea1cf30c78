package refusals

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// clock is the time at which every case is judged.
var clock = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	issuerA  = "https://a.example"
	issuerB  = "https://b.example"
	audience = "orders"
)

var allAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// issuers are the two parties of most files. Both publish a key named
// "shared", and not the same one. A's keys have no `alg` where not said, so
// that only the key's type and curve tell what it is for.
func issuers() []Issuer {
	set := func(keys ...map[string]any) map[string]any { return map[string]any{"keys": keys} }
	return []Issuer{
		{
			Issuer: issuerA, Profile: "shadowless", Algorithms: allAlgorithms, UserNamespace: "a|",
			JWKS: set(
				jwk("rsa", "rsa"), jwk("p256", "p256"), jwk("p384", "p384"), jwk("p521", "p521"), jwk("ed25519", "ed25519"),
				jwk("rsa-pinned", "rsa-pinned", "alg", "RS256"), jwk("p256", "shared"),
				// What follows must never be trusted.
				jwk("rsa-1024", "rsa-1024"), jwk("p256-enc", "encryption", "use", "enc"), signOnly(jwk("p256-ops", "sign-only")),
				map[string]any{"kty": "oct", "kid": "symmetric", "alg": "HS256", "k": b64(symmetricKey)},
				map[string]any{"kty": "EC", "kid": "not-on-the-curve", "crv": "P-256", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))},
			),
		},
		{
			Issuer: issuerB, Profile: "shadowless", Algorithms: []string{"ES256"}, UserNamespace: "b|",
			JWKS: set(jwk("p256-b", "shared"), jwk("p256-b", "b-only")),
		},
	}
}

var symmetricKey = []byte("a symmetric key that an issuer published by mistake")

func signOnly(key map[string]any) map[string]any {
	delete(key, "use")
	key["key_ops"] = []string{"sign"}
	return key
}

func newFile(about string, cases ...Case) File {
	return File{About: about, Clock: clock, Leeway: 30, Audiences: []string{audience}, Issuers: issuers(), Cases: cases}
}

// token is a token that is being forged: raw JSON texts and a key.
type token struct {
	header, payload string
	alg, key        string
}

const plainHeader = `{"alg":"ES256","kid":"p256","typ":"at+jwt"}`

// plain is a token that is in order: every other is it with one thing spoiled.
func plain() token {
	return token{header: plainHeader, payload: payload(), alg: "ES256", key: "p256"}
}

// payload is A's usual claims, with members added (`"x":1`) or replaced.
func payload(members ...string) string {
	claims := []string{
		fmt.Sprintf(`"iss":%q`, issuerA), `"sub":"alice"`, fmt.Sprintf(`"aud":%q`, audience),
		fmt.Sprintf(`"exp":%d`, clock.Unix()+300), fmt.Sprintf(`"iat":%d`, clock.Unix()),
		`"jti":"j-1"`, `"client_id":"console"`, `"kind":"user"`,
	}
	for _, m := range members {
		name, _, _ := strings.Cut(m, ":")
		for i, c := range claims {
			if strings.HasPrefix(c, name+":") {
				claims[i], m = m, ""
			}
		}
		if m != "" {
			claims = append(claims, m)
		}
	}
	return "{" + strings.Join(claims, ",") + "}"
}

// without takes a claim away.
func without(name string) string {
	var kept []string
	for c := range strings.SplitSeq(strings.Trim(payload(), "{}"), ",") {
		if !strings.HasPrefix(c, fmt.Sprintf("%q:", name)) {
			kept = append(kept, c)
		}
	}
	return "{" + strings.Join(kept, ",") + "}"
}

func (t token) signingInput() string { return b64([]byte(t.header)) + "." + b64([]byte(t.payload)) }

func (t token) signature() []byte { return sign(t.alg, t.key, t.signingInput()) }

// String is the token with its real signature.
func (t token) String() string { return t.signed(t.signature()) }

// signed is the token with any signature.
func (t token) signed(sig []byte) string { return t.signingInput() + "." + b64(sig) }

func (t token) withHeader(header string) token { t.header = header; return t }

func (t token) withPayload(payload string) token { t.payload = payload; return t }

// by has the token signed by another key, and says so in its header.
func (t token) by(alg, key, kid string) token {
	t.alg, t.key = alg, key
	t.header = fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, kid)
	return t
}

func text(s string) Token { return Token{{Text: s}} }

// refuse is a case that must be refused; covers names what of the
// documentation's list it stands for, separated by spaces.
func refuse(expect, covers, name, why string, t fmt.Stringer) Case {
	return Case{Name: name, Covers: strings.Fields(covers), Why: why, Token: asToken(t), Expect: expect}
}

// accept is a case that must be accepted as this user of A.
func accept(covers, name, why string, t fmt.Stringer, subject string) Case {
	return Case{
		Name: name, Covers: strings.Fields(covers), Why: why, Token: asToken(t), Expect: Accept,
		Caller: &Caller{Kind: "user", Subject: subject, UserID: "a|" + subject, ClientID: "console"},
	}
}

func asToken(t fmt.Stringer) Token {
	if parts, ok := t.(Token); ok {
		return parts
	}
	return text(t.String())
}

// raw is a token that is spelled out.
type raw string

func (r raw) String() string { return string(r) }

func object(v any) string {
	data, err := json.Marshal(v)
	must(err)
	return string(data)
}
