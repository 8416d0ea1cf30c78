package account

import (
	"errors"
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/limit"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

type signInRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

type signInAnswer struct {
	Redirect bool          `json:"redirect"`
	Token    string        `json:"token"`
	User     users.Summary `json:"user"`
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	client := browser.Client(r)
	if wait, ok := h.Attempts.Allow(client.Address); !ok {
		limit.Refuse(w, wait)
		return
	}
	if !h.Browser.TrustedOrigin(w, r) {
		return
	}
	request, err := reply.Body[signInRequest](r)
	if err != nil {
		reply.Auth(w, http.StatusBadRequest, "INVALID_REQUEST_BODY", "Invalid request body")
		return
	}
	user, session, err := h.Browser.Life.SignIn(r.Context(), request.Email, request.Password, client)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	h.Browser.Cookies.Set(w, session)
	reply.JSON(w, http.StatusOK, signInAnswer{Token: session.Token, User: user.Summary()})
}

func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) {
	if !h.Browser.TrustedOrigin(w, r) {
		return
	}
	if token := h.Browser.Cookies.Token(r); token != "" {
		if err := h.Browser.Life.EndSession(r.Context(), token); err != nil && !errors.Is(err, sessions.ErrNotFound) {
			h.failed(w, r, err)
			return
		}
	}
	h.Browser.Cookies.Clear(w)
	reply.JSON(w, http.StatusOK, map[string]bool{"success": true})
}
