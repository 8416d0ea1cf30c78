// Package account serves sign-up, sign-in and what users do with their own
// account.
package account

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/limit"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// SessionToken makes the JWT of the set-auth-jwt header.
type SessionToken func(r *http.Request, user users.User, session sessions.Session) (string, error)

// Handler serves the account routes.
type Handler struct {
	Browser      *browser.Browser
	Mode         mode.Mode
	SignUpSecret string
	Attempts     *limit.Limiter
	SessionToken SessionToken
	Log          *slog.Logger
}

// Register adds the routes.
func (h *Handler) Register(mux *http.ServeMux) {
	for path, handler := range map[string]http.HandlerFunc{
		"/api/auth/sign-up/email":   h.signUp,
		"/api/auth/sign-in/email":   h.signIn,
		"/api/auth/sign-out":        h.signOut,
		"/api/auth/revoke-sessions": h.signedIn(h.revokeSessions),
		"/api/auth/delete-user":     h.signedIn(h.deleteUser),
		"/api/auth/update-user":     h.signedIn(h.updateUser),
	} {
		mux.Handle(path, reply.Methods(handler, http.MethodPost))
	}
	mux.Handle("/api/auth/get-session", reply.Methods(h.getSession, http.MethodGet))
	mux.Handle("/api/auth/list-sessions", reply.Methods(h.listSessions, http.MethodGet))
}

// signedIn guards a POST: a session and a trusted origin.
func (h *Handler) signedIn(next func(http.ResponseWriter, *http.Request, users.User, sessions.Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.Browser.TrustedOrigin(w, r) {
			return
		}
		user, session, err := h.Browser.Current(r)
		if err != nil {
			h.unauthorized(w, r, err)
			return
		}
		next(w, r, user, session)
	}
}

func (h *Handler) unauthorized(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, sessions.ErrNotFound) {
		reply.Unauthorized(w)
		return
	}
	h.failed(w, r, err)
}

// failed logs the cause and answers 500 with an empty body, as better-auth does.
func (h *Handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.Log.ErrorContext(r.Context(), "account request failed", "error", err)
	reply.Empty(w, http.StatusInternalServerError)
}
