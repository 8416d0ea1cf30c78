package faq

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/deadletters"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/subscriber"
)

// deliver sends a webhook as the provider would.
func (w *world) deliver(secret, kind, data string) int {
	w.t.Helper()
	status, err := w.delivered(secret, kind, data)
	require.NoError(w.t, err)
	return status
}

// delivered is deliver for conditions that are waited for.
func (w *world) delivered(secret, kind, data string) (int, error) {
	at := strconv.FormatInt(time.Now().Truncate(time.Second).UnixMilli(), 10)
	id := "evt_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	raw := fmt.Sprintf(`{"id":%q,"origin":"better-auth","type":%q,"timestamp":%s,"data":%s}`, id, kind, at, data)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "." + raw))
	r, err := http.NewRequestWithContext(w.ctx(), http.MethodPost, w.Ports.URL(devstack.IdentityRelay)+devstack.WebhookPath, strings.NewReader(raw))
	if err != nil {
		return 0, err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Webhook-Id": id, "X-Webhook-Timestamp": at, "X-Webhook-Origin": "better-auth",
		"X-Webhook-Signature": hex.EncodeToString(mac.Sum(nil)),
	} {
		r.Header.Set(name, value)
	}
	answer, err := (&http.Client{Timeout: within}).Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

const harmless = "verification.sent" // a fact that nothing follows from

// untilSecret waits until the relay answers to a secret with a status.
func (w *world) untilSecret(what, secret string, status int) {
	w.t.Helper()
	w.eventually(what, func() bool {
		got, err := w.delivered(secret, harmless, "{}")
		return err == nil && got == status
	})
}

// ended is what the provider sends when the session of a token is over.
func ended(t *testing.T, p *journey.Person) string {
	t.Helper()
	var claims struct {
		Session string `json:"sid"`
	}
	decode(t, p.Token, &claims)
	require.NotEmpty(t, claims.Session)
	return fmt.Sprintf(`{"id":%q,"userId":%q}`, claims.Session, p.ID)
}

// TestWebhookSecretRotation: How do we rotate the webhook secret without losing a delivery?
//
// The [relay](../services/identity-relay)'s file of secrets holds one a line, all of them count, and it is read again within 5 seconds of a change, without a restart. So: add the new secret to the file, tell the provider
// to sign with it, and take the old line out once no retry of an old delivery can come, which is the retry horizon and not an hour later. The test
// does it at the running system, to the end: the end of a session, told under a secret that is not in the file, is 401 and ends nothing; with the line added both secrets count; then the provider
// signs with the new one, the old line goes, and it is the old secret that is 401 and ends nothing, while a sign-out at the provider still arrives. If a secret has leaked, remove it first and let the retries fail: what was
// lost of users and bans comes back by reconciliation (`TestReconciliation_FindsWhatNobodyTold`). Signatures are over the raw bytes, so no proxy may re-encode the body.
func TestWebhookSecretRotation(t *testing.T) {
	t.Parallel()
	w := alone(t)
	file, old, next := w.SecretFile("idp-webhook"), w.secret("idp-webhook"), "whsec_"+uuid.NewString()
	write := func(lines ...string) {
		require.NoError(t, os.WriteFile(file+".next", []byte(strings.Join(lines, "\n")+"\n"), 0o600))
		require.NoError(t, os.Rename(file+".next", file))
	}
	c := w.newCustomer()
	second, third := w.signIn(c.email, c.password), w.signIn(c.email, c.password)
	refused := func(p *journey.Person) func() bool {
		return func() bool { return w.reads(p.Token) == http.StatusUnauthorized }
	}
	require.Equal(t, http.StatusUnauthorized, w.deliver(next, "session.deleted", ended(t, c.Person)))

	write(old, next)
	w.untilSecret("the new secret counts", next, http.StatusNoContent)
	require.Equal(t, http.StatusNoContent, w.deliver(old, "session.deleted", ended(t, second)), "and so does the old one")
	w.eventually("the second session is over", refused(second))
	require.Equal(t, http.StatusOK, w.reads(c.Token), "what was refused before it has ended nothing")

	w.stop(devstack.DevIDP)
	write(next)
	require.NoError(t, w.StartService(w.ctx(), devstack.DevIDP)) // it signs with what the file holds now
	w.untilSecret("the old secret no longer counts", old, http.StatusUnauthorized)
	require.Equal(t, http.StatusUnauthorized, w.deliver(old, "session.deleted", ended(t, c.Person)))
	require.Equal(t, http.StatusNoContent, w.deliver(next, "session.deleted", ended(t, third)))
	w.eventually("the third session is over", refused(third))
	require.Equal(t, http.StatusOK, w.reads(c.Token))
	require.NoError(t, c.Post(w.ctx(), "/api/auth/revoke-sessions", struct{}{}))
	w.eventually("the provider's own sign-out arrives", refused(c.Person))
}

// TestPayloadVersions: The provider changes its payloads, or we change our events. What breaks?
//
// Nothing that only adds. Towards the provider the [relay](../services/identity-relay) takes a type that it does not know as a fact that means nothing (204, since refusing would only make the provider repeat it), and ignores members that it
// does not need; data of the wrong type is refused and counted, never guessed. Towards our consumers the contract is [CloudEvents with a JSON Schema per type](events/README.md), whose version is in the schema's name, and
// a later version only adds: types, attributes, members. The test sends both, from tomorrow's provider and from tomorrow's relay, to today's code. What cannot be added is a
// new type under a new name, sent beside the old one until nobody reads that. An event that is broken goes to the dead letters with its cause, where
// `shadowless events dead` lists it, and does not hold up the next: the test publishes both, to a consumer with streams of its own.
func TestPayloadVersions(t *testing.T) {
	t.Parallel()
	w := system(t)
	secret, before := w.secret("idp-webhook"), w.refusals("invalid_data")
	require.Equal(t, http.StatusNoContent, w.deliver(secret, "user.reincarnated", `{"id":"u1","as":"a cat"}`))
	require.Equal(t, http.StatusNoContent, w.deliver(secret, "session.deleted", `{"id":"s-`+uuid.NewString()+`","userId":"u1","device":{"new":true}}`))
	require.Equal(t, before, w.refusals("invalid_data"))
	require.Equal(t, http.StatusBadRequest, w.deliver(secret, "session.deleted", `{"id":7}`))
	require.Equal(t, before+1, w.refusals("invalid_data"))

	js := identitytest.NATS(t).JetStream
	require.NoError(t, streams.Apply(t.Context(), js, 1))
	banned := make(chan string, 9)
	handler, err := subscriber.Handler(subscriber.On(identity.TypeUserBanned, func(_ context.Context, _ pgx.Tx, e identity.Event) error {
		banned <- e.UserID
		return nil
	}))
	require.NoError(t, err)
	next := func() (userID string) {
		select {
		case userID = <-banned:
		case <-time.After(within):
		}
		return userID
	}
	db := identitytest.Postgres(t, migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"})
	durable := streams.Durable(devstack.TokenExchange, "identity")
	consumer, err := mailbox.NewConsumer(js, db.Pool, mailbox.ConsumerConfig{
		Stream: streams.Identity, Durable: durable, Handler: handler, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	background(t, consumer.Run)
	publish := func(kind, userID, more string) uint64 {
		ack, err := js.Publish(t.Context(), identity.SubjectPrefix+kind+".00", []byte(`{"specversion":"1.0","id":"`+uuid.NewString()+`","source":"s","type":"`+kind+`",
			"time":"2026-01-02T03:04:05Z","dataschema":"https://example.com/v2","data":{"user_id":"`+userID+`","version":1`+more+`}}`))
		require.NoError(t, err)
		return ack.Sequence
	}
	publish("user.banned", "u1", `,"until":"2027-01-01","by":{"deep":[1]}`)
	require.Equal(t, "u1", next())
	publish("user.merged", "u2", "") // a type of a later version
	broken := publish("user.banned", "u3", `,"version":2`)
	publish("user.banned", "u4", "")
	require.Equal(t, "u4", next(), "neither the unknown nor the broken one")
	var dead []deadletters.Letter
	w.eventually("the broken one is a dead letter", func() bool {
		dead, err = deadletters.List(w.ctx(), js, 0, 10)
		return err == nil && len(dead) > 0
	})
	require.Len(t, dead, 1)
	require.Equal(t, durable, dead[0].Consumer)
	require.Equal(t, broken, dead[0].Sequence)
	require.Contains(t, dead[0].Cause, identity.ErrInvalidEvent.Error())
}

// refusals counts what the relay refused of the provider's for one reason.
func (w *world) refusals(reason string) (n int64) {
	w.t.Helper()
	all, err := w.relay().Sources(w.ctx())
	require.NoError(w.t, err)
	for _, source := range all.Sources {
		for _, refusal := range source.Refusals {
			if refusal.Reason == reason {
				n += refusal.Count
			}
		}
	}
	return n
}
