package authn

import "errors"

// Why a token was refused, or why the question could not be answered. Test for
// them with errors.Is; the wrapping text is for the log, never for a client.
var (
	// ErrMissingToken: the request carries no bearer token.
	ErrMissingToken = errors.New("no bearer token")
	// ErrMalformed: not a compact JWS in canonical form, or a header that is not accepted (RFC 7515).
	ErrMalformed = errors.New("malformed token")
	// ErrUnknownIssuer: the `iss` claim names no configured issuer.
	ErrUnknownIssuer = errors.New("unknown issuer")
	// ErrUnknownKey: the issuer has no trusted key of this `kid`.
	ErrUnknownKey = errors.New("unknown key")
	// ErrSignature: the signature does not verify.
	ErrSignature = errors.New("signature does not verify")
	// ErrExpired: `exp` has passed, leeway included.
	ErrExpired = errors.New("token expired")
	// ErrNotYetValid: `nbf` or `iat` lies in the future, leeway included.
	ErrNotYetValid = errors.New("token not yet valid")
	// ErrAudience: none of the accepted audiences is in `aud`.
	ErrAudience = errors.New("token is for another audience")
	// ErrClaims: a claim is missing, mistyped, duplicated or contradictory.
	ErrClaims = errors.New("unacceptable claims")
	// ErrRevoked: the token, its session, user, client or an ancestor was revoked.
	ErrRevoked = errors.New("token revoked")
	// ErrStale: the revocation list is not loaded or older than the limit.
	ErrStale = errors.New("revocation list is stale")
	// ErrKeysUnavailable: the issuer's keys could not be had, so the token can be neither accepted nor refused.
	ErrKeysUnavailable = errors.New("signing keys unavailable")

	// ErrForbidden: the caller is known and may not do this.
	ErrForbidden = errors.New("forbidden")
	// ErrCannotAsk: the decision needs an asker that could not answer.
	ErrCannotAsk = errors.New("permission could not be asked for")

	// ErrTokenRefused: the token endpoint refused the credential or the request.
	ErrTokenRefused = errors.New("token request refused")
	// ErrTokenUnavailable: the token endpoint gave no answer, and no live token is at hand.
	ErrTokenUnavailable = errors.New("token endpoint unavailable")
)

// errInvalidRequest marks what is wrong with a request, not with its token. It
// always comes with ErrMalformed.
var errInvalidRequest = errors.New("invalid request")

// PublicMessage returns the one fixed sentence that may be shown to a client
// for err. It never depends on the cause's text.
func PublicMessage(err error) string {
	if err == nil {
		return ""
	}
	return answerFor(err).sentence
}
