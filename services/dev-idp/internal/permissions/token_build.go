package permissions

import (
	"context"
	"errors"
	"fmt"

	_ "embed"
)

//go:embed token_build.lua
var defaultTokenBuild string

// ErrHook is a token_build hook whose result cannot go into a token.
var ErrHook = errors.New("the token_build hook returned something unusable")

// reserved claims are the issuer's; a hook cannot change who the token is about.
var reserved = map[string]bool{
	"iss": true, "sub": true, "aud": true, "client_id": true, "iat": true, "nbf": true, "exp": true, "jti": true,
	"sid": true, "auth_time": true, "acr": true, "scope": true, "azp": true, "act": true, "cnf": true, "may_act": true,
}

// Subject is the user that a token is built for.
type Subject struct {
	ID, Role, ActiveTenant, ClientID string
	Scopes                           []string
}

// BuildClaims runs the token_build hook over the user's tuples. The hook sees no
// e-mail address and no name. Error: ErrHook, or the script's own.
func (m *Model) BuildClaims(ctx context.Context, subject Subject, tuples []Tuple) (map[string]any, error) {
	grants := make([]any, 0, len(tuples))
	for _, t := range tuples {
		given, conditional := m.Given(t)
		grants = append(grants, map[string]any{
			"tenant": t.TenantID, "key": Key(t), "entity_type": t.EntityType, "entity_id": t.EntityID,
			"relation": t.Relation, "permissions": given, "abac_required": conditional,
		})
	}
	result, err := m.build.Run(ctx, map[string]any{
		"user":   map[string]any{"id": subject.ID, "role": subject.Role, "active_tenant": subject.ActiveTenant},
		"client": map[string]any{"id": subject.ClientID},
		"scopes": subject.Scopes,
		"grants": grants,
	})
	if err != nil {
		return nil, fmt.Errorf("run the token_build hook: %w", err)
	}
	claims, ok := result.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: not a table of claims", ErrHook)
	}
	for name := range claims {
		if reserved[name] {
			return nil, fmt.Errorf("%w: the claim %s is the issuer's", ErrHook, name)
		}
	}
	for _, name := range []string{"permissions", "abac_required"} {
		if claims[name], err = lists(claims[name]); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrHook, name, err)
		}
	}
	if tenant, ok := claims["tenant_id"].(string); !ok || tenant == "" {
		return nil, fmt.Errorf("%w: tenant_id is missing", ErrHook)
	}
	return claims, nil
}

// lists checks the shape {"type": ["name", …]}.
func lists(value any) (map[string][]string, error) {
	out := map[string][]string{}
	if value == nil {
		return out, nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("not a table of lists")
	}
	for key, names := range object {
		list, ok := names.([]any)
		if !ok {
			return nil, fmt.Errorf("%s holds no list", key)
		}
		for _, name := range list {
			text, ok := name.(string)
			if !ok {
				return nil, fmt.Errorf("%s holds something that is not a name", key)
			}
			out[key] = append(out[key], text)
		}
	}
	return out, nil
}
