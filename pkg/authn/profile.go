package authn

import (
	"maps"
	"slices"
)

// QuirkIATMilliseconds tolerates an `iat` in milliseconds, as better-auth 1.3
// puts into its id_tokens.
const QuirkIATMilliseconds = "iat-milliseconds"

// Quirks lists the names that IssuerConfig.Quirks knows.
func Quirks() []string { return []string{QuirkIATMilliseconds} }

// Profiles lists the names that IssuerConfig.Profile knows, sorted.
func Profiles() []string { return slices.Sorted(maps.Keys(profiles)) }

// kindRule says how a profile tells services from users. It is never `sub`.
type kindRule uint8

const (
	// kindByMarks: a service if any of the profile's service marks is there.
	kindByMarks kindRule = iota
	// kindByClaim: the claim `kind` is required and says "user" or "service".
	kindByClaim
	// kindByAPIKey: Auther; `apiKeyId` and `scope: api_key_exchange` mark an API key.
	kindByAPIKey
)

// profile is how one product's tokens look.
type profile struct {
	algorithms []string
	types      []string
	// serviceTypes are header types accepted beside types, for services only:
	// where users' access tokens have a type of their own, another kind of
	// token must not pass for one.
	serviceTypes   []string
	claims         ClaimNames
	kind           kindRule
	serviceMarks   map[string]string
	requiredClaims map[string]string
	// evidence is what a token must have to be a user's; see EvidenceScopes.
	evidence string
	// clientSuffix ends the `sub` of clients; no user has such a name.
	clientSuffix  string
	authoritative bool
	quirks        []string
}

var profiles = map[string]profile{
	// Tokens that token-exchange mints (RFC 9068).
	"shadowless": {
		algorithms:    []string{"ES256", "EdDSA", "RS256"},
		types:         []string{"at+jwt"},
		claims:        standardClaims,
		kind:          kindByClaim,
		authoritative: true,
	},
	// What Auther's documentation promises.
	"auther": {
		algorithms:   []string{"RS256", "EdDSA"},
		types:        []string{"at+jwt"},
		serviceTypes: []string{"JWT"},
		claims:       standardClaims,
		kind:         kindByAPIKey,
	},
	// What Auther on better-auth 1.3.32 sends: id_token, session JWT and API-key JWT.
	"auther-observed": {
		algorithms: []string{"EdDSA", "RS256"},
		types:      []string{"", "JWT"},
		claims:     standardClaims,
		kind:       kindByAPIKey,
		quirks:     []string{QuirkIATMilliseconds},
	},
	"keycloak": {
		algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"},
		types:      []string{"JWT", "at+jwt"},
		claims: with(standardClaims, ClaimNames{
			ClientID: Names{"azp", "client_id"},
			Roles:    Names{"/realm_access/roles"},
		}),
		// The service account scope of Keycloak adds clientHost; no user token has it.
		serviceMarks: map[string]string{"clientHost": "*"},
		// Keycloak's ID and refresh tokens have the same header but another `typ` claim.
		requiredClaims: map[string]string{"typ": "Bearer"},
		evidence:       EvidenceSession,
	},
	"auth0": {
		algorithms: []string{"RS256", "PS256"},
		types:      []string{"JWT", "at+jwt"},
		claims: with(standardClaims, ClaimNames{
			ClientID:    Names{"azp", "client_id"},
			Roles:       Names{"permissions"}, // Auth0's are a flat list of names
			Permissions: Names{},
			TenantID:    Names{"org_id"},
		}),
		serviceMarks: map[string]string{"gty": "client-credentials"},
		clientSuffix: "@clients",
	},
	"entra": {
		algorithms: []string{"RS256"},
		types:      []string{"JWT"},
		claims: with(standardClaims, ClaimNames{
			ClientID:    Names{"azp", "appid"},
			Scopes:      Names{"scp"},
			Roles:       Names{"roles"},
			Permissions: Names{},
			TenantID:    Names{"tid"},
			TokenID:     Names{"uti"},
		}),
		serviceMarks: map[string]string{"idtyp": "app"},
		evidence:     EvidenceScopes, // idtyp is an optional claim there
	},
	// Any provider with RFC 9068 access tokens.
	"oidc": {
		algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"},
		types:      []string{"at+jwt"},
		claims: with(standardClaims, ClaimNames{
			Roles: Names{"roles"},
		}),
	},
}

var standardClaims = ClaimNames{
	ClientID:         Names{"client_id", "azp"},
	Kind:             Names{"kind"},
	Scopes:           Names{"scope"},
	Permissions:      Names{"permissions"},
	ABACRequired:     Names{"abac_required"},
	ClientFullAccess: Names{"client_full_access"},
	TenantID:         Names{"tenant_id"},
	SessionID:        Names{"sid"},
	TokenID:          Names{"jti"},
	AuthTime:         Names{"auth_time"},
	ACR:              Names{"acr"},
}

// byField gives the names under the YAML key of each field.
func (n ClaimNames) byField() map[string]Names {
	return map[string]Names{
		"client_id": n.ClientID, "kind": n.Kind, "scopes": n.Scopes, "roles": n.Roles,
		"permissions": n.Permissions, "abac_required": n.ABACRequired,
		"client_full_access": n.ClientFullAccess, "tenant_id": n.TenantID,
		"session_id": n.SessionID, "token_id": n.TokenID, "auth_time": n.AuthTime, "acr": n.ACR,
	}
}

// with returns base with the fields of over that are not nil; an empty list
// takes the name away.
func with(base, over ClaimNames) ClaimNames {
	set := func(to *Names, from Names) {
		if from != nil {
			*to = from
		}
	}
	set(&base.ClientID, over.ClientID)
	set(&base.Kind, over.Kind)
	set(&base.Scopes, over.Scopes)
	set(&base.Roles, over.Roles)
	set(&base.Permissions, over.Permissions)
	set(&base.ABACRequired, over.ABACRequired)
	set(&base.ClientFullAccess, over.ClientFullAccess)
	set(&base.TenantID, over.TenantID)
	set(&base.SessionID, over.SessionID)
	set(&base.TokenID, over.TokenID)
	set(&base.AuthTime, over.AuthTime)
	set(&base.ACR, over.ACR)
	return base
}

// profile returns the issuer's profile with the configuration's overrides.
func (ic IssuerConfig) profile() profile {
	p := profiles[ic.Profile]
	if ic.Algorithms != nil {
		p.algorithms = ic.Algorithms
	}
	if ic.Types != nil {
		p.types, p.serviceTypes = ic.Types, nil
	}
	if ic.ServiceMarks != nil {
		p.serviceMarks = ic.ServiceMarks
	}
	if ic.UserEvidence != "" {
		p.evidence = ic.UserEvidence
	}
	if ic.PermissionsAuthoritative != nil {
		p.authoritative = *ic.PermissionsAuthoritative
	}
	if ic.Quirks != nil {
		p.quirks = ic.Quirks
	}
	p.claims = with(p.claims, ic.Claims)
	return p
}
