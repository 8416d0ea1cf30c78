// Package admin serves what an administrator's session may do.
package admin

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// Handler serves /api/auth/admin/….
type Handler struct {
	Browser *browser.Browser
	Mode    mode.Mode
	Log     *slog.Logger
}

// action is one route: who is not allowed is told code and message.
type action struct {
	method, code, message string
	handle                func(w http.ResponseWriter, r *http.Request, admin users.User)
}

// Register adds the routes. grant, revoke-grant, the group routes and verify-user
// are this provider's own: the original has pages for them, not an API.
func (h *Handler) Register(mux *http.ServeMux) {
	const get, post = http.MethodGet, http.MethodPost
	for name, a := range map[string]action{
		"list-users":           {get, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS", "You are not allowed to list users", h.listUsers},
		"get-user":             {get, "YOU_ARE_NOT_ALLOWED_TO_GET_USER", "You are not allowed to get user", h.getUser},
		"ban-user":             {post, "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS", "You are not allowed to ban users", h.banUser},
		"unban-user":           {post, "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS", "You are not allowed to ban users", h.unbanUser},
		"remove-user":          {post, "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS", "You are not allowed to delete users", h.removeUser},
		"list-user-sessions":   {post, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS_SESSIONS", "You are not allowed to list users sessions", h.listSessions},
		"revoke-user-session":  {post, "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS", "You are not allowed to revoke users sessions", h.revokeSession},
		"revoke-user-sessions": {post, "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS", "You are not allowed to revoke users sessions", h.revokeSessions},
		"verify-user":          {post, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS", "You are not allowed to update users", h.verifyUser},
		"grant":                {post, "YOU_ARE_NOT_ALLOWED_TO_GRANT", "You are not allowed to grant", h.grant},
		"revoke-grant":         {post, "YOU_ARE_NOT_ALLOWED_TO_GRANT", "You are not allowed to grant", h.revokeGrant},
		"add-group-member":     {post, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_GROUPS", "You are not allowed to change groups", h.addMember},
		"remove-group-member":  {post, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_GROUPS", "You are not allowed to change groups", h.removeMember},
	} {
		mux.Handle("/api/auth/admin/"+name, reply.Methods(h.guarded(a), a.method))
	}
}

// guarded lets administrators through. No session is 401 with an empty body.
func (h *Handler) guarded(a action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.method == http.MethodPost && !h.Browser.TrustedOrigin(w, r) {
			return
		}
		user, _, err := h.Browser.Current(r)
		switch {
		case errors.Is(err, sessions.ErrNotFound):
			reply.Unauthorized(w)
		case err != nil:
			h.failed(w, r, err)
		case !user.IsAdmin():
			reply.Auth(w, http.StatusForbidden, a.code, a.message)
		default:
			a.handle(w, r, user)
		}
	}
}

// refuse tells of an unknown user; any other error is a failure.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, users.ErrNotFound) {
		reply.Auth(w, http.StatusNotFound, "USER_NOT_FOUND", "User not found")
		return
	}
	h.failed(w, r, err)
}

func (h *Handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.Log.ErrorContext(r.Context(), "administrator's request failed", "error", err)
	reply.Empty(w, http.StatusInternalServerError)
}

// body decodes a request and checks that what must be there is.
func body[T any](w http.ResponseWriter, r *http.Request, complete func(T) bool) (T, bool) {
	value, err := reply.Body[T](r)
	if err != nil || !complete(value) {
		reply.Auth(w, http.StatusBadRequest, "INVALID_REQUEST_BODY", "Invalid request body")
		return value, false
	}
	return value, true
}
