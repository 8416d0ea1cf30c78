package web

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/console/internal/signin"
)

var againLink = &link{"/auth/login", "Sign in again"}

// login sends the browser to the identity provider.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	address, attempt, err := p.Flow.Begin(r.Context())
	if err != nil {
		p.signInFailed(w, r, err)
		return
	}
	p.jar.setAttempt(w, attempt)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// callback takes the provider's answer. A session starts under a new random
// value, whatever cookie the browser brought.
func (p *Pages) callback(w http.ResponseWriter, r *http.Request) {
	attempt := p.jar.get(r, attemptCookie)
	p.jar.clear(w, attemptCookie) // an attempt is good for one answer
	result, err := p.Flow.Finish(r.Context(), attempt, r.URL.Query())
	if err != nil {
		p.signInFailed(w, r, err)
		return
	}
	if old := p.jar.get(r, sessionCookie); old != "" {
		if err := p.Sessions.End(r.Context(), old); err != nil {
			p.signInFailed(w, r, err)
			return
		}
	}
	cookie, err := p.Sessions.Create(r.Context(), result.UserID, result.Tokens, result.NotAfter)
	if err != nil {
		p.signInFailed(w, r, err)
		return
	}
	// The server decides when it ends; the browser forgets it when it closes.
	p.jar.set(w, sessionCookie, cookie, 0)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Pages) signInFailed(w http.ResponseWriter, r *http.Request, err error) {
	const title = "You are not signed in"
	switch {
	case errors.Is(err, signin.ErrAttempt):
		p.fail(w, r, http.StatusBadRequest, title, "That sign-in took too long, or was begun in another browser. Nothing is lost; begin again.", againLink, err)
	case errors.Is(err, signin.ErrState):
		p.fail(w, r, http.StatusBadRequest, title, "The answer belongs to another sign-in than the one that this browser began, so it was not used.", againLink, err)
	case errors.Is(err, signin.ErrDenied), errors.Is(err, signin.ErrEnded):
		p.fail(w, r, http.StatusForbidden, title, "The identity provider did not sign you in.", againLink, err)
	case errors.Is(err, participant.ErrErased):
		p.fail(w, r, http.StatusForbidden, title, "This account was deleted, and everything here that belonged to it was erased.", nil, err)
	case errors.Is(err, authn.ErrRevoked):
		p.fail(w, r, http.StatusForbidden, title, saidRevoked, againLink, err)
	case errors.Is(err, signin.ErrToken), refused(err):
		p.fail(w, r, http.StatusBadGateway, title, "The identity provider sent a token that cannot be accepted here.", againLink, err)
	default:
		w.Header().Set("Retry-After", "5")
		p.fail(w, r, http.StatusServiceUnavailable, title, "The identity provider does not answer right now. Who is signed in already stays signed in.", againLink, err)
	}
}

// logout ends the session on the server: there is no token left that could be
// used. The identity provider's own session is not ours to end.
func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	if err := p.Sessions.End(r.Context(), p.jar.get(r, sessionCookie)); err != nil {
		p.unavailable(w, r, err)
		return
	}
	p.jar.clear(w, sessionCookie)
	p.back(w, r, Notice{"good", "You are signed out."})
}

// guarded finds who is signed in, or answers: to the start, with the reason.
func (p *Pages) guarded(w http.ResponseWriter, r *http.Request) (*visit, bool) {
	v, err := p.visit(r.Context(), p.jar.get(r, sessionCookie))
	var ended *endedError
	switch {
	case err == nil:
		return v, true
	case errors.Is(err, errAnonymous):
		p.back(w, r, Notice{"warn", "Please sign in first."})
	case errors.As(err, &ended):
		telemetry.Annotate(r.Context(), slog.String("cause", err.Error()))
		p.jar.clear(w, sessionCookie)
		p.back(w, r, Notice{"warn", ended.sentence})
	default:
		p.unavailable(w, r, err)
	}
	return nil, false
}
