package exchange

import (
	"context"
	"errors"
	"slices"

	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
	"github.com/shadowless/shadowless/services/token-exchange/internal/permissions"
)

const (
	maxActors    = 3
	maxAncestors = 3
)

// TokenExchange is RFC 8693: delegation of a user's token, and the front door.
type TokenExchange struct {
	subjects    subjects
	permissions permissions.Source
	userinfo    Userinfo
	issuer      string
	authorities []string // issuers whose scopes are the mesh's, besides our own
	untyped     []string // issuers whose access tokens lack typ at+jwt
}

var _ Grant = (*TokenExchange)(nil)

// TokenExchangeOptions of NewTokenExchange. Userinfo may be nil: opaque tokens are
// then refused. All others are required.
type TokenExchangeOptions struct {
	Issuer              string
	Verifier            Verifier
	Fresh               func() error
	Blocks              Blocks
	Permissions         permissions.Source
	Userinfo            Userinfo
	ScopeAuthorities    []string
	UntypedAccessTokens []string
}

// NewTokenExchange makes the grant.
func NewTokenExchange(o TokenExchangeOptions) *TokenExchange {
	return &TokenExchange{
		subjects:    subjects{issuer: o.Issuer, verifier: o.Verifier, fresh: o.Fresh, blocks: o.Blocks},
		permissions: o.Permissions, userinfo: o.Userinfo, issuer: o.Issuer,
		authorities: o.ScopeAuthorities, untyped: o.UntypedAccessTokens,
	}
}

// Type implements Grant.
func (*TokenExchange) Type() string { return clients.GrantTokenExchange }

// Subject implements Grant.
func (g *TokenExchange) Subject(ctx context.Context, client *clients.Client, req *Request, attempt *audit.Attempt) (*Basis, error) {
	if err := checkParameters(req); err != nil {
		return nil, err
	}
	if req.SubjectTokenType == TypeIDToken {
		return g.frontDoor(ctx, client, req, attempt)
	}
	return g.delegate(ctx, client, req, attempt)
}

// checkParameters holds the request to RFC 8693, section 2.1.
func checkParameters(req *Request) error {
	switch {
	case req.SubjectToken == "":
		return oauth.InvalidRequest("no_subject_token", "The parameter subject_token is missing.")
	case req.SubjectTokenType == "":
		return oauth.InvalidRequest("no_subject_token_type", "The parameter subject_token_type is missing.")
	case !slices.Contains([]string{TypeAccessToken, TypeJWT, TypeIDToken}, req.SubjectTokenType):
		return oauth.InvalidRequest("subject_token_type", "This subject_token_type is not supported.")
	case req.ActorToken != "" || req.ActorTokenType != "":
		// One actor, proven by its credential: a token for it could only disagree.
		return oauth.InvalidRequest("actor_token", "An actor_token is not accepted: the authenticated client is the actor.")
	case req.RequestedTokenType != "" && req.RequestedTokenType != TypeAccessToken && req.RequestedTokenType != TypeJWT:
		return oauth.InvalidRequest("requested_token_type", "This requested_token_type is not supported.")
	case req.OpaqueToken != "" && req.SubjectTokenType != TypeIDToken:
		return oauth.InvalidRequest("opaque_token_alone", "An opaque token is accepted only beside an id_token.")
	}
	return nil
}

// accessTokenType is the header `typ` that tells an access token from an id_token.
const accessTokenType = "at+jwt"

// delegate makes the client the user's actor. The token keeps session, tenant
// and authentication; it is narrowed to the audience and never outlives its
// parent. Only a client to whom the token was addressed may pass it on.
func (g *TokenExchange) delegate(ctx context.Context, client *clients.Client, req *Request, attempt *audit.Attempt) (*Basis, error) {
	u, err := g.subjects.verify(ctx, req.SubjectToken, client.ID, client, attempt)
	if err != nil {
		return nil, err
	}
	// An id_token says who signed in, not what its bearer may do: it must not
	// pass for an access token where client and service happen to share a name.
	if u.typ != accessTokenType && !slices.Contains(g.untyped, u.Issuer()) {
		return nil, refuseSubject("subject_not_an_access_token")
	}
	b := u.basis()
	b.Actor = &actor{Subject: client.Subject(), ClientID: client.ID, Actor: actorOf(u.Actor())}
	if b.Actor.depth() > maxActors || len(b.Ancestors) > maxAncestors {
		return nil, refuseSubject("chain_too_long")
	}
	// A token keeps its tenant when it is passed on.
	if err := g.permit(ctx, u, b, ""); err != nil {
		return nil, err
	}
	if req.Tenant != "" && req.Tenant != b.TenantID {
		return nil, errTenant()
	}
	b.Scopes = DelegableScopes
	b.Limited, b.Limit = g.limit(u)
	return b, nil
}

// limit says whether the subject token's scopes bound what is delegated. Ours
// do, once a token has any or is itself delegated. A user's token of the
// identity provider carries scopes of another kind ("openid"), unless the
// provider is configured to speak of ours: then the client's delegable scopes
// alone are the bound.
func (g *TokenExchange) limit(u *subject) (limited bool, scopes []string) {
	scopes = u.Scopes()
	if u.Issuer() == g.issuer {
		return u.Actor() != nil || len(scopes) > 0, scopes
	}
	return slices.Contains(g.authorities, u.Issuer()), scopes
}

// permit fills permissions and tenant: those of the tenant that is asked for, or
// of the token's own. Our own tokens say what they are good for.
func (g *TokenExchange) permit(ctx context.Context, u *subject, b *Basis, tenant string) error {
	if u.Issuer() == g.issuer {
		b.Permissions, b.ABACRequired = u.Permissions(), u.ABACRequired()
		return nil
	}
	grants, err := g.permissions.GrantsOf(ctx, u.Principal, tenant)
	switch {
	case errors.Is(err, permissions.ErrNotAMember):
		return errTenant()
	case err != nil:
		return oauth.Unavailable("permissions_unavailable", err)
	}
	b.Permissions, b.ABACRequired, b.TenantID = grants.Permissions, grants.ABACRequired, grants.TenantID
	return nil
}

func errTenant() error {
	return oauth.InvalidRequest("tenant", "The requested tenant is not available.")
}
