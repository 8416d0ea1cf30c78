package authn

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

func badClaim(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrClaims, fmt.Errorf(format, args...))
}

// fill makes p the Principal of verified claims, or says what is wrong with them.
func (i *issuer) fill(p *Principal, t compactToken, c *claims, entityTypes map[string]string, now time.Time) error {
	if err := i.checkRegistered(c, now); err != nil {
		return err
	}
	kind, err := i.kindOf(c)
	if err != nil {
		return err
	}
	if kind == KindUser && !typAccepted(i.profile.types, t.header.Typ) {
		return malformed("header: typ: not that of a user's access token")
	}
	*p = Principal{
		token: t.raw, issuer: i.name, subject: c.sub.value, kind: kind,
		clientID: c.clientID.value, actor: c.actor,
		audiences: c.aud, scopes: c.scopes, roles: c.roles,
		permissions: i.permissionsOf(c.permissions.value, c.roles, entityTypes),
		abac:        c.abac.value, fullAccess: c.fullAccess.value,
		tenantID: c.tenant.value, sessionID: c.sid.value, ancestors: c.ancestors, acr: c.acr.value,
		issuedAt: time.Unix(c.iat.value, 0), expiresAt: time.Unix(c.exp.value, 0),
		hasPermissions: c.permissions.set, authoritative: i.profile.authoritative,
		entityTypes: entityTypes,
	}
	if p.tokenID = c.jti.value; p.tokenID == "" {
		sum := sha256.Sum256([]byte(t.signingInput))
		p.tokenID = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	p.originally = p.issuedAt
	if c.authTime.set {
		p.authTime = time.Unix(c.authTime.value, 0)
		p.originally = p.authTime
	}
	if c.origIAT.set {
		p.originally = time.Unix(c.origIAT.value, 0)
	}
	return i.identify(p, c)
}

// checkRegistered holds the registered claims (RFC 7519, section 4.1) to the
// rules that every profile shares.
func (i *issuer) checkRegistered(c *claims, now time.Time) error {
	switch {
	case !c.iss.set || c.iss.value != i.name:
		return badClaim("iss: does not name the issuer")
	case !c.sub.set || !validUserID(c.sub.value):
		return badClaim("sub: must be 1 to %d bytes without control characters", maxUserIDBytes)
	case len(c.aud) == 0 || len(c.aud) > maxAudiences || slices.Contains(c.aud, ""):
		return badClaim("aud: must name 1 to %d audiences", maxAudiences)
	case !c.exp.set:
		return badClaim("exp: is missing")
	case !c.iat.set:
		return badClaim("iat: is missing")
	case c.hasConfirmation:
		return badClaim("cnf: the token is bound to a key whose proof is not checked here")
	case len(c.ancestors) > maxAncestors:
		return badClaim("ancestors: more than %d", maxAncestors)
	}
	for bit, claim := range i.plan.required {
		if c.required&(1<<bit) == 0 {
			return badClaim("%s: not the kind of token that is accepted", claim)
		}
	}
	for _, id := range c.ancestors {
		if !validUserID(id) {
			return badClaim("ancestors: not a token ID")
		}
	}
	if err := checkExpiry(c.exp.value, now); err != nil {
		return err
	}
	limit := now.Add(leeway)
	if time.Unix(c.iat.value, 0).After(limit) {
		return fmt.Errorf("%w: iat", ErrNotYetValid)
	}
	if c.nbf.set && time.Unix(c.nbf.value, 0).After(limit) {
		return fmt.Errorf("%w: nbf", ErrNotYetValid)
	}
	if c.origIAT.set && time.Unix(c.origIAT.value, 0).After(limit) {
		return badClaim("orig_iat: lies in the future")
	}
	return nil
}

// checkExpiry refuses from exp plus leeway on.
func checkExpiry(exp int64, now time.Time) error {
	if now.Unix() >= deadlineOf(exp) {
		return ErrExpired
	}
	return nil
}

// deadlineOf is the second from which a token is refused.
func deadlineOf(exp int64) int64 { return exp + int64(leeway/time.Second) }

const scopeAPIKeyExchange = "api_key_exchange"

// kindOf tells users from services by signed marks; contradictory ones are refused.
func (i *issuer) kindOf(c *claims) (Kind, error) {
	switch i.profile.kind {
	case kindByClaim:
		switch c.kind.value {
		case "user":
			return KindUser, nil
		case "service":
			return KindService, nil
		}
		return 0, badClaim("kind: must be user or service")
	case kindByAPIKey:
		return kindByAPIKeyMarks(c)
	default:
		if c.serviceMark {
			return KindService, nil
		}
		return KindUser, i.profile.checkEvidence(c)
	}
}

// kindByAPIKeyMarks: an Auther API-key token has `apiKeyId` and the one scope
// api_key_exchange, and nothing of a user's session. Its `sub` is the user who
// owns the key, who is not the caller.
func kindByAPIKeyMarks(c *claims) (Kind, error) {
	scoped := slices.Contains(c.scopes, scopeAPIKeyExchange)
	switch {
	case !c.apiKeyID.set && !scoped:
		if c.kind.set && c.kind.value != "user" {
			return 0, badClaim("kind: contradicts the missing apiKeyId")
		}
		return KindUser, nil
	case !c.apiKeyID.set:
		return 0, badClaim("apiKeyId: is missing beside scope %s", scopeAPIKeyExchange)
	case len(c.scopes) > 0 && (!scoped || len(c.scopes) > 1):
		return 0, badClaim("scope: contradicts apiKeyId")
	case c.kind.set && c.kind.value != "service":
		return 0, badClaim("kind: contradicts apiKeyId")
	case c.sid.set || c.authTime.set || c.actor != nil:
		return 0, badClaim("apiKeyId: beside marks of a user's session")
	default:
		return KindService, nil
	}
}

// identify gives the caller its user ID or client ID.
func (i *issuer) identify(p *Principal, c *claims) error {
	if p.kind == KindUser {
		p.userID = i.namespace + p.subject
		switch {
		case hasReservedPrefix(p.subject) || hasReservedPrefix(p.userID):
			return badClaim("sub: a user has a prefix reserved for services")
		case !validUserID(p.userID):
			return badClaim("sub: longer than %d bytes with its namespace", maxUserIDBytes)
		}
		return i.profile.checkUser(p)
	}
	switch i.profile.kind {
	case kindByAPIKey:
		p.clientID = "apikey:" + c.apiKeyID.value
	case kindByClaim:
		if p.clientID == "" || p.subject != "client:"+p.clientID {
			return badClaim("sub: a service's must be client: and its client_id")
		}
	default:
		if p.clientID == "" {
			return badClaim("client_id: is missing from a service's token")
		}
	}
	return nil
}
