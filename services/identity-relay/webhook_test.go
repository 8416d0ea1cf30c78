package identityrelay_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
)

type recorded struct {
	Type         string            `json:"type"`
	Format       string            `json:"format"`
	Secret       string            `json:"secret"`
	ReceivedAtMS int64             `json:"received_at_ms"`
	Headers      map[string]string `json:"headers"`
	Body         string            `json:"body"`
}

// recordedDeliveries are what a running Auther sent, byte for byte.
func recordedDeliveries(t *testing.T) []recorded {
	t.Helper()
	raw, err := os.ReadFile("testdata/auther/webhooks.json")
	require.NoError(t, err)
	var all []recorded
	require.NoError(t, json.Unmarshal(raw, &all))
	require.NotEmpty(t, all)
	return all
}

func (r *room) replay(d recorded) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.service.URL+"/v1/webhooks/auther", strings.NewReader(d.Body))
	require.NoError(r.t, err)
	for name, value := range d.Headers {
		req.Header.Set(name, value)
	}
	r.clock.Store(d.ReceivedAtMS)
	return r.send(req)
}

func withRecordedSecrets(t *testing.T) func(*room, *identityrelay.Config) {
	return func(r *room, cfg *identityrelay.Config) {
		lines := []string{"# every endpoint has a secret of its own"}
		for _, d := range recordedDeliveries(t) {
			lines = append(lines, d.Secret)
		}
		cfg.WebhookSecretsFile = r.secrets(lines...)
	}
}

func TestWebhook_TakesEveryRecordedDelivery(t *testing.T) {
	t.Parallel()
	r := newRoom(t, withRecordedSecrets(t))
	formats := map[string]bool{}
	for _, d := range recordedDeliveries(t) {
		require.Equal(t, http.StatusNoContent, r.replay(d), "%s as %s", d.Type, d.Format)
		formats[d.Format] = true
	}
	require.Equal(t, map[string]bool{"json": true, "form": true}, formats)

	var types []string
	for i, e := range r.events("") {
		require.Equal(t, int64(i+1), e.Version)
		types = append(types, e.Type)
	}
	// session.created means nothing here. The grant reached two endpoints under
	// two IDs and is told twice, the membership under one and is told once.
	require.Equal(t, []string{
		identity.TypeAccessChanged, identity.TypeAccessChanged, identity.TypeAccessChanged, identity.TypeAccessChanged, identity.TypeUserUpdated,
	}, types)
	grant := r.events(identity.TypeAccessChanged)[0]
	require.JSONEq(t, `{"entity_type":"client_shop:order","entity_id":"o-77","relation":"viewer","change":"granted"}`, string(grant.Data))
	require.Equal(t, "OVieyuCyLbPxVrsHey0KmZIWQBiWJkJo", grant.UserID)
	require.Equal(t, 1, r.count(`SELECT count(*) FROM deliveries WHERE outcome = 'ignored'`))

	for i, m := range r.mesh.Messages("IDENTITY", "identity.v1.>", len(types)) {
		e, err := identity.Decode(m.Data())
		require.NoError(t, err)
		require.Equal(t, uint64(i+1), e.Version)
		require.Equal(t, identity.Subject(e), m.Subject())
		require.NotContains(t, string(m.Data()), "@example.com")
		require.NotContains(t, string(m.Data()), "Alice")
		require.NotContains(t, m.Subject(), e.UserID)
	}

	for _, d := range recordedDeliveries(t) {
		d.ReceivedAtMS += (30 * time.Minute).Milliseconds()
		require.Equal(t, http.StatusNoContent, r.replay(d), "a late retry repeats the first timestamp")
	}
	require.Len(t, r.events(""), len(types), "a delivery that came before has no second effect")
}

func TestWebhook_AcceptsALateRetryThatIsTheFirstToArrive(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	d := r.delivery("user.created", map[string]any{"id": "late"})
	r.clock.Store(d.Timestamp + (30*time.Minute + 12*time.Second).Milliseconds())
	require.Equal(t, http.StatusNoContent, r.send(r.request(d)))
	require.Len(t, r.events(identity.TypeUserCreated), 1)
}

