package access

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/pkg/authn"
)

// answeredByAuthn are the errors that pkg/authn answers itself, with the
// WWW-Authenticate header of RFC 6750 or a Retry-After.
var answeredByAuthn = []error{
	authn.ErrMissingToken, authn.ErrMalformed, authn.ErrUnknownIssuer, authn.ErrUnknownKey, authn.ErrSignature,
	authn.ErrExpired, authn.ErrNotYetValid, authn.ErrAudience, authn.ErrClaims, authn.ErrRevoked, authn.ErrStale,
	authn.ErrKeysUnavailable, authn.ErrForbidden, authn.ErrStepUp, authn.ErrCannotAsk, authn.ErrTokenUnavailable,
}

// WriteError answers errors of authentication and authorization as RFC 6750
// says, every other one as a problem.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if _, ok := errors.AsType[*problem.Error](err); !ok {
		for _, sentinel := range answeredByAuthn {
			if errors.Is(err, sentinel) {
				telemetry.Annotate(r.Context(), slog.String("cause", err.Error()))
				authn.WriteError(w, err)
				return
			}
		}
	}
	problem.Write(w, r, err)
}
