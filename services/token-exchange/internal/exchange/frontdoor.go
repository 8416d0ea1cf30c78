package exchange

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// Userinfo asks the identity provider whose an opaque access token is.
type Userinfo interface {
	// Subject returns the token's `sub`, or ErrOpaqueRefused.
	Subject(ctx context.Context, token string) (string, error)
}

// ErrOpaqueRefused: the identity provider does not know the token.
var ErrOpaqueRefused = errors.New("the identity provider refused the opaque token")

// frontDoor turns an id_token into the user's own mesh token, for the one
// client whose sign-in it came from. There is no actor; the session is new, and
// the front door's: no caller can choose or continue one.
func (g *TokenExchange) frontDoor(ctx context.Context, client *clients.Client, req *Request, attempt *audit.Attempt) (*Basis, error) {
	if !client.FrontDoor {
		return nil, oauth.UnauthorizedClient("not_a_front_door", "This client may not exchange an id_token.")
	}
	u, err := g.subjects.verify(ctx, req.SubjectToken, client.OIDCClientID, client, attempt)
	if err != nil {
		return nil, err
	}
	// Our own tokens and the provider's access tokens may have the same
	// audience as its id_tokens; neither is proof of a sign-in at this client.
	if u.typ == accessTokenType || u.Issuer() == g.issuer || u.Actor() != nil {
		return nil, refuseSubject("subject_not_an_id_token")
	}
	if req.OpaqueToken != "" {
		if err := g.sameUser(ctx, u, req.OpaqueToken); err != nil {
			return nil, err
		}
	}
	b := u.basis()
	if len(b.Ancestors) > maxAncestors {
		return nil, refuseSubject("chain_too_long")
	}
	b.SessionID = uuid.NewString()
	if err := g.permit(ctx, u, b, req.Tenant); err != nil {
		return nil, err
	}
	b.Scopes = DelegableOnRequest
	return b, nil
}

func (g *TokenExchange) sameUser(ctx context.Context, u *subject, opaque string) error {
	if g.userinfo == nil {
		return oauth.InvalidRequest("opaque_token_unsupported", "Opaque tokens are not supported here.")
	}
	sub, err := g.userinfo.Subject(ctx, opaque)
	switch {
	case errors.Is(err, ErrOpaqueRefused):
		return oauth.InvalidRequest("opaque_token_refused", "The opaque token is not acceptable.").Because(err)
	case err != nil:
		return oauth.Unavailable("userinfo_unavailable", err)
	case sub != u.Subject():
		return oauth.InvalidRequest("opaque_token_of_another", "The opaque token is not acceptable.")
	}
	return nil
}
