// Package signin gets users signed in at an OpenID Connect provider: the
// authorization code flow with PKCE (RFC 7636), state and nonce, the renewal of
// the access token, and the front door, which turns an id_token into a token
// that services accept where the provider's own access tokens are opaque.
package signin

import "errors"

// Why somebody is not signed in. Test for them with errors.Is; what they wrap
// is for the log.
var (
	// ErrAttempt: the browser has no sign-in under way, or it took too long.
	ErrAttempt = errors.New("no sign-in is under way")
	// ErrState: the answer belongs to another sign-in than the browser's.
	ErrState = errors.New("the answer belongs to another sign-in")
	// ErrDenied: the provider or the user said no.
	ErrDenied = errors.New("the identity provider refused")
	// ErrToken: the provider sent a token that cannot be accepted.
	ErrToken = errors.New("the identity provider's token is not acceptable")
	// ErrEnded: the token cannot be renewed any more; sign in again.
	ErrEnded = errors.New("the sign-in has ended")
	// ErrUnavailable: the provider, or token-exchange, gave no usable answer.
	ErrUnavailable = errors.New("signing in is not available")
)
