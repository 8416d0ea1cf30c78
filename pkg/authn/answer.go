package authn

import (
	"errors"
	"net/http"
)

// answer is what a client learns about an error: nothing beyond this table.
type answer struct {
	err      error
	status   int
	code     string // stable, for programs
	sentence string // for people
}

var answers = []answer{
	{errInvalidRequest, http.StatusBadRequest, "invalid-request", "One Authorization header is required."},
	{ErrStepUp, http.StatusUnauthorized, "insufficient-user-authentication", "You must sign in again, or with a stronger method."},
	{ErrScope, http.StatusForbidden, "insufficient-scope", "The access token does not cover this."},
	{ErrMissingToken, http.StatusUnauthorized, "missing-token", "A bearer token is required."},
	{ErrExpired, http.StatusUnauthorized, "invalid-token", "The access token has expired."},
	{ErrNotYetValid, http.StatusUnauthorized, "invalid-token", "The access token is not valid yet."},
	{ErrRevoked, http.StatusUnauthorized, "invalid-token", "The access token has been revoked."},
	{ErrMalformed, http.StatusUnauthorized, "invalid-token", "The access token is not acceptable."},
	{ErrUnknownIssuer, http.StatusUnauthorized, "invalid-token", "The access token is not acceptable."},
	{ErrUnknownKey, http.StatusUnauthorized, "invalid-token", "The access token is not acceptable."},
	{ErrSignature, http.StatusUnauthorized, "invalid-token", "The access token is not acceptable."},
	{ErrAudience, http.StatusUnauthorized, "invalid-token", "The access token is not meant for this service."},
	{ErrClaims, http.StatusUnauthorized, "invalid-token", "The access token is not acceptable."},
	{ErrForbidden, http.StatusForbidden, "forbidden", "You may not do this."},
	{ErrStale, http.StatusServiceUnavailable, "revocations-stale", "Access cannot be checked right now."},
	{ErrKeysUnavailable, http.StatusServiceUnavailable, "keys-unavailable", "Access cannot be checked right now."},
	{ErrCannotAsk, http.StatusServiceUnavailable, "permission-unavailable", "The permission cannot be checked right now."},
	{ErrTokenUnavailable, http.StatusServiceUnavailable, "token-unavailable", "Another service cannot be reached right now."},
}

var internalAnswer = answer{nil, http.StatusInternalServerError, "internal-error", "Something went wrong."}

func answerFor(err error) answer {
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return a
		}
	}
	return internalAnswer
}
