// Package gokit authorizes go-kit endpoints with authn. Authentication itself
// stays in net/http, before a body is decoded: see authn.Verifier.Middleware.
package gokit

import (
	"context"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/shadowless/shadowless/pkg/authn"
)

// RequirePrincipal lets a call through only with a caller in its context.
// Otherwise the error is authn.ErrMissingToken.
func RequirePrincipal() endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if _, ok := authn.FromContext(ctx); !ok {
				return nil, authn.ErrMissingToken
			}
			return next(ctx, request)
		}
	}
}

// QuestionFunc makes the question out of a decoded request.
type QuestionFunc func(ctx context.Context, request any) (authn.Question, error)

// Authorize lets a call through only if its caller may; see authn.Authorize
// for the errors. The asker may be nil if the tokens alone decide.
func Authorize(asker authn.Asker, question QuestionFunc) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			p, ok := authn.FromContext(ctx)
			if !ok {
				return nil, authn.ErrMissingToken
			}
			q, err := question(ctx, request)
			if err != nil {
				return nil, err
			}
			if err := authn.Authorize(ctx, p, asker, q); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	}
}

// RequireFresh lets a call through only while the revocation list was heard of
// within limit; 0 is authn.DefaultMaxStaleness. Otherwise the error is
// authn.ErrStale.
func RequireFresh(list *authn.RevocationList, limit time.Duration) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if err := list.Fresh(limit); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	}
}

// RequireStepUp lets a call through only if the caller's user authenticated as
// s requires; see authn.StepUp. The error is an *authn.StepUpError, which
// authn.WriteError turns into the challenge of RFC 9470.
func RequireStepUp(s authn.StepUp, now func() time.Time) endpoint.Middleware {
	if now == nil {
		now = time.Now
	}
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			p, _ := authn.FromContext(ctx)
			if err := s.Check(p, now()); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	}
}

// RequireScopes lets a call through only if its token has every scope. The
// error is an *authn.ScopeError.
func RequireScopes(scopes ...string) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			p, _ := authn.FromContext(ctx)
			if err := authn.RequireScopes(p, scopes...); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	}
}
