package authn

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Middleware lets only requests with an acceptable bearer token through to
// next, which finds the caller by FromContext. Others get WriteError's answer,
// and the cause goes to the log.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := v.Authenticate(r)
		if err != nil {
			v.log.InfoContext(r.Context(), "request not authenticated", "error", err)
			WriteError(w, err)
			return
		}
		next.ServeHTTP(w, withPrincipal(r, p))
	})
}

// Authenticate verifies the bearer token of r (RFC 6750, section 2.1: the
// Authorization header, and no other place).
func (v *Verifier) Authenticate(r *http.Request) (*Principal, error) {
	token, err := bearerToken(r.Header)
	if err != nil {
		return nil, err
	}
	return v.Verify(r.Context(), token)
}

func bearerToken(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", ErrMissingToken
	}
	if len(values) > 1 {
		return "", fmt.Errorf("%w: %w: more than one Authorization header", ErrMalformed, errInvalidRequest)
	}
	const scheme = "bearer "
	value := values[0]
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", fmt.Errorf("%w: another scheme", ErrMissingToken)
	}
	return strings.TrimLeft(value[len(scheme):], " "), nil
}

// retryAfterSeconds is what clients are told to wait when access cannot be checked.
const retryAfterSeconds = 2

// problem is the body of an answer (RFC 9457). Code is stable, for programs.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// WriteError answers a request that err kept from being served: 401 with a
// challenge (RFC 6750, section 3; RFC 9470 for a *StepUpError), 403, with a
// challenge for a *ScopeError, 503 with Retry-After, 400 for more than one
// Authorization header, and application/problem+json that tells nothing of the cause. An error that is
// none of this package's is a 500.
func WriteError(w http.ResponseWriter, err error) {
	a := answerFor(err)
	h := w.Header()
	if c := challenge(err, a); c != "" {
		h.Set("WWW-Authenticate", c)
	}
	if a.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfterSeconds))
	}
	body, _ := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(a.status), Status: a.status, Detail: a.sentence, Code: a.code,
	})
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// challenge is the WWW-Authenticate header that err calls for, or "". It has
// no error code where no token was sent: RFC 6750, section 3.1.
func challenge(err error, a answer) string {
	var stepUp *StepUpError
	var scope *ScopeError
	switch {
	case errors.As(err, &stepUp):
		return stepUp.challenge(a.sentence)
	case errors.As(err, &scope):
		return scope.challenge(a.sentence)
	case a.status == http.StatusBadRequest:
		return fmt.Sprintf(`Bearer error="invalid_request", error_description=%q`, a.sentence)
	case a.status != http.StatusUnauthorized:
		return ""
	case errors.Is(a.err, ErrMissingToken):
		return "Bearer"
	default:
		return fmt.Sprintf(`Bearer error="invalid_token", error_description=%q`, a.sentence)
	}
}
