package faq

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/subscriber"
)

// deliver sends a webhook as the provider would.
func (w *world) deliver(secret, kind, data string) int {
	w.t.Helper()
	at := strconv.FormatInt(time.Now().Truncate(time.Second).UnixMilli(), 10)
	id := "evt_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	raw := fmt.Sprintf(`{"id":%q,"origin":"better-auth","type":%q,"timestamp":%s,"data":%s}`, id, kind, at, data)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "." + raw))
	answer := w.sendRaw(http.MethodPost, devstack.IdentityRelay, devstack.WebhookPath, []byte(raw),
		"X-Webhook-Id", id, "X-Webhook-Timestamp", at, "X-Webhook-Origin", "better-auth", "X-Webhook-Signature", hex.EncodeToString(mac.Sum(nil)))
	return answer.StatusCode
}

const harmless = "verification.sent" // a fact that nothing follows from

// TestWebhookSecretRotation: How do we rotate the webhook secret without losing a delivery?
//
// The [relay](../services/identity-relay)'s file of secrets holds one a line, all of them count, and it is read again within 5 seconds of a change, without a restart. So: add the new secret to the file, tell the provider
// to sign with it, and take the old line out once no retry of an old delivery can come, which is the retry horizon and not an hour later. The test
// does it at the running system: a delivery under a secret that is not in the file is 401 and changes nothing, with the line added it is accepted beside
// the old one, and without it refused again. A comparison takes the same time whichever secret matches. If a secret has leaked, remove it first and let the retries fail: what was
// lost then comes back by reconciliation. Signatures are over the raw bytes, so no proxy may re-encode the body.
func TestWebhookSecretRotation(t *testing.T) {
	t.Parallel()
	w := system(t)
	file, next := w.SecretFile("idp-webhook"), "whsec_"+uuid.NewString()
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	write := func(content string) {
		require.NoError(t, os.WriteFile(file+".next", []byte(content), 0o600))
		require.NoError(t, os.Rename(file+".next", file))
	}
	t.Cleanup(func() { write(string(old)) })
	require.Equal(t, http.StatusNoContent, w.deliver(string(old), harmless, "{}"))
	require.Equal(t, http.StatusUnauthorized, w.deliver(next, harmless, "{}"))

	write(next + "\n" + string(old) + "\n")
	w.eventually("the new secret counts", func() bool { return w.deliver(next, harmless, "{}") == http.StatusNoContent })
	require.Equal(t, http.StatusNoContent, w.deliver(string(old), harmless, "{}"), "and so does the old one")
	write(string(old))
	w.eventually("the new secret no longer counts", func() bool { return w.deliver(next, harmless, "{}") == http.StatusUnauthorized })
}

// TestPayloadVersions: The provider changes its payloads, or we change our events. What breaks?
//
// Nothing that only adds. Towards the provider the [relay](../services/identity-relay) takes a type that it does not know as a fact that means nothing (204, since refusing would only make the provider repeat it), and ignores members that it
// does not need; data of the wrong type is refused and counted, never guessed. Towards our consumers the contract is [CloudEvents with a JSON Schema per type](events/README.md), whose version is in the schema's name, and
// a later version only adds: types, attributes, members. The test sends both, from tomorrow's provider and from tomorrow's relay, to today's code. What cannot be added is a
// new type under a new name, sent beside the old one until nobody reads that. An event that is broken goes to the dead letters with its cause, where
// `shadowless events dead` lists it, and does not hold up the next.
func TestPayloadVersions(t *testing.T) {
	t.Parallel()
	w := system(t)
	secret := w.secret("idp-webhook")
	require.Equal(t, http.StatusNoContent, w.deliver(secret, "user.reincarnated", `{"id":"u1","as":"a cat"}`))
	require.Equal(t, http.StatusNoContent, w.deliver(secret, "session.deleted", `{"id":"s-`+uuid.NewString()+`","userId":"u1","device":{"new":true}}`))
	require.Equal(t, http.StatusBadRequest, w.deliver(secret, "session.deleted", `{"id":7}`))

	var applied []string
	handle, err := subscriber.Handler(subscriber.On(identity.TypeUserBanned, func(_ context.Context, _ pgx.Tx, e identity.Event) error {
		applied = append(applied, e.UserID)
		return nil
	}))
	require.NoError(t, err)
	event := func(kind, more string) mailbox.Message {
		return mailbox.Message{Payload: []byte(`{"specversion":"1.0","id":"e1","source":"s","type":"` + kind + `","time":"2026-01-02T03:04:05Z",
			"dataschema":"https://example.com/v2","data":{"user_id":"u1","version":1` + more + `}}`)}
	}
	require.NoError(t, handle(t.Context(), nil, event("user.banned", `,"until":"2027-01-01","by":{"deep":[1]}`)))
	require.NoError(t, handle(t.Context(), nil, event("user.merged", "")), "a type of a later version")
	require.Error(t, handle(t.Context(), nil, event("user.banned", `,"version":2`)), "broken is broken")
	require.Equal(t, []string{"u1"}, applied)
}
