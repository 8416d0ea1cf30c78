// Package oauth is the token endpoint's language: its errors (RFC 6749, section
// 5.2; RFC 8693, section 2.2.2) and the one place that writes them.
package oauth

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/internal/telemetry"
)

// Error is a refusal. Code and Description are public and fixed; Reason goes
// into the audit, the cause into the log.
type Error struct {
	Status      int
	Code        string
	Description string
	Reason      string // snake_case, for the audit
	RetryAfter  time.Duration
	cause       error
}

func (e *Error) Error() string {
	text := e.Code + ": " + e.Reason
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.cause }

// Because is the error with a cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

func refuse(status int, code, reason, description string) *Error {
	return &Error{Status: status, Code: code, Reason: reason, Description: description}
}

// InvalidRequest says: a parameter is missing, repeated, malformed, or a token that
// was sent is not acceptable (RFC 8693, section 2.2.2).
func InvalidRequest(reason, description string) *Error {
	return refuse(http.StatusBadRequest, "invalid_request", reason, description)
}

// InvalidClient says: the client is not proven. All causes have one body, so that
// nobody learns which keys and clients exist.
func InvalidClient(reason string) *Error {
	return refuse(http.StatusUnauthorized, "invalid_client", reason, "Client authentication failed.")
}

// UnauthorizedClient says: the client may not use this grant.
func UnauthorizedClient(reason, description string) *Error {
	return refuse(http.StatusBadRequest, "unauthorized_client", reason, description)
}

// UnsupportedGrantType says: nobody may use this grant here.
func UnsupportedGrantType() *Error {
	return refuse(http.StatusBadRequest, "unsupported_grant_type", "unsupported_grant_type", "This grant type is not supported.")
}

// UnsupportedTokenType says: nobody can revoke this kind of token here (RFC 7009,
// section 2.2.1).
func UnsupportedTokenType(reason string) *Error {
	return refuse(http.StatusBadRequest, "unsupported_token_type", reason, "This kind of token is not revoked here.")
}

// InvalidScope says: more was asked for than may be had.
func InvalidScope(reason string) *Error {
	return refuse(http.StatusBadRequest, "invalid_scope", reason, "The requested scope is not available to this client, user and audience.")
}

// InvalidTarget says: the audience or resource is unknown or forbidden.
func InvalidTarget(reason, description string) *Error {
	return refuse(http.StatusBadRequest, "invalid_target", reason, description)
}

// TooManyRequests says: the key or address is over its limit. RFC 6749 has no code
// for it; this one says what to do.
func TooManyRequests(reason string, after time.Duration) *Error {
	e := refuse(http.StatusTooManyRequests, "temporarily_unavailable", reason, "Too many requests. Try again later.")
	e.RetryAfter = max((after + time.Second - 1).Truncate(time.Second), time.Second) // rounded up
	return e
}

const retryAfter = 5 * time.Second

// Unavailable says: nothing is wrong with the request; ask again.
func Unavailable(reason string, cause error) *Error {
	e := refuse(http.StatusServiceUnavailable, "temporarily_unavailable", reason, "This is not available right now. Try again later.")
	e.RetryAfter = retryAfter
	return e.Because(cause)
}

// BadGateway says: whoever this service asked gave no valid answer.
func BadGateway(reason string, cause error) *Error {
	return refuse(http.StatusBadGateway, "server_error", reason, "The upstream issuer gave no valid answer.").Because(cause)
}

// From finds the public face of err; anything unknown is a server error.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "invalid_request", "body_too_large", "The request body is too large.").Because(err)
	}
	return refuse(http.StatusInternalServerError, "server_error", "server_error", "Something went wrong on our side.").Because(err)
}

// realm of the WWW-Authenticate challenge.
const challenge = `Basic realm="token-exchange", charset="UTF-8"`

// WriteError answers err. The cause goes into the request's log line.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := From(err)
	telemetry.Annotate(r.Context(), slog.String("code", e.Code), slog.String("reason", e.Reason))
	if e.cause != nil {
		telemetry.Annotate(r.Context(), slog.String("cause", e.cause.Error()))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter/time.Second)))
	}
	WriteJSON(w, e.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.Code, e.Description})
}

// WriteJSON answers with what must not be stored (RFC 6749, section 5.1).
func WriteJSON(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The connection may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}
