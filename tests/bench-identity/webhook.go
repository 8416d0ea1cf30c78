package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// webhooks sends Auther's, signed.
type webhooks struct {
	url    string
	secret []byte
	client *http.Client
}

// send returns once the relay has answered that the event is committed.
func (w *webhooks) send(ctx context.Context, kind string, data map[string]any) error {
	id, now := "evt_"+rand.Text(), time.Now().UnixMilli()
	body, err := json.Marshal(map[string]any{"id": id, "origin": "bench", "type": kind, "timestamp": now, "data": data})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(now, 10)
	mac := hmac.New(sha256.New, w.secret)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Webhook-Id": id, "X-Webhook-Timestamp": timestamp, "X-Webhook-Origin": "bench",
		"X-Webhook-Signature": hex.EncodeToString(mac.Sum(nil)),
	} {
		req.Header.Set(name, value)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("a webhook %s was answered %d", kind, resp.StatusCode)
	}
	return nil
}

// profile is what Auther sends of a user: most of it the relay throws away.
func profile(userID string) map[string]any {
	at := time.Now().UTC().Format(time.RFC3339Nano)
	return map[string]any{
		"id": userID, "name": "Somebody With A Name", "email": userID + "@example.com", "emailVerified": true,
		"image": "https://images.example.com/avatars/" + userID + ".png", "createdAt": at, "updatedAt": at, "role": "user",
	}
}
