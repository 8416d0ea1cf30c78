package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/compare/users"
)

// webhooks delivers as the identity provider does; losing, repeating and
// reordering is done by whoever calls it.
type webhooks struct {
	secret string
	client *http.Client
}

// path of every receiver, of both archetypes.
const webhookPath = "/v1/webhooks/auther"

// delivery is one webhook, signed once; it may be sent to several and again.
type delivery struct {
	id, timestamp, signature string
	body                     []byte
}

func (w *webhooks) sign(kind string, data map[string]any) (delivery, error) {
	id, now := "evt_"+rand.Text(), time.Now().UnixMilli()
	body, err := json.Marshal(map[string]any{"id": id, "origin": "compare", "type": kind, "timestamp": now, "data": data})
	if err != nil {
		return delivery{}, err
	}
	return delivery{id: id, timestamp: strconv.FormatInt(now, 10), signature: users.Sign(w.secret, now, body), body: body}, nil
}

// send returns once the receiver has answered that it is committed.
func (w *webhooks) send(ctx context.Context, base string, d delivery) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+webhookPath, bytes.NewReader(d.body))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Webhook-Id": d.id, "X-Webhook-Timestamp": d.timestamp, "X-Webhook-Origin": "compare",
		"X-Webhook-Signature": d.signature,
	} {
		req.Header.Set(name, value)
	}
	status, _, err := do(w.client, req)
	if err != nil {
		return err
	}
	if status != http.StatusNoContent {
		return fmt.Errorf("a webhook was answered %d", status)
	}
	return nil
}

// profile is what the provider sends of a user.
func profile(userID, name string, at time.Time) map[string]any {
	return map[string]any{
		"id": userID, "name": name, "email": emailOf(userID), "emailVerified": true,
		"image": nil, "createdAt": at.UTC().Format(time.RFC3339Nano), "updatedAt": at.UTC().Format(time.RFC3339Nano), "role": "user",
	}
}
