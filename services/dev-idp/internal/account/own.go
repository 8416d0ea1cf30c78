package account

import (
	"errors"
	"io"
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/lifecycle"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

type sessionAnswer struct {
	Session sessions.View `json:"session"`
	User    users.Full    `json:"user"`
}

// getSession answers null without a session, as better-auth does.
func (h *Handler) getSession(w http.ResponseWriter, r *http.Request) {
	user, session, err := h.Browser.Current(r)
	if errors.Is(err, sessions.ErrNotFound) {
		reply.JSON(w, http.StatusOK, nil)
		return
	}
	if err != nil {
		h.failed(w, r, err)
		return
	}
	token, err := h.SessionToken(r, user, session)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	w.Header().Set("Set-Auth-Jwt", token)
	w.Header().Set("Cache-Control", "no-store")
	reply.JSON(w, http.StatusOK, sessionAnswer{Session: session.View(), User: user.Full()})
}

func (h *Handler) listSessions(w http.ResponseWriter, r *http.Request) {
	user, _, err := h.Browser.Current(r)
	if err != nil {
		h.unauthorized(w, r, err)
		return
	}
	live, err := sessions.OfUser(r.Context(), h.Browser.Life.Pool, user.ID, h.Browser.Life.Now())
	if err != nil {
		h.failed(w, r, err)
		return
	}
	views := make([]sessions.View, 0, len(live))
	for _, s := range live {
		views = append(views, s.View())
	}
	reply.JSON(w, http.StatusOK, views)
}

// revokeSessions signs the user out everywhere, here included.
func (h *Handler) revokeSessions(w http.ResponseWriter, r *http.Request, user users.User, _ sessions.Session) {
	if err := h.Browser.Life.EndSessions(r.Context(), user.ID); err != nil {
		h.failed(w, r, err)
		return
	}
	h.Browser.Cookies.Clear(w)
	reply.JSON(w, http.StatusOK, map[string]bool{"status": true})
}

type deleteRequest struct {
	Password *string `json:"password"`
}

// deleteUser needs no password; one that is given must be right.
func (h *Handler) deleteUser(w http.ResponseWriter, r *http.Request, user users.User, _ sessions.Session) {
	request, err := reply.Body[deleteRequest](r)
	if err != nil && !errors.Is(err, io.EOF) {
		reply.Auth(w, http.StatusBadRequest, "INVALID_REQUEST_BODY", "Invalid request body")
		return
	}
	if request.Password != nil && !users.CheckPassword(user.PasswordHash, *request.Password) {
		reply.Auth(w, http.StatusBadRequest, "INVALID_PASSWORD", "Invalid password")
		return
	}
	if err := h.Browser.Life.Remove(r.Context(), user.ID); err != nil {
		h.failed(w, r, err)
		return
	}
	h.Browser.Cookies.Clear(w)
	reply.JSON(w, http.StatusOK, struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}{true, "User deleted"})
}

type updateRequest struct {
	Name  *string `json:"name"`
	Image *string `json:"image"`
}

func (h *Handler) updateUser(w http.ResponseWriter, r *http.Request, user users.User, _ sessions.Session) {
	request, err := reply.Body[updateRequest](r)
	if err != nil {
		reply.Auth(w, http.StatusBadRequest, "INVALID_REQUEST_BODY", "Invalid request body")
		return
	}
	if _, err := h.Browser.Life.UpdateProfile(r.Context(), user.ID, lifecycle.Profile(request)); err != nil {
		h.failed(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, map[string]bool{"status": true})
}
