// Package deciders shows what an [authn.Asker] may be beside the identity
// provider and a local policy: a second authorization system, a policy that
// stands in while the first cannot answer, and full delegation. Each is a few
// lines, because the service only knows the interface.
package deciders

import (
	"context"
	"errors"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Both allows what every one of the systems allows. The first denial ends it;
// one that cannot answer is no permission.
func Both(systems ...authn.Asker) authn.Asker { return both(systems) }

type both []authn.Asker

// Ask implements [authn.Asker].
func (b both) Ask(ctx context.Context, p *authn.Principal, q authn.Question) (bool, error) {
	var silent error
	for _, system := range b {
		allowed, err := system.Ask(ctx, p, q)
		switch {
		case err != nil:
			silent = errors.Join(silent, err) // a later one may still deny
		case !allowed:
			return false, nil
		}
	}
	if silent != nil || len(b) == 0 {
		return false, errors.Join(authn.ErrCannotAsk, silent)
	}
	return true, nil
}

// StandIn lets second answer while first cannot. It is how a route fails open
// within bounds: second is a local policy that allows what the service can
// afford to be wrong about, and denies the rest.
func StandIn(first, second authn.Asker) authn.Asker { return standIn{first, second} }

type standIn struct{ first, second authn.Asker }

// Ask implements [authn.Asker].
func (s standIn) Ask(ctx context.Context, p *authn.Principal, q authn.Question) (bool, error) {
	allowed, err := s.first.Ask(ctx, p, q)
	if errors.Is(err, authn.ErrCannotAsk) {
		return s.second.Ask(ctx, p, q)
	}
	return allowed, err
}

// Delegate asks for every decision, whatever the token says: full delegation. It
// returns nil, [authn.ErrForbidden] or an error that wraps [authn.ErrCannotAsk].
func Delegate(ctx context.Context, p *authn.Principal, asker authn.Asker, q authn.Question) error {
	allowed, err := asker.Ask(ctx, p, q)
	switch {
	case err != nil:
		return errors.Join(authn.ErrCannotAsk, err)
	case !allowed:
		return authn.ErrForbidden
	default:
		return nil
	}
}
