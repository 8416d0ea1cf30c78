package exchange

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// mint makes the token. It lives for at most MaxLife and never longer than
// what it was made from.
func (s *Service) mint(client *clients.Client, basis *Basis, target, scopes []string, attempt *audit.Attempt) (*Issued, error) {
	now := s.Now().Truncate(time.Second)
	expires := now.Add(MaxLife)
	if !basis.NotAfter.IsZero() && basis.NotAfter.Before(expires) {
		expires = basis.NotAfter.Truncate(time.Second)
	}
	if !expires.After(now) {
		return nil, oauth.InvalidRequest("subject_expired", "The subject token is not acceptable.")
	}
	originally := now
	for _, t := range []time.Time{basis.OriginallyAt, basis.AuthTime} {
		if !t.IsZero() && t.Before(originally) {
			originally = t
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	types := s.Policy.EntityTypes(target)
	c := claims{
		Issuer: s.Issuer, Subject: basis.Subject, Audience: target, ClientID: client.ID,
		IssuedAt: now.Unix(), ExpiresAt: expires.Unix(), ID: id.String(), Kind: basis.Kind.String(),
		Scope: strings.Join(scopes, " "), Permissions: narrow(basis.Permissions, types), ABACRequired: narrow(basis.ABACRequired, types),
		TenantID: basis.TenantID, SessionID: basis.SessionID, ACR: basis.ACR, OriginallyAt: originally.Unix(),
		Ancestors: basis.Ancestors, Actor: basis.Actor, MayAct: basis.MayAct,
	}
	if !basis.AuthTime.IsZero() {
		c.AuthTime = basis.AuthTime.Unix()
	}
	signed, err := s.Signer.Sign(tokenType, c)
	if err != nil {
		return nil, oauth.Unavailable("signing_unavailable", err)
	}
	// Nothing is left out to make it fit: a token that says less than was asked
	// for would be refused somewhere else, for no reason that anybody sees.
	if len(signed) > s.Policy.MaxTokenBytes {
		return nil, oauth.InvalidRequest("token_too_large", "The token would be larger than allowed. Ask for fewer audiences.")
	}
	attempt.TokenID = c.ID
	return &Issued{
		AccessToken: signed, TokenType: "Bearer", ExpiresIn: int64(expires.Sub(now) / time.Second), Scope: c.Scope,
		IssuedTokenType: basis.IssuedTokenType, ExpiresAt: c.ExpiresAt,
	}, nil
}

// narrow keeps what is about the audience's entity types: keys are a type or a
// type and an entity.
func narrow(permissions map[string][]string, types map[string]bool) map[string][]string {
	var kept map[string][]string
	for key, names := range permissions {
		for t := range types {
			if key == t || strings.HasPrefix(key, t+":") {
				if kept == nil {
					kept = map[string][]string{}
				}
				kept[key] = names
				break
			}
		}
	}
	return kept
}
