package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/services/console/api"
)

// errNotSignedIn is the JSON routes' answer without a session. It is no token
// that is missing, so there is no WWW-Authenticate header.
var errNotSignedIn = problem.New(http.StatusUnauthorized, "not-signed-in", "Sign in first.")

type meCall struct{ cookie string }

func (p *Pages) decodeMe(r *http.Request) (meCall, error) {
	return meCall{p.jar.get(r, sessionCookie)}, nil
}

func (p *Pages) me(ctx context.Context, call meCall) (api.Me, error) {
	v, err := p.visit(ctx, call.cookie)
	var ended *endedError
	switch {
	case errors.Is(err, errAnonymous), errors.As(err, &ended):
		return api.Me{}, errNotSignedIn.Because(err)
	case err != nil:
		return api.Me{}, problem.ErrUnavailable.Because(err)
	}
	return describe(v.principal, p.Verifier.Revocations()), nil
}
