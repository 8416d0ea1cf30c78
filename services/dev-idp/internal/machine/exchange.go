package machine

import (
	"net/http"
	"time"

	"github.com/shadowless/shadowless/services/dev-idp/internal/apikeys"
	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
)

// keyTokenLifetime of API-key JWTs.
const keyTokenLifetime = 15 * time.Minute

type exchangeRequest struct {
	APIKey string `json:"apiKey"`
}

type exchangeAnswer struct {
	Token     string     `json:"token"`
	TokenType string     `json:"tokenType"`
	ExpiresIn int        `json:"expiresIn"`
	ExpiresAt reply.Time `json:"expiresAt"`
}

// exchange trades an API key, from the body only, for a JWT.
func (h *Handler) exchange(w http.ResponseWriter, r *http.Request) {
	request, err := reply.Body[exchangeRequest](r)
	if err != nil {
		reply.Own(w, http.StatusBadRequest, "invalid_request", "Invalid JSON in request body")
		return
	}
	if request.APIKey == "" {
		reply.Own(w, http.StatusBadRequest, "missing_api_key", "API key is required")
		return
	}
	key, ok := h.apiKey(w, r, request.APIKey)
	if !ok {
		return
	}
	if h.Mode.Observed() {
		// As shipped, every valid key ends here.
		reply.Own(w, http.StatusInternalServerError, "internal_error", "Failed to process signing key")
		return
	}
	now := h.Now().Truncate(time.Second)
	token, err := h.keyToken(r, key, now)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, exchangeAnswer{
		Token: token, TokenType: "Bearer", ExpiresIn: int(keyTokenLifetime / time.Second), ExpiresAt: reply.Time(now.Add(keyTokenLifetime)),
	})
}

// keyToken names the key's owner as `sub`; the caller is the key all the same.
func (h *Handler) keyToken(r *http.Request, key apikeys.Key, now time.Time) (string, error) {
	tuples, err := permissions.OfAPIKey(r.Context(), h.Pool, key.ID)
	if err != nil {
		return "", err
	}
	held, conditional := h.Model.Summary(tuples)
	claims := map[string]any{
		"scope": "api_key_exchange", "permissions": held, "apiKeyId": key.ID,
		"iss": h.Mode.TokenIssuer(h.Base), "aud": h.TokenAudience, "sub": key.OwnerID,
		"iat": now.Unix(), "exp": now.Add(keyTokenLifetime).Unix(),
	}
	if len(conditional) > 0 {
		claims["abac_required"] = conditional
	}
	if key.FullAccess {
		claims["client_full_access"] = []string{key.ClientID}
	}
	return h.Keys.Sign(r.Context(), "JWT", claims)
}
