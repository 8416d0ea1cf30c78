package authn

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Kind tells users from services. It is a signed claim, never read from `sub`.
type Kind uint8

const (
	// KindUser is a person, known by UserID.
	KindUser Kind = iota + 1
	// KindService is a program that acts for itself, known by ClientID.
	KindService
)

// String returns "user" or "service".
func (k Kind) String() string {
	switch k {
	case KindUser:
		return "user"
	case KindService:
		return "service"
	default:
		return "unknown"
	}
}

// Principal is the verified caller of a request. It is immutable and safe for
// concurrent use; only a Verifier makes one.
type Principal struct {
	token       string
	tokenID     string
	issuer      string
	subject     string
	userID      string
	kind        Kind
	clientID    string
	actor       *Actor
	audiences   []string
	scopes      []string
	roles       []string
	permissions grants
	abac        grants
	fullAccess  []string
	tenantID    string
	sessionID   string
	ancestors   []string
	acr         string
	authTime    time.Time
	originally  time.Time
	issuedAt    time.Time
	expiresAt   time.Time

	hasPermissions bool
	authoritative  bool
	entityTypes    map[string]string
	checks         []revocationCheck
}

// Actor is the service that calls on the subject's behalf (RFC 8693, section 4.1).
type Actor struct {
	subject  string
	clientID string
	actor    *Actor
}

// Subject is the actor's `sub`.
func (a *Actor) Subject() string { return a.subject }

// ClientID is the actor's `client_id`.
func (a *Actor) ClientID() string { return a.clientID }

// Actor is the party that acted before this one, or nil.
func (a *Actor) Actor() *Actor { return a.actor }

// Issuer is the token's `iss`.
func (p *Principal) Issuer() string { return p.issuer }

// Subject is the token's `sub` as it came. Store UserID instead.
func (p *Principal) Subject() string { return p.subject }

// UserID is what services store: the issuer's namespace, if it has one, and
// `sub`, byte for byte. It is empty for a service.
func (p *Principal) UserID() string { return p.userID }

// Kind tells users from services.
func (p *Principal) Kind() Kind { return p.kind }

// ClientID is the client that the token was issued to; for a token of an
// Auther API key it is "apikey:" and the key's ID.
func (p *Principal) ClientID() string { return p.clientID }

// Actor is who calls on the subject's behalf; nil unless the token is delegated.
func (p *Principal) Actor() *Actor { return p.actor }

// Audiences returns a copy of `aud`.
func (p *Principal) Audiences() []string { return slices.Clone(p.audiences) }

// HasAudience reports whether audience is in `aud`.
func (p *Principal) HasAudience(audience string) bool { return slices.Contains(p.audiences, audience) }

// HasScope reports whether the token has the scope.
func (p *Principal) HasScope(scope string) bool { return slices.Contains(p.scopes, scope) }

// Scopes returns a copy of the token's scopes.
func (p *Principal) Scopes() []string { return slices.Clone(p.scopes) }

// HasRole reports whether the token has the role.
func (p *Principal) HasRole(role string) bool { return slices.Contains(p.roles, role) }

// Roles returns a copy of the token's roles.
func (p *Principal) Roles() []string { return slices.Clone(p.roles) }

// Permissions returns a deep copy: the issuer's entity type or entity → permissions.
func (p *Principal) Permissions() map[string][]string { return p.permissions.copied() }

// ABACRequired returns a deep copy of the permissions that must be asked for.
func (p *Principal) ABACRequired() map[string][]string { return p.abac.copied() }

// ClientFullAccess returns a copy of the clients whose every entity is allowed.
func (p *Principal) ClientFullAccess() []string { return slices.Clone(p.fullAccess) }

// PermissionsAuthoritative reports whether what Permissions does not list is
// denied (true), or may still be asked for (false).
func (p *Principal) PermissionsAuthoritative() bool { return p.hasPermissions || p.authoritative }

// TenantID is the active tenant, or "".
func (p *Principal) TenantID() string { return p.tenantID }

// SessionID is the token's session (`sid`), or "".
func (p *Principal) SessionID() string { return p.sessionID }

// TokenID is the `jti`, or, where there is none, the SHA-256 of the signing
// input in base64url: a token has more than one valid spelling of its
// signature, so neither the token nor its signature can identify it.
func (p *Principal) TokenID() string { return p.tokenID }

// Ancestors returns a copy of the IDs of the tokens this one was exchanged from.
func (p *Principal) Ancestors() []string { return slices.Clone(p.ancestors) }

// AuthTime is when the user last authenticated (`auth_time`); zero if unknown.
func (p *Principal) AuthTime() time.Time { return p.authTime }

// OriginallyIssuedAt is the earliest time of the token's chain: `orig_iat`,
// else `auth_time`, else `iat`. Revocation "before T" compares with it.
func (p *Principal) OriginallyIssuedAt() time.Time { return p.originally }

// IssuedAt is `iat`, in whole seconds rounded down.
func (p *Principal) IssuedAt() time.Time { return p.issuedAt }

// ExpiresAt is `exp`, without leeway.
func (p *Principal) ExpiresAt() time.Time { return p.expiresAt }

// ACR is the authentication context class (`acr`), or "".
func (p *Principal) ACR() string { return p.acr }

// Token is the bearer token itself. It is for delegation and for asking the
// issuer, and belongs in no log, span or URL.
func (p *Principal) Token() string { return p.token }

// String names the kind only: user IDs are personal data.
func (p *Principal) String() string {
	if p == nil {
		return "principal(none)"
	}
	return "principal(" + p.kind.String() + ")"
}

// GoString is String, so that %#v shows no token either.
func (p *Principal) GoString() string { return p.String() }

// Format writes String for every verb.
func (p *Principal) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// LogValue shows what may be logged: kind, issuer and client.
func (p *Principal) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue(p.String())
	}
	return slog.GroupValue(
		slog.String("kind", p.kind.String()),
		slog.String("issuer", p.issuer),
		slog.String("client_id", p.clientID),
	)
}

// size estimates the memory that p keeps alive: itself, its token, the payload
// that its strings are cut out of, and its lists, which a payload of many tiny
// elements makes longer than itself.
func (p *Principal) size() int64 {
	const self, stringHeader, grantHeader, check = 1024, 16, 40, 24
	strings := len(p.audiences) + len(p.scopes) + len(p.roles) + len(p.fullAccess) + len(p.ancestors)
	for _, list := range []grants{p.permissions, p.abac} {
		for _, g := range list {
			strings += len(g.names)
		}
	}
	return int64(self + 2*len(p.token) + stringHeader*strings +
		grantHeader*(len(p.permissions)+len(p.abac)) + check*len(p.checks))
}
