package authn

import "strings"

// What IssuerConfig.UserEvidence can require of a token that no service mark
// makes a service's.
const (
	// EvidenceNone: nothing. The issuer marks every service's token for certain.
	EvidenceNone = "none"
	// EvidenceScopes: a scope. Entra ID puts delegated permissions into users'
	// tokens only, and marks an application's only where it is told to.
	EvidenceScopes = "scopes"
	// EvidenceSession: a session ID. Keycloak has no session for a service account.
	EvidenceSession = "session"
)

// userEvidences are the names that configuration knows.
var userEvidences = []string{EvidenceNone, EvidenceScopes, EvidenceSession}

// checkEvidence keeps a service whose mark is missing from passing for a user.
func (p *profile) checkEvidence(c *claims) error {
	switch p.evidence {
	case EvidenceScopes:
		if len(c.scopes) == 0 {
			return badClaim("scopes: neither a user's scope nor a service's mark")
		}
	case EvidenceSession:
		if !c.sid.set {
			return badClaim("session: neither a user's session nor a service's mark")
		}
	}
	return nil
}

// checkUser refuses a user who has a client's name: a client that calls for
// itself has its own ID as `sub` (RFC 9068, section 2.2), and only a mark that
// the issuer does not send, or that is not configured, would have told.
func (p *profile) checkUser(caller *Principal) error {
	if p.kind != kindByMarks {
		return nil
	}
	if caller.clientID != "" && caller.subject == caller.clientID {
		return badClaim("sub: the client's own ID without a service's mark")
	}
	if p.clientSuffix != "" && strings.HasSuffix(caller.subject, p.clientSuffix) {
		return badClaim("sub: a client's name without a service's mark")
	}
	return nil
}
