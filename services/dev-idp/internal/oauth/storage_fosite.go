package oauth

import (
	"context"
	"fmt"
	"time"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
	fositestorage "github.com/ory/fosite/storage"
)

var (
	_ fosite.Storage                      = (*storage)(nil)
	_ fositeoauth2.CoreStorage            = (*storage)(nil)
	_ fositeoauth2.TokenRevocationStorage = (*storage)(nil)
	_ openid.OpenIDConnectRequestStorage  = (*storage)(nil)
	_ pkce.PKCERequestStorage             = (*storage)(nil)
	_ fositestorage.Transactional         = (*storage)(nil)
)

// GetClient finds a configured client. Error: fosite.ErrNotFound.
func (s *storage) GetClient(_ context.Context, id string) (fosite.Client, error) {
	client, ok := s.clients[id]
	if !ok {
		return nil, fosite.ErrNotFound
	}
	return client, nil
}

// ClientAssertionJWTValid refuses: clients authenticate by secret here.
func (s *storage) ClientAssertionJWTValid(context.Context, string) error {
	return fosite.ErrJTIKnown.WithHint("Client assertions are not accepted.")
}

// SetClientAssertionJWT refuses, as ClientAssertionJWTValid does.
func (s *storage) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrJTIKnown.WithHint("Client assertions are not accepted.")
}

// ---- authorization codes

func (s *storage) CreateAuthorizeCodeSession(ctx context.Context, handle string, r fosite.Requester) error {
	return s.put(ctx, kindCode, handle, s.now().Add(codeLifetime), r)
}

func (s *storage) GetAuthorizeCodeSession(ctx context.Context, handle string, _ fosite.Session) (fosite.Requester, error) {
	request, active, err := s.get(ctx, kindCode, handle)
	if err != nil {
		return nil, err
	}
	if !active {
		return request, fosite.ErrInvalidatedAuthorizeCode
	}
	return request, nil
}

// InvalidateAuthorizeCodeSession lets one of two requests with the same code win.
func (s *storage) InvalidateAuthorizeCodeSession(ctx context.Context, handle string) error {
	spent, err := s.spend(ctx, kindCode, handle)
	if err == nil && !spent {
		return fosite.ErrInvalidatedAuthorizeCode
	}
	return err
}

// ---- PKCE and OpenID Connect requests, kept as long as their code

func (s *storage) CreatePKCERequestSession(ctx context.Context, handle string, r fosite.Requester) error {
	return s.put(ctx, kindPKCE, handle, s.now().Add(codeLifetime), r)
}

func (s *storage) GetPKCERequestSession(ctx context.Context, handle string, _ fosite.Session) (fosite.Requester, error) {
	request, _, err := s.get(ctx, kindPKCE, handle)
	if err != nil {
		return nil, err
	}
	return request, nil
}

func (s *storage) DeletePKCERequestSession(ctx context.Context, handle string) error {
	return s.drop(ctx, kindPKCE, handle)
}

func (s *storage) CreateOpenIDConnectSession(ctx context.Context, code string, r fosite.Requester) error {
	return s.put(ctx, kindOpenID, handleOf(code), s.now().Add(codeLifetime), r)
}

func (s *storage) GetOpenIDConnectSession(ctx context.Context, code string, _ fosite.Requester) (fosite.Requester, error) {
	request, _, err := s.get(ctx, kindOpenID, handleOf(code))
	if err != nil {
		return nil, err
	}
	return request, nil
}

func (s *storage) DeleteOpenIDConnectSession(ctx context.Context, code string) error {
	return s.drop(ctx, kindOpenID, handleOf(code))
}

// ---- access tokens

func (s *storage) CreateAccessTokenSession(ctx context.Context, handle string, r fosite.Requester) error {
	return s.put(ctx, kindAccess, handle, r.GetSession().GetExpiresAt(fosite.AccessToken), r)
}

func (s *storage) GetAccessTokenSession(ctx context.Context, handle string, _ fosite.Session) (fosite.Requester, error) {
	request, active, err := s.get(ctx, kindAccess, handle)
	if err != nil {
		return nil, err
	}
	if !active {
		return request, fosite.ErrInactiveToken
	}
	return request, nil
}

func (s *storage) DeleteAccessTokenSession(ctx context.Context, handle string) error {
	return s.drop(ctx, kindAccess, handle)
}

// RevokeAccessToken drops every access token of a grant.
func (s *storage) RevokeAccessToken(ctx context.Context, requestID string) error {
	if _, err := s.db(ctx).Exec(ctx, `DELETE FROM oauth_handles WHERE kind = 'access' AND request_id = $1`, requestID); err != nil {
		return fmt.Errorf("revoke access tokens: %w", err)
	}
	return nil
}

// ---- refresh tokens

func (s *storage) CreateRefreshTokenSession(ctx context.Context, handle, _ string, r fosite.Requester) error {
	return s.put(ctx, kindRefresh, handle, r.GetSession().GetExpiresAt(fosite.RefreshToken), r)
}

func (s *storage) GetRefreshTokenSession(ctx context.Context, handle string, _ fosite.Session) (fosite.Requester, error) {
	request, active, err := s.get(ctx, kindRefresh, handle)
	if err != nil {
		return nil, err
	}
	if !active {
		return request, fosite.ErrInactiveToken
	}
	return request, nil
}

// DeleteRefreshTokenSession keeps the spent row: it is how a reuse is noticed.
func (s *storage) DeleteRefreshTokenSession(ctx context.Context, handle string) error {
	_, err := s.spend(ctx, kindRefresh, handle)
	return err
}

// RevokeRefreshToken ends every refresh token of a grant.
func (s *storage) RevokeRefreshToken(ctx context.Context, requestID string) error {
	if _, err := s.db(ctx).Exec(ctx, `UPDATE oauth_handles SET active = false WHERE kind = 'refresh' AND request_id = $1`, requestID); err != nil {
		return fmt.Errorf("revoke refresh tokens: %w", err)
	}
	return nil
}

// RotateRefreshToken spends the old token. The observed server does not: there
// old refresh and access tokens stay valid.
func (s *storage) RotateRefreshToken(ctx context.Context, requestID, handle string) error {
	if s.mode.Observed() {
		return nil
	}
	spent, err := s.spend(ctx, kindRefresh, handle)
	if err != nil {
		return err
	}
	if !spent {
		return fosite.ErrSerializationFailure
	}
	return s.RevokeAccessToken(ctx, requestID)
}
