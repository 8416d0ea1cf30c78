package authn

import (
	"context"
	"net/http"
)

type contextKey struct{}

// principalContext is a context with a caller in it.
type principalContext struct {
	context.Context //nolint:containedctx // it is one
	principal       *Principal
}

// Value implements context.Context.
func (c *principalContext) Value(key any) any {
	if key == (contextKey{}) {
		return c.principal
	}
	return c.Context.Value(key)
}

// NewContext returns ctx with the caller in it.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return &principalContext{Context: ctx, principal: p}
}

// FromContext returns the caller that Middleware or NewContext put into ctx.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(*Principal)
	return p, ok && p != nil
}

// withPrincipal returns a copy of r with the caller in its context, both in one
// piece of memory: WithContext's own copy does not leave this function.
func withPrincipal(r *http.Request, p *Principal) *http.Request {
	s := &struct {
		context principalContext
		request http.Request
	}{context: principalContext{Context: r.Context(), principal: p}}
	s.request = *r.WithContext(&s.context)
	return &s.request
}
