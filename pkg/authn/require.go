package authn

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrStepUp: the user must authenticate again, or more strongly. The error
	// is a *StepUpError.
	ErrStepUp = errors.New("stronger or more recent authentication required")
	// ErrScope: the token lacks a scope. The error is a *ScopeError.
	ErrScope = errors.New("scope missing")
)

// StepUp says how strongly and how recently a user must have authenticated
// (RFC 9470). The zero value requires nothing.
type StepUp struct {
	// ACR lists the authentication context classes that will do, the preferred
	// one first. They have no order: each that is strong enough must be listed.
	ACR []string
	// MaxAge is how long ago `auth_time` may be; 0 is any time. A token
	// without `auth_time` fails it.
	MaxAge time.Duration
}

// Check returns nil if p's user authenticated as s requires at the time now,
// and a *StepUpError if not. A service does not authenticate like a user and
// cannot do so now: it gets ErrForbidden.
func (s StepUp) Check(p *Principal, now time.Time) error {
	switch {
	case p == nil:
		return ErrMissingToken
	case len(s.ACR) == 0 && s.MaxAge <= 0:
		return nil
	case p.Kind() != KindUser:
		return fmt.Errorf("%w: only a user can authenticate more strongly", ErrForbidden)
	case len(s.ACR) > 0 && !slices.Contains(s.ACR, p.ACR()):
		return &StepUpError{Required: s}
	// The leeway is not granted here: it would lengthen a short MaxAge by much.
	case s.MaxAge > 0 && (p.AuthTime().IsZero() || now.Sub(p.AuthTime()) > s.MaxAge):
		return &StepUpError{Required: s}
	default:
		return nil
	}
}

// RequireACR is a StepUp for one of these authentication context classes.
func RequireACR(acr ...string) StepUp { return StepUp{ACR: acr} }

// RequireMaxAge is a StepUp for an authentication at most this long ago.
func RequireMaxAge(d time.Duration) StepUp { return StepUp{MaxAge: d} }

// StepUpError tells a client how to have its user authenticate (RFC 9470). It
// wraps ErrStepUp; WriteError answers 401 with the challenge.
type StepUpError struct {
	// Required is what the user's authentication lacks.
	Required StepUp
}

// Error names what is required.
func (e *StepUpError) Error() string {
	return fmt.Sprintf("%s: acr %q, max age %s", ErrStepUp, e.Required.ACR, e.Required.MaxAge)
}

// Unwrap returns ErrStepUp.
func (e *StepUpError) Unwrap() error { return ErrStepUp }

func (e *StepUpError) challenge(sentence string) string {
	c := fmt.Sprintf(`Bearer error="insufficient_user_authentication", error_description=%q`, sentence)
	if len(e.Required.ACR) > 0 {
		c += ", acr_values=" + headerQuote(strings.Join(e.Required.ACR, " "))
	}
	if e.Required.MaxAge > 0 {
		c += `, max_age="` + strconv.FormatInt(int64(e.Required.MaxAge/time.Second), 10) + `"`
	}
	return c
}

// ScopeError tells a client which scopes a request needs (RFC 6750, section
// 3.1). It wraps ErrScope; WriteError answers 403 with the challenge.
type ScopeError struct {
	// Required are all the scopes that the request needs.
	Required []string
}

// Error names the scopes.
func (e *ScopeError) Error() string {
	return fmt.Sprintf("%s: needs %s", ErrScope, strings.Join(e.Required, " "))
}

// Unwrap returns ErrScope.
func (e *ScopeError) Unwrap() error { return ErrScope }

func (e *ScopeError) challenge(sentence string) string {
	return fmt.Sprintf(`Bearer error="insufficient_scope", error_description=%q, scope=%s`, sentence, headerQuote(strings.Join(e.Required, " ")))
}

// RequireScopes returns nil if p has every scope, and a *ScopeError if not.
func RequireScopes(p *Principal, scopes ...string) error {
	if p == nil {
		return ErrMissingToken
	}
	for _, s := range scopes {
		if !p.HasScope(s) {
			return &ScopeError{Required: slices.Clone(scopes)}
		}
	}
	return nil
}

// headerQuote makes a quoted-string (RFC 9110, section 5.6.4) and leaves out
// what may not be in one.
func headerQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Requirement is a condition on a request's caller, for Verifier.Require.
type Requirement func(v *Verifier, p *Principal) error

// Scopes requires every one of the scopes.
func Scopes(scopes ...string) Requirement {
	return func(_ *Verifier, p *Principal) error { return RequireScopes(p, scopes...) }
}

// Authentication requires what s says of the user's authentication.
func Authentication(s StepUp) Requirement {
	return func(v *Verifier, p *Principal) error { return s.Check(p, v.now()) }
}

// Fresh requires that the revocation list was heard of within limit; 0 is
// DefaultMaxStaleness. It is the posture "fail closed": while revocations
// cannot arrive, the route answers 503. Without it a route fails open, and
// serves tokens whose revocation may be on its way.
func Fresh(limit time.Duration) Requirement {
	return func(v *Verifier, _ *Principal) error {
		if v.revocations == nil {
			return fmt.Errorf("%w: there is no list", ErrStale)
		}
		return v.revocations.Fresh(limit)
	}
}

// Require is Middleware that also holds each caller to the requirements, in
// their order. Who fails one gets WriteError's answer.
func (v *Verifier) Require(next http.Handler, requirements ...Requirement) http.Handler {
	return v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := FromContext(r.Context())
		for _, check := range requirements {
			if err := check(v, p); err != nil {
				v.log.InfoContext(r.Context(), "request not allowed", "error", err)
				WriteError(w, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	}))
}
