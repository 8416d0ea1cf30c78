package faults_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
)

// delivery is one webhook.
type delivery struct {
	ID        string `json:"id"`
	Origin    string `json:"origin"`
	Type      string `json:"type"`
	Timestamp int64  `json:"timestamp"`
	Data      any    `json:"data"`

	// mark is what its event is found by: the entity or the session.
	mark string
}

type grantData struct {
	SubjectType string `json:"subjectType"`
	SubjectID   string `json:"subjectId"`
	EntityType  string `json:"entityType"`
	EntityID    string `json:"entityId"`
	Relation    string `json:"relation"`
}

type sessionData struct {
	ID     string `json:"id"`
	UserID string `json:"userId"`
}

// hooks signs webhooks as the IdP does and remembers which were accepted.
type hooks struct {
	url    string
	secret []byte
	client *http.Client
	user   string // whom the load's webhooks are about

	count atomic.Int64
	mu    sync.Mutex
	taken []delivery // answered 204
}

func newHooks(t *testing.T, s *system) *hooks {
	t.Helper()
	secret, err := config.ReadSecretFile(s.stack.Running.SecretFile("idp-webhook"))
	require.NoError(t, err)
	return &hooks{
		url: s.stack.Running.Ports.URL(devstack.IdentityRelay) + devstack.WebhookPath, secret: []byte(secret),
		client: &http.Client{Timeout: 15 * time.Second}, user: "load|" + uuid.NewString(),
	}
}

func newDelivery(origin, kind string, at time.Time, data any) delivery {
	return delivery{
		ID: "evt_" + strings.ReplaceAll(uuid.NewString(), "-", ""), Origin: origin, Type: kind,
		Timestamp: at.Unix() * 1000, Data: data,
	}
}

func (h *hooks) grant() delivery { return grantTo(h.user, time.Now()) }

func grantTo(user string, at time.Time) delivery {
	mark := uuid.NewString()
	d := newDelivery("auther", "grant.created", at, grantData{"user", user, "client_shop:order", mark, "viewer"})
	d.mark = mark
	return d
}

func (h *hooks) signOut() delivery {
	mark := uuid.NewString()
	d := newDelivery("better-auth", "session.deleted", time.Now(), sessionData{mark, h.user})
	d.mark = mark
	return d
}

// send returns the relay's answer and remembers a delivery that was accepted.
func (h *hooks) send(ctx context.Context, d delivery) (status int, err error) {
	body, err := json.Marshal(d)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	timestamp := strconv.FormatInt(d.Timestamp, 10)
	mac := hmac.New(sha256.New, h.secret)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Webhook-Id", d.ID)
	req.Header.Set("X-Webhook-Timestamp", timestamp)
	req.Header.Set("X-Webhook-Origin", d.Origin)
	req.Header.Set("X-Webhook-Signature", hex.EncodeToString(mac.Sum(nil)))
	res, err := h.client.Do(req)
	if err != nil {
		return 0, err
	}
	_ = res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		h.count.Add(1)
		h.mu.Lock()
		h.taken = append(h.taken, d)
		h.mu.Unlock()
	}
	return res.StatusCode, nil
}