func TestWebhook_Refuses(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	user := map[string]any{"id": "u1"}
	header := func(name, value string) func(*http.Request) {
		return func(req *http.Request) { req.Header.Set(name, value) }
	}
	aged := func(age time.Duration) delivery {
		d := r.delivery("user.created", user)
		d.Timestamp = time.Now().Add(-age).UnixMilli()
		return d
	}
	for name, c := range map[string]struct {
		delivery delivery
		body     string // instead of the delivery's
		media    string
		change   func(*http.Request)
		status   int
	}{
		"no signature": {change: header("X-Webhook-Signature", ""), status: 401},
		"signature in upper case": {change: func(q *http.Request) {
			q.Header.Set("X-Webhook-Signature", strings.ToUpper(q.Header.Get("X-Webhook-Signature")))
		}, status: 401},
		"another signature":       {change: header("X-Webhook-Signature", strings.Repeat("0", 64)), status: 401},
		"another timestamp":       {change: header("X-Webhook-Timestamp", "1"), status: 401},
		"too old":                 {delivery: aged(72*time.Hour + time.Minute), status: 401},
		"from the future":         {delivery: aged(-time.Hour), status: 401},
		"another ID":              {change: header("X-Webhook-Id", "evt_other"), status: 400},
		"no ID":                   {change: header("X-Webhook-Id", ""), status: 400},
		"another origin":          {change: header("X-Webhook-Origin", "auther"), status: 400},
		"unknown media type":      {media: "text/plain", status: 400},
		"no media type":           {change: header("Content-Type", ""), status: 400},
		"not JSON":                {body: `{"id":`, status: 400},
		"a member twice":          {body: `{"id":"a","id":"b","origin":"o","type":"t","timestamp":1,"data":{}}`, status: 400},
		"data that is no object":  {delivery: r.delivery("user.created", "u1"), status: 400},
		"form without a field":    {body: "id=a&origin=o&type=t&timestamp=1", media: "application/x-www-form-urlencoded", status: 400},
		"form with a field twice": {body: "id=a&id=b&origin=o&type=t&timestamp=1&data=%7B%7D", media: "application/x-www-form-urlencoded", status: 400},
		"user without an ID":      {delivery: r.delivery("user.created", map[string]any{}), status: 400},
		"user ID of another type": {delivery: r.delivery("user.created", map[string]any{"id": 7}), status: 400},
		"user ID with a line end": {delivery: r.delivery("user.created", map[string]any{"id": "a\nb"}), status: 400},
		"user ID too long":        {delivery: r.delivery("user.created", map[string]any{"id": strings.Repeat("x", 256)}), status: 400},
		"session with NUL":        {delivery: r.delivery("session.deleted", map[string]any{"id": "a\x00", "userId": "u1"}), status: 400},
		"grant of nothing":        {delivery: r.delivery("grant.created", map[string]any{"subjectType": "user", "subjectId": "u1"}), status: 400},
		"too large":               {delivery: r.delivery("user.created", map[string]any{"id": "u1", "x": strings.Repeat("x", 256<<10)}), status: 400},
		"timestamp with a sign":   {change: func(q *http.Request) { q.Header.Set("X-Webhook-Timestamp", "+"+q.Header.Get("X-Webhook-Timestamp")) }, status: 401},
	} {
		d := c.delivery
		if d.ID == "" {
			d = r.delivery("user.created", user)
		}
		req := r.request(d)
		if c.body != "" || c.media != "" {
			media := c.media
			if media == "" {
				media = "application/json"
			}
			req = r.signed(d, []byte(c.body), media, secret)
		}
		if c.change != nil {
			c.change(req)
		}
		require.Equal(t, c.status, r.send(req), name)
	}
	require.Equal(t, http.StatusUnauthorized, r.send(r.signed(r.delivery("user.created", user), []byte("{}"), "application/json", "whsec_other")), "another secret")
	d := r.delivery("user.created", user)
	fresh := d
	fresh.Timestamp -= 1000
	old, err := json.Marshal(map[string]any{"id": d.ID, "origin": d.Origin, "type": d.Type, "timestamp": d.Timestamp, "data": d.Data})
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, r.send(r.signed(fresh, old, "application/json", secret)), "a header that is younger than the body")
	require.Zero(t, r.count(`SELECT count(*) FROM deliveries`))
	require.Empty(t, r.events(""))
}

