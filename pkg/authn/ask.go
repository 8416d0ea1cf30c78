package authn

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Question asks whether the caller may use a permission on one entity, given
// attributes that the token cannot know.
type Question struct {
	// EntityType is the local name or the issuer's.
	EntityType string
	// EntityID is the one entity that it is about; "" where there is none yet.
	EntityID string
	// Permission is its name, as the issuer spells it.
	Permission string
	// Attributes of the entity that a policy needs: amount, status.
	Attributes map[string]any
}

// Asker answers questions that a token alone cannot. The subject is always the
// principal; nobody else can be asked about.
type Asker interface {
	// Ask reports whether p may. An error means that no answer was to be had:
	// it wraps ErrCannotAsk and is no denial.
	Ask(ctx context.Context, p *Principal, q Question) (allowed bool, err error)
}

// PolicyFunc decides one permission within the service.
type PolicyFunc func(ctx context.Context, p *Principal, q Question) (bool, error)

// LocalPolicy answers from functions of the service itself, for issuers that
// cannot answer for users. The key is "entityType:permission", with the entity
// type as the caller of Ask spells it; what has no function is denied.
func LocalPolicy(policies map[string]PolicyFunc) Asker {
	own := make(localPolicy, len(policies))
	maps.Copy(own, policies)
	return own
}

type localPolicy map[string]PolicyFunc

// Ask implements Asker.
func (l localPolicy) Ask(ctx context.Context, p *Principal, q Question) (bool, error) {
	f := l[q.EntityType+":"+q.Permission]
	if f == nil || p == nil {
		return false, nil
	}
	allowed, err := f(ctx, p, q)
	if err != nil {
		return false, fmt.Errorf("%w: local policy: %w", ErrCannotAsk, err)
	}
	return allowed, nil
}

// Authorize decides q: from the token where it can tell, else by asking.
// It returns nil, ErrForbidden or ErrCannotAsk. A nil asker cannot be asked.
func Authorize(ctx context.Context, p *Principal, asker Asker, q Question) error {
	if p == nil {
		return ErrMissingToken
	}
	switch p.Can(q.EntityType, q.EntityID, q.Permission) {
	case Allow:
		return nil
	case Deny:
		return ErrForbidden
	}
	if asker == nil {
		return fmt.Errorf("%w: no asker for %s %s", ErrCannotAsk, q.EntityType, q.Permission)
	}
	allowed, err := asker.Ask(ctx, p, q)
	switch {
	case errors.Is(err, ErrCannotAsk):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCannotAsk, err)
	case !allowed:
		return ErrForbidden
	default:
		return nil
	}
}
