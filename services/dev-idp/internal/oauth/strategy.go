package oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"

	"github.com/shadowless/shadowless/services/dev-idp/internal/keys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

var (
	_ fositeoauth2.CoreStrategy         = (*strategy)(nil)
	_ openid.OpenIDConnectTokenStrategy = (*strategy)(nil)
	_ jwt.Signer                        = (*noHints)(nil)
)

// strategy makes codes and tokens. Opaque ones are 32 letters; their expiry is
// the storage's, so validation has nothing left to do.
type strategy struct {
	base     string
	audience string
	mode     mode.Mode
	ring     *keys.Ring
	model    *permissions.Model
	storage  *storage
}

func (s *strategy) AuthorizeCodeSignature(_ context.Context, token string) string {
	return handleOf(token)
}
func (s *strategy) AccessTokenSignature(_ context.Context, token string) string {
	return handleOf(token)
}
func (s *strategy) RefreshTokenSignature(_ context.Context, token string) string {
	return handleOf(token)
}

func (s *strategy) ValidateAuthorizeCode(context.Context, fosite.Requester, string) error { return nil }
func (s *strategy) ValidateAccessToken(context.Context, fosite.Requester, string) error   { return nil }
func (s *strategy) ValidateRefreshToken(context.Context, fosite.Requester, string) error  { return nil }

func opaque() (token, handle string, err error) {
	token = random.Token()
	return token, handleOf(token), nil
}

func (s *strategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (string, string, error) {
	return opaque()
}

func (s *strategy) GenerateRefreshToken(context.Context, fosite.Requester) (string, string, error) {
	return opaque()
}

// GenerateAccessToken is opaque in observed mode, a JWT with permissions otherwise.
func (s *strategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (string, string, error) {
	if s.mode.Observed() {
		return opaque()
	}
	session, ok := r.GetSession().(*Session)
	if !ok {
		return "", "", fmt.Errorf("a request with a session of type %T", r.GetSession())
	}
	user, err := users.ByID(ctx, s.storage.pool, session.UserID)
	if err != nil {
		return "", "", err
	}
	claims, err := s.built(ctx, user, r.GetClient().GetID(), r.GetGrantedScopes())
	if err != nil {
		return "", "", err
	}
	now := s.storage.now()
	claims["iss"], claims["sub"], claims["aud"] = s.base, user.ID, []string(r.GetGrantedAudience())
	claims["client_id"], claims["scope"] = r.GetClient().GetID(), strings.Join(r.GetGrantedScopes(), " ")
	claims["iat"], claims["exp"] = now.Unix(), session.GetExpiresAt(fosite.AccessToken).Unix()
	claims["jti"], claims["sid"] = random.ID(), session.SessionID
	claims["auth_time"], claims["acr"] = session.AuthTime.Unix(), acr
	token, err := s.ring.Sign(ctx, "at+jwt", claims)
	return token, handleOf(token), err
}

// built runs the token_build hook for the user.
func (s *strategy) built(ctx context.Context, user users.User, clientID string, scopes []string) (map[string]any, error) {
	tuples, err := permissions.OfUser(ctx, s.storage.pool, user.ID)
	if err != nil {
		return nil, err
	}
	return s.model.BuildClaims(ctx, permissions.Subject{
		ID: user.ID, Role: user.Role, ActiveTenant: user.ActiveTenant, ClientID: clientID, Scopes: scopes,
	}, tuples)
}

// GenerateIDToken makes the id_token. In observed mode `iat` is in milliseconds
// and there is no typ, sid or auth_time.
func (s *strategy) GenerateIDToken(ctx context.Context, lifespan time.Duration, r fosite.Requester) (string, error) {
	session, ok := r.GetSession().(*Session)
	if !ok {
		return "", fmt.Errorf("a request with a session of type %T", r.GetSession())
	}
	user, err := users.ByID(ctx, s.storage.pool, session.UserID)
	if err != nil {
		return "", err
	}
	now := s.storage.now()
	claims := map[string]any{
		"iss": s.base, "sub": user.ID, "aud": r.GetClient().GetID(), "acr": acr,
		"iat": now.Unix(), "exp": now.Add(lifespan).Unix(),
	}
	if nonce := r.GetRequestForm().Get("nonce"); nonce != "" {
		claims["nonce"] = nonce
	}
	if r.GetGrantedScopes().Has("profile") {
		claims["given_name"], claims["family_name"], claims["name"] = user.GivenName(), user.FamilyName(), user.Name
		claims["profile"], claims["updated_at"] = nil, reply.Time(user.UpdatedAt)
	}
	if r.GetGrantedScopes().Has("email") {
		claims["email"], claims["email_verified"] = user.Email, user.EmailVerified
	}
	if s.mode.Observed() {
		claims["iat"] = now.UnixMilli()
		return s.ring.Sign(ctx, "", claims)
	}
	claims["auth_time"], claims["sid"], claims["jti"] = session.AuthTime.Unix(), session.SessionID, random.ID()
	if hash := session.IDTokenClaims().AccessTokenHash; hash != "" {
		claims["at_hash"] = hash
	}
	return s.ring.Sign(ctx, "JWT", claims)
}

// SessionToken is the JWT of get-session: the user's row as claims and, in
// promised mode, what an access token carries.
func (s *strategy) SessionToken(ctx context.Context, user users.User, session sessions.Session) (string, error) {
	full := user.Full()
	claims := map[string]any{
		"name": full.Name, "email": full.Email, "emailVerified": full.EmailVerified, "image": full.Image,
		"createdAt": full.CreatedAt, "updatedAt": full.UpdatedAt, "role": full.Role, "banned": full.Banned,
		"banReason": full.BanReason, "banExpires": full.BanExpires, "username": full.Username,
		"displayUsername": full.DisplayUsername, "id": full.ID,
	}
	if !s.mode.Observed() {
		built, err := s.built(ctx, user, "", nil)
		if err != nil {
			return "", err
		}
		maps.Copy(claims, built)
		claims["sid"], claims["jti"] = session.ID, random.ID()
	}
	now := s.storage.now()
	claims["sub"], claims["iss"], claims["aud"] = user.ID, s.mode.TokenIssuer(s.base), s.audience
	claims["iat"], claims["exp"] = now.Unix(), now.Add(sessionTokenLifetime).Unix()
	return s.ring.Sign(ctx, "", claims)
}

// noHints is the signer that the library wants for id_token_hint alone, which
// the authorize endpoint takes out of every request.
type noHints struct{}

var errNoHints = errors.New("id_token_hint is not read")

func (noHints) Generate(context.Context, jwt.MapClaims, jwt.Mapper) (string, string, error) {
	return "", "", errNoHints
}
func (noHints) Validate(context.Context, string) (string, error)     { return "", errNoHints }
func (noHints) Hash(context.Context, []byte) ([]byte, error)         { return nil, errNoHints }
func (noHints) Decode(context.Context, string) (*jwt.Token, error)   { return nil, errNoHints }
func (noHints) GetSignature(context.Context, string) (string, error) { return "", errNoHints }
func (noHints) GetSigningMethodLength(context.Context) int           { return 0 }
