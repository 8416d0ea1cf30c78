// Package machine serves programs: API-key exchange, check-permission, the
// directory and key rotation.
package machine

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/dev-idp/internal/apikeys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/keys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
)

// Handler serves the routes of programs.
type Handler struct {
	Pool           *pgxpool.Pool
	Mode           mode.Mode
	Base           string // the base URL, `iss` of access tokens
	TokenAudience  string
	RotationSecret string
	Keys           *keys.Ring
	Model          *permissions.Model
	Browser        *browser.Browser
	Log            *slog.Logger
	Now            func() time.Time
}

// Register adds the routes.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.Handle("/api/auth/api-key/exchange", reply.Methods(h.exchange, http.MethodPost))
	mux.Handle("/api/auth/check-permission", reply.Methods(h.check, http.MethodPost))
	mux.Handle("/api/auth/directory/lookup", reply.Methods(h.lookup, http.MethodPost))
	mux.Handle("/api/internal/rotate-jwks", reply.Methods(h.rotate, http.MethodPost))
}

// apiKey finds the key of a request and refuses one that is unknown or has no
// client. false: the answer is written.
func (h *Handler) apiKey(w http.ResponseWriter, r *http.Request, secret string) (apikeys.Key, bool) {
	key, err := apikeys.Find(r.Context(), h.Pool, secret)
	switch {
	case errors.Is(err, apikeys.ErrNotFound):
		reply.Own(w, http.StatusUnauthorized, "invalid_api_key", "The provided API key is invalid or expired")
	case err != nil:
		h.failed(w, r, err)
	case key.ClientID == "":
		reply.Own(w, http.StatusForbidden, "forbidden", "API key is missing client scope metadata")
	default:
		return key, true
	}
	return apikeys.Key{}, false
}

func (h *Handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.Log.ErrorContext(r.Context(), "a program's request failed", "error", err)
	reply.Own(w, http.StatusInternalServerError, "internal_error", "Internal server error")
}

func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
