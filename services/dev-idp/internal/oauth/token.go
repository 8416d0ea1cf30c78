package oauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/ory/fosite"

	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// token trades a code or a refresh token.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := p.provider.NewAccessRequest(ctx, r, &Session{})
	if err == nil {
		err = p.alive(r, request)
	}
	if err != nil {
		p.logged(r, "token", err)
		p.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	response, err := p.provider.NewAccessResponse(ctx, request)
	if err != nil {
		p.logged(r, "token", err)
		p.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	// The library counts from the end and arrives a second short.
	response.SetExpiresIn(p.Mode.AccessTokenLifetime())
	// As observed: "Bearer" for a code, "bearer" for a refresh.
	if request.GetGrantTypes().ExactOne("authorization_code") {
		response.SetTokenType("Bearer")
	}
	p.provider.WriteAccessResponse(ctx, w, request, response)
}

// alive refuses a grant whose session has ended or whose user may not sign in.
// The observed server has no such check: tokens live on.
func (p *Provider) alive(r *http.Request, request fosite.AccessRequester) error {
	if p.Mode.Observed() {
		return nil
	}
	session, ok := request.GetSession().(*Session)
	if !ok {
		return fosite.ErrServerError
	}
	live, err := sessions.ByID(r.Context(), p.Pool, session.SessionID, p.Now())
	if errors.Is(err, sessions.ErrNotFound) {
		return fosite.ErrInvalidGrant.WithHint("The session has ended.")
	}
	if err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	user, err := users.ByID(r.Context(), p.Pool, live.UserID)
	if errors.Is(err, users.ErrNotFound) || err == nil && user.BannedAt(p.Now()) {
		return fosite.ErrInvalidGrant.WithHint("The session has ended.")
	}
	if err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	return nil
}

type userinfoAnswer struct {
	Subject       string  `json:"sub"`
	Email         *string `json:"email,omitempty"`
	Name          *string `json:"name,omitempty"`
	Picture       *string `json:"picture"`
	GivenName     *string `json:"given_name,omitempty"`
	FamilyName    *string `json:"family_name,omitempty"`
	EmailVerified *bool   `json:"email_verified,omitempty"`
}

// userinfo answers for a live access token; which form it has does not matter.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		p.invalidToken(w)
		return
	}
	request, err := p.storage.GetAccessTokenSession(r.Context(), handleOf(token), nil)
	if errors.Is(err, fosite.ErrNotFound) || errors.Is(err, fosite.ErrInactiveToken) {
		p.invalidToken(w)
		return
	}
	var user users.User
	if err == nil {
		user, err = users.ByID(r.Context(), p.Pool, request.GetSession().GetSubject())
	}
	if err != nil {
		p.Log.ErrorContext(r.Context(), "userinfo failed", "error", err)
		reply.OAuth(w, http.StatusInternalServerError, "server_error", "internal server error")
		return
	}
	answer := userinfoAnswer{Subject: user.ID}
	if request.GetGrantedScopes().Has("profile") {
		given, family := user.GivenName(), user.FamilyName()
		answer.Name, answer.Picture, answer.GivenName, answer.FamilyName = &user.Name, user.Image, &given, &family
	}
	if request.GetGrantedScopes().Has("email") {
		answer.Email, answer.EmailVerified = &user.Email, &user.EmailVerified
	}
	w.Header().Set("Cache-Control", "no-store")
	reply.JSON(w, http.StatusOK, answer)
}

func (p *Provider) invalidToken(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	reply.OAuth(w, http.StatusUnauthorized, "invalid_token", "invalid access token")
}
