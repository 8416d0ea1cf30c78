package exchange

import (
	"slices"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// grantScopes decides `scope`. A scope must be the client's at every audience
// of the token: one that it has at a single one of them would otherwise be
// usable at the others. More than may be had is refused, never narrowed.
func grantScopes(client *clients.Client, basis *Basis, target, wanted []string) ([]string, error) {
	allowed := scopesAt(client.Audiences[target[0]], basis.Scopes)
	for _, name := range target[1:] {
		other := scopesAt(client.Audiences[name], basis.Scopes)
		allowed = slices.DeleteFunc(allowed, func(s string) bool { return !slices.Contains(other, s) })
	}
	if basis.Limited {
		allowed = slices.DeleteFunc(allowed, func(s string) bool { return !slices.Contains(basis.Limit, s) })
	}
	if len(wanted) == 0 {
		if basis.Scopes == DelegableOnRequest {
			return nil, nil
		}
		return allowed, nil
	}
	for _, s := range wanted {
		if !slices.Contains(allowed, s) {
			return nil, oauth.InvalidScope("scope_not_allowed")
		}
	}
	return wanted, nil
}

func scopesAt(a api.Audience, rule ScopeRule) []string {
	if rule == OwnScopes {
		return slices.Clone(a.Scopes)
	}
	return slices.Clone(a.DelegableScopes)
}