func TestWebhook_AnotherIDForTheSameFact(t *testing.T) {
	t.Parallel()
	r := newRoom(t, func(_ *room, cfg *identityrelay.Config) { cfg.ErasureGrace = time.Hour })
	for range 2 {
		r.deliver("user.created", map[string]any{"id": "u1"})
		r.deliver("session.deleted", map[string]any{"id": "s1", "userId": "u1"})
		r.deliver("user.deleted", map[string]any{"id": "u1"})
	}
	for _, eventType := range []string{identity.TypeUserCreated, identity.TypeSessionEnded, identity.TypeUserDeleted} {
		require.Len(t, r.events(eventType), 1, eventType)
	}
	require.Equal(t, 1, r.count(`SELECT count(*) FROM erasures`))
	require.Equal(t, 3, r.count(`SELECT count(*) FROM deliveries WHERE outcome = 'repeated'`))
}

func TestWebhook_AnswersNoSuccessWithoutACommit(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for _, statement := range []string{
		`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$`,
		`CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()`,
	} {
		_, err := r.db.Owner.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	d := r.delivery("session.deleted", map[string]any{"id": "s1", "userId": "u1"})
	require.Equal(t, http.StatusServiceUnavailable, r.send(r.request(d)))
	for _, table := range []string{"deliveries", "events", "revocations", "mailbox_outbox"} {
		require.Zero(t, r.count(`SELECT count(*) FROM `+table), table)
	}
	_, err := r.db.Owner.Exec(t.Context(), `DROP TRIGGER fail ON events`)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, r.send(r.request(d)), "the retry is not taken for a duplicate")
	require.Len(t, r.events(identity.TypeSessionEnded), 1)
}

func TestWebhook_SeveralSecretsAndForms(t *testing.T) {
	t.Parallel()
	r := newRoom(t, func(r *room, cfg *identityrelay.Config) { cfg.WebhookSecretsFile = r.secrets("whsec_old", secret) })
	for _, key := range []string{"whsec_old", secret} {
		d := r.delivery("user.created", nil)
		form := url.Values{
			"id": {d.ID}, "origin": {d.Origin}, "type": {d.Type}, "timestamp": {strconv.FormatInt(d.Timestamp, 10)},
			"data": {`{"id":"` + key + `"}`},
		}.Encode()
		require.Equal(t, http.StatusNoContent, r.send(r.signed(d, []byte(form), "application/x-www-form-urlencoded", key)), key)
	}
	require.Len(t, r.events(identity.TypeUserCreated), 2)
}

func TestWebhook_EndedSessionsReachTheBucketAsHashes(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.deliver("session.deleted", map[string]any{"id": "s.1", "userId": "auth0|u 1"})
	kv, err := r.mesh.Broker.JetStream.KeyValue(t.Context(), "REVOCATIONS")
	require.NoError(t, err)
	key := revocation.Key(authn.RevokedSession, authn.NewRevocationKey(authn.RevokedSession, "s.1"))
	require.Eventually(t, func() bool {
		_, err := kv.Get(t.Context(), key)
		return err == nil
	}, within, every)
	require.Zero(t, r.count(`SELECT count(*) FROM revocations WHERE encode(key, 'escape') LIKE '%s.1%'`))
}

func TestWebhook_ABanIsReadFromTheIdentityProvider(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.idp.Add("u1", true)
	// The delivery says the opposite: it is older than the ban and came late.
	r.deliver("user.updated", map[string]any{"id": "u1", "banned": false})
	require.Eventually(t, func() bool { return len(r.events(identity.TypeUserBanned)) == 1 }, within, every)
	require.Equal(t, 1, r.count(`SELECT count(*) FROM revocations WHERE kind = 'block' AND causes = '{banned}'`))
	r.idp.Add("u1", false)
	r.deliver("user.updated", map[string]any{"id": "u1", "banned": true})
	require.Eventually(t, func() bool { return len(r.events(identity.TypeUserUnbanned)) == 1 }, within, every)
	require.Equal(t, 1, r.count(`SELECT count(*) FROM revocations WHERE kind = 'block' AND causes = '{}'`))
	require.Equal(t, 1, r.idp.SignIns())
	require.Zero(t, r.count(`SELECT count(*) FROM rereads`))
}
