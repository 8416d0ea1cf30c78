package transport

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

const maxKeyBodySize = 4 << 10

// autherTime is how Auther writes times: UTC with milliseconds.
const autherTime = "2006-01-02T15:04:05.000Z"

// APIKey is Auther's POST /api/auth/api-key/exchange with its bodies and codes.
func APIKey(s Exchanger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxKeyBodySize))
		if err != nil {
			writeAuther(w, r, http.StatusBadRequest, "invalid_request", "Invalid JSON in request body")
			return
		}
		var body any
		if json.Unmarshal(raw, &body) != nil {
			writeAuther(w, r, http.StatusBadRequest, "invalid_request", "Invalid JSON in request body")
			return
		}
		members, _ := body.(map[string]any)
		key, _ := members["apiKey"].(string)
		if key == "" {
			writeAuther(w, r, http.StatusBadRequest, "missing_api_key", "API key is required")
			return
		}
		issued, err := s.ExchangeKey(r.Context(), key, address(r))
		if err != nil {
			refuseAuther(w, r, err)
			return
		}
		oauth.WriteJSON(w, http.StatusOK, struct {
			Token     string `json:"token"`
			TokenType string `json:"tokenType"`
			ExpiresIn int64  `json:"expiresIn"` // seconds
			ExpiresAt string `json:"expiresAt"`
		}{issued.AccessToken, issued.TokenType, issued.ExpiresIn, time.Unix(issued.ExpiresAt, 0).UTC().Format(autherTime)})
	})
}

func refuseAuther(w http.ResponseWriter, r *http.Request, err error) {
	telemetry.Annotate(r.Context(), slog.String("cause", err.Error()))
	refused := oauth.From(err)
	switch status := refused.Status; {
	case status == http.StatusTooManyRequests:
		seconds := strconv.Itoa(int(refused.RetryAfter / time.Second))
		w.Header().Set("Retry-After", seconds)
		w.Header().Set("X-Retry-After", seconds) // Auther's own name for it
		writeAuther(w, r, http.StatusTooManyRequests, "rate_limited", "Too many requests. Please try again later.")
	case status == http.StatusUnauthorized:
		writeAuther(w, r, http.StatusUnauthorized, "invalid_api_key", "The provided API key is invalid or expired")
	case errors.Is(err, exchange.ErrNoClientScope), refused.Code == "unauthorized_client":
		writeAuther(w, r, http.StatusForbidden, "forbidden", "API key is missing client scope metadata")
	default:
		writeAuther(w, r, http.StatusInternalServerError, "internal_error", "An unexpected error occurred")
	}
}

func writeAuther(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	telemetry.Annotate(r.Context(), slog.String("code", code))
	oauth.WriteJSON(w, status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{code, message})
}
