package machine

import (
	"crypto/subtle"
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
)

type rotateAnswer struct {
	Rotated            bool       `json:"rotated"`
	Pruned             int        `json:"pruned"`
	LatestKeyID        string     `json:"latestKeyId"`
	LatestKeyCreatedAt reply.Time `json:"latestKeyCreatedAt"`
	RotationIntervalMS int64      `json:"rotationIntervalMs"`
	RetentionWindowMS  int64      `json:"retentionWindowMs"`
}

// rotate makes a new signing key when the newest is old enough. ?force=true is
// this provider's own: it does so at once.
func (h *Handler) rotate(w http.ResponseWriter, r *http.Request) {
	secret := r.Header.Get("X-Rotation-Secret")
	if secret == "" {
		secret = bearer(r)
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(h.RotationSecret)) != 1 {
		w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("Unauthorized"))
		return
	}
	report, err := h.Keys.Rotate(r.Context(), r.URL.Query().Get("force") == "true")
	if err != nil {
		h.failed(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, rotateAnswer{
		Rotated: report.Rotated, Pruned: report.Pruned, LatestKeyID: report.Latest.ID, LatestKeyCreatedAt: reply.Time(report.Latest.CreatedAt),
		RotationIntervalMS: report.Rotation.Milliseconds(), RetentionWindowMS: report.Retention.Milliseconds(),
	})
}
