package oauth

import (
	"maps"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"
)

var _ openid.Session = (*Session)(nil)

// acr is the authentication class of every sign-in, as the original says it.
const acr = "urn:mace:incommon:iap:silver"

// Session is what a grant remembers of the sign-in it came from. It holds no
// profile data: that is read when a token is made.
type Session struct {
	UserID    string                         `json:"user_id"`
	SessionID string                         `json:"session_id"`
	AuthTime  time.Time                      `json:"auth_time"`
	Expires   map[fosite.TokenType]time.Time `json:"expires"`

	claims  *jwt.IDTokenClaims
	headers *jwt.Headers
}

// SetExpiresAt notes the end of a kind of token.
func (s *Session) SetExpiresAt(key fosite.TokenType, end time.Time) {
	if s.Expires == nil {
		s.Expires = map[fosite.TokenType]time.Time{}
	}
	s.Expires[key] = end
}

// GetExpiresAt is the zero time where nothing was noted.
func (s *Session) GetExpiresAt(key fosite.TokenType) time.Time { return s.Expires[key] }

// GetUsername is empty: the library would only put it into answers.
func (s *Session) GetUsername() string { return "" }

// GetSubject is the user's ID.
func (s *Session) GetSubject() string { return s.UserID }

// Clone makes a copy that shares nothing.
func (s *Session) Clone() fosite.Session {
	if s == nil {
		return nil
	}
	return &Session{UserID: s.UserID, SessionID: s.SessionID, AuthTime: s.AuthTime, Expires: maps.Clone(s.Expires)}
}

// IDTokenClaims is what the library checks and hands values through; the
// id_token itself is built by the strategy.
func (s *Session) IDTokenClaims() *jwt.IDTokenClaims {
	if s.claims == nil {
		s.claims = &jwt.IDTokenClaims{Subject: s.UserID, AuthTime: s.AuthTime, RequestedAt: time.Now().UTC()}
	}
	return s.claims
}

// IDTokenHeaders tells the library which hash at_hash has: SHA-256.
func (s *Session) IDTokenHeaders() *jwt.Headers {
	if s.headers == nil {
		s.headers = &jwt.Headers{}
	}
	return s.headers
}
