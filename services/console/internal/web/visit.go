package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/console/internal/session"
	"github.com/shadowless/shadowless/services/console/internal/signin"
)

// renewBefore is how long before its end a token is renewed; a shorter-lived one
// in its last quarter.
const renewBefore = time.Minute

// errAnonymous: the browser brought no session.
var errAnonymous = errors.New("no session cookie")

// endedError: there was a session, and now there is none. The sentence is public.
type endedError struct {
	sentence string
	cause    error
}

func (e *endedError) Error() string { return "session ended: " + e.cause.Error() }
func (e *endedError) Unwrap() error { return e.cause }

// Why a session ended, as its user reads it.
const (
	saidGone    = "That session has ended. Please sign in again."
	saidIdle    = "You were away for a while, so you were signed out. Please sign in again."
	saidExpired = "Your session has reached its end. Please sign in again."
	saidRevoked = "Your sign-in was revoked: you signed out everywhere, or your account was blocked or deleted."
	saidDenied  = "The identity provider no longer renews your sign-in. Please sign in again."
	saidInvalid = "Your sign-in is no longer accepted. Please sign in again."
)

// visit is a request of somebody who is signed in.
type visit struct {
	session   session.Session
	principal *authn.Principal
}

// visit finds the session of a cookie and verifies its token again, so that a
// revocation ends the session with the next request. Errors: errAnonymous, an
// *endedError, or something that is down.
func (p *Pages) visit(ctx context.Context, cookie string) (*visit, error) {
	if cookie == "" {
		return nil, errAnonymous
	}
	found, err := p.Sessions.Get(ctx, cookie)
	switch {
	case errors.Is(err, session.ErrNone):
		return nil, &endedError{saidGone, err}
	case errors.Is(err, session.ErrIdle):
		return nil, &endedError{saidIdle, err}
	case errors.Is(err, session.ErrExpired):
		return nil, &endedError{saidExpired, err}
	case err != nil:
		return nil, err
	}
	principal, err := p.Verifier.Verify(ctx, found.Tokens.Access)
	if errors.Is(err, authn.ErrExpired) || (err == nil && p.ending(principal)) {
		found, principal, err = p.renewed(ctx, found, principal, err)
	}
	if err == nil && (principal.Kind() != authn.KindUser || principal.UserID() != found.UserID) {
		err = fmt.Errorf("%w: the token is about somebody else", authn.ErrClaims)
	}
	if err != nil {
		return nil, p.ended(ctx, found, err)
	}
	return &visit{found, principal}, nil
}

func (p *Pages) ending(principal *authn.Principal) bool {
	life := principal.ExpiresAt().Sub(principal.IssuedAt())
	return principal.ExpiresAt().Sub(p.Now()) < min(renewBefore, life/4)
}

// renewed gets the next token. While the old one lives, an identity provider
// that does not answer is no reason to stop.
func (p *Pages) renewed(ctx context.Context, old session.Session, principal *authn.Principal, verified error) (session.Session, *authn.Principal, error) {
	next, err := p.Sessions.Renew(ctx, old, p.Flow.Renew)
	if err != nil {
		if verified == nil && !errors.Is(err, signin.ErrEnded) && !errors.Is(err, session.ErrNone) {
			telemetry.Annotate(ctx, slog.String("renewal", err.Error()))
			return old, principal, nil
		}
		return old, nil, err
	}
	principal, err = p.Verifier.Verify(ctx, next.Tokens.Access)
	return next, principal, err
}

// ended ends the session unless the error is an outage.
func (p *Pages) ended(ctx context.Context, found session.Session, err error) error {
	said := saidInvalid
	switch {
	case errors.Is(err, authn.ErrRevoked):
		said = saidRevoked
	case errors.Is(err, session.ErrNone):
		said = saidGone
	case errors.Is(err, signin.ErrEnded):
		said = saidDenied
	case !refused(err):
		return err
	}
	if derr := p.Sessions.Delete(ctx, found.ID); derr != nil {
		return errors.Join(err, derr)
	}
	return &endedError{said, err}
}

// refused reports that a token was judged, and not that nobody could judge it.
func refused(err error) bool {
	for _, verdict := range []error{
		authn.ErrMissingToken, authn.ErrMalformed, authn.ErrUnknownIssuer, authn.ErrUnknownKey, authn.ErrSignature, authn.ErrExpired,
		authn.ErrNotYetValid, authn.ErrAudience, authn.ErrClaims, authn.ErrRevoked,
	} {
		if errors.Is(err, verdict) {
			return true
		}
	}
	return false
}
