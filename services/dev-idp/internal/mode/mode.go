// Package mode names the two ways of the identity provider: what its
// documentation promises, and what the running server was seen to do.
package mode

import (
	"fmt"
	"time"
)

// Mode is "promised" or "observed".
type Mode string

// The two modes.
const (
	Promised Mode = "promised"
	Observed Mode = "observed"
)

// Parse reads a mode; the empty text is Promised.
func Parse(text string) (Mode, error) {
	switch m := Mode(text); m {
	case "":
		return Promised, nil
	case Promised, Observed:
		return m, nil
	default:
		return "", fmt.Errorf("%q is neither promised nor observed", text)
	}
}

// Observed says whether the server's real behavior is played.
func (m Mode) Observed() bool { return m == Observed }

// Algorithm is the JWS algorithm that new tokens are signed with.
func (m Mode) Algorithm() string {
	if m.Observed() {
		return "EdDSA"
	}
	return "RS256"
}

// TokenIssuer is the `iss` of session JWTs and API-key JWTs. An id_token's is
// always base: the observed server has two issuers.
func (m Mode) TokenIssuer(base string) string {
	if m.Observed() {
		return base + "/jwt"
	}
	return base
}

// AccessTokenLifetime of OIDC access tokens.
func (m Mode) AccessTokenLifetime() time.Duration {
	if m.Observed() {
		return 48 * time.Hour
	}
	return 15 * time.Minute
}

// IDTokenLifetime of id_tokens.
func (m Mode) IDTokenLifetime() time.Duration {
	if m.Observed() {
		return 48 * time.Hour
	}
	return time.Hour
}

// SignInAttempts allowed per SignInWindow and client address; 0 is no limit.
func (m Mode) SignInAttempts() int {
	if m.Observed() {
		return 3
	}
	return 0
}

// SignInWindow is the span that SignInAttempts counts in.
const SignInWindow = 10 * time.Second
