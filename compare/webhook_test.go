package compare_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/orders/store"
	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// receiver is a webhook alone, with its table.
type receiver struct {
	*users.Webhook
	t  *testing.T
	db *identitytest.Database
}

func receive(t *testing.T, secrets string, now time.Time) *receiver {
	t.Helper()
	s := &system{t: t}
	db := identitytest.Postgres(t, store.Migrations()...)
	tombstones, err := participant.LoadTombstones(s.file(participant.NewTombstoneKey("k1")))
	require.NoError(t, err)
	return &receiver{t: t, db: db, Webhook: &users.Webhook{
		Table: users.NewTable(db.Pool, users.Options{Tombstones: tombstones}), SecretsFile: s.file(secrets), MaxAge: 45 * time.Minute,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}}
}

func (r *receiver) takes(d sent) int {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, d.request("/v1/webhooks/auther").WithContext(r.t.Context()))
	return w.Code
}

func (r *receiver) name(id string) (name string) {
	r.t.Helper()
	require.NoError(r.t, r.db.Pool.QueryRow(r.t.Context(), `SELECT coalesce((SELECT name FROM users WHERE id = $1), '(none)')`, id).Scan(&name))
	return name
}

func (r *receiver) update(version int, name string) sent {
	at := r.Now().Add(-time.Hour).Add(time.Duration(version) * time.Millisecond).UTC()
	raw, err := json.Marshal(person{ID: "ann", Name: name, Email: "ann@example.com", UpdatedAt: at})
	require.NoError(r.t, err)
	return delivery("user.updated", "evt_"+name, r.Now(), string(raw))
}

func TestWebhook_Refuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := receive(t, "whsec_old\nwhsec_test", now)
	good := func() sent { return r.update(1, "Ann") }
	resign := func(d sent) sent {
		d.signature = users.Sign("whsec_test", d.timestamp, d.body)
		return d
	}
	for name, c := range map[string]struct {
		change func(d *sent)
		status int
	}{
		"another secret":       {func(d *sent) { d.signature = users.Sign("whsec_other", d.timestamp, d.body) }, 401},
		"no signature":         {func(d *sent) { d.signature = "" }, 401},
		"another body":         {func(d *sent) { d.body[len(d.body)-2] = ' ' }, 401},
		"another time":         {func(d *sent) { d.timestamp += 1000 }, 401},
		"too old":              {func(d *sent) { *d = delivery("user.updated", "evt_1", now.Add(-46*time.Minute), `{"id":"ann"}`) }, 400},
		"from the future":      {func(d *sent) { *d = delivery("user.updated", "evt_1", now.Add(6*time.Minute), `{"id":"ann"}`) }, 400},
		"another ID in header": {func(d *sent) { d.id = "evt_other" }, 400},
		"another content type": {func(d *sent) { d.contentType = "text/plain" }, 400},
		"no JSON":              {func(d *sent) { d.body = []byte("{"); *d = resign(*d) }, 400},
		"nobody":               {func(d *sent) { *d = delivery("user.updated", "evt_1", now, `{"id":""}`) }, 400},
		"no object":            {func(d *sent) { *d = delivery("user.updated", "evt_1", now, `7`) }, 400},
		"too large":            {func(d *sent) { d.body = make([]byte, 300<<10); *d = resign(*d) }, 400},
	} {
		d := good()
		c.change(&d)
		require.Equal(t, c.status, r.takes(d), name)
	}
	require.Zero(t, count(t, r.db, `SELECT count(*) FROM users`))
	require.Zero(t, count(t, r.db, `SELECT count(*) FROM user_deliveries`))
	require.Equal(t, http.StatusNoContent, r.takes(good()))
	withOld := r.update(2, "Ann II")
	withOld.signature = users.Sign("whsec_old", withOld.timestamp, withOld.body)
	require.Equal(t, http.StatusNoContent, r.takes(withOld), "two secrets during a rotation")
	require.Equal(t, "Ann II", r.name("ann"))
	require.Equal(t, http.StatusNoContent, r.takes(delivery("grant.created", "evt_g", now, `{}`)), "what does not concern users is no fault")
	require.Zero(t, count(t, r.db, `SELECT count(*) FROM user_deliveries WHERE id = 'evt_g'`))

	none := receive(t, "# none", now)
	none.SecretsFile = ""
	require.Equal(t, http.StatusUnauthorized, none.takes(good()))
	none.SecretsFile = "/does/not/exist"
	require.Equal(t, http.StatusServiceUnavailable, none.takes(good()), "the sender comes again")
}

// What Auther really sent, in both encodings.
func TestWebhook_TakesRealDeliveries(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../services/dev-idp/internal/webhooks/testdata/webhooks.json")
	require.NoError(t, err)
	var recorded []struct {
		Type       string
		Secret     string
		ReceivedAt int64 `json:"received_at_ms"`
		Headers    map[string]string
		Body       string
	}
	require.NoError(t, json.Unmarshal(raw, &recorded))
	var secrets []string
	for _, d := range recorded {
		secrets = append(secrets, d.Secret)
	}
	r := receive(t, strings.Join(secrets, "\n"), time.Now())
	for _, d := range recorded {
		r.Now = func() time.Time { return time.UnixMilli(d.ReceivedAt) }
		req := sent{body: []byte(d.Body)}.request("/v1/webhooks/auther")
		for name, value := range d.Headers {
			req.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req.WithContext(t.Context()))
		require.Equal(t, http.StatusNoContent, w.Code, d.Type)
	}
	require.Equal(t, 1, count(t, r.db, `SELECT count(*) FROM users WHERE name = 'Alice A. Anders' AND updated_at = '2026-11-21T19:16:37.685Z'`))
}

func TestWebhook_TakesForms(t *testing.T) {
	t.Parallel()
	r := receive(t, "whsec_test", time.Now())
	d := r.update(1, "Ann")
	var body struct {
		ID, Type  string
		Timestamp json.Number
		Data      json.RawMessage
	}
	require.NoError(t, json.Unmarshal(d.body, &body))
	d.contentType = "application/x-www-form-urlencoded"
	d.body = []byte(url.Values{"id": {body.ID}, "type": {body.Type}, "timestamp": {body.Timestamp.String()}, "data": {string(body.Data)}}.Encode())
	d.signature = users.Sign("whsec_test", d.timestamp, d.body)
	require.Equal(t, http.StatusNoContent, r.takes(d))
	require.Equal(t, "Ann", r.name("ann"))
}

func TestWebhook_DuplicatesAndOldNewsChangeNothing(t *testing.T) {
	t.Parallel()
	r := receive(t, "whsec_test", time.Now())
	first, second, third := r.update(1, "Ann"), r.update(2, "Ann Berg"), r.update(3, "Ann Cole")
	for _, step := range []struct {
		d    sent
		name string
	}{{second, "Ann Berg"}, {first, "Ann Berg"}, {third, "Ann Cole"}, {second, "Ann Cole"}, {third, "Ann Cole"}} {
		require.Equal(t, http.StatusNoContent, r.takes(step.d))
		require.Equal(t, step.name, r.name("ann"))
	}
	require.Equal(t, 3, count(t, r.db, `SELECT count(*) FROM user_deliveries`))

	_, err := r.db.Pool.Exec(t.Context(), `UPDATE users SET name = 'Ann Here'`)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, r.takes(third))
	require.Equal(t, "Ann Here", r.name("ann"), "a delivery is applied once, not merely alike")

	// The same name again must not let news from between through.
	same, between := r.update(6, "Ann Cole"), r.update(5, "Ann Dean")
	same.id = "evt_same"
	raw := delivery("user.updated", same.id, r.Now(), `{"id":"ann","name":"Ann Cole","updatedAt":"`+r.Now().Add(-time.Hour).Add(6*time.Millisecond).UTC().Format(time.RFC3339Nano)+`"}`)
	require.Equal(t, http.StatusNoContent, r.takes(raw))
	require.Equal(t, http.StatusNoContent, r.takes(between))
	require.Equal(t, "Ann Cole", r.name("ann"))
}

func TestWebhook_NothingBringsTheDeletedBack(t *testing.T) {
	t.Parallel()
	r := receive(t, "whsec_test", time.Now())
	gone := delivery("user.deleted", "evt_gone", r.Now(), `{"id":"ann"}`)
	require.Equal(t, http.StatusNoContent, r.takes(gone), "also of a user who was never here")
	require.Equal(t, http.StatusNoContent, r.takes(r.update(9, "Ann")))
	require.Equal(t, http.StatusNoContent, r.takes(delivery("user.created", "evt_late", r.Now(), `{"id":"ann","name":"Ann"}`)))
	require.Equal(t, "(none)", r.name("ann"))
	require.Equal(t, 1, count(t, r.db, `SELECT count(*) FROM user_tombstones`))
	require.Zero(t, count(t, r.db, `SELECT count(*) FROM user_tombstones t WHERE t::text LIKE '%ann%'`))
}

// A lost delivery leaves the old name for good: nothing else tells, until the
// list is compared.
func TestWebhook_WhatIsLostStaysWrong(t *testing.T) {
	t.Parallel()
	s := shadow(t)
	s.idp.named("ann", "Ann")
	s.place(t, "ann")
	s.tell(identity.TypeUserCreated, "ann")
	s.idp.named("ann", "Ann Berg") // and the delivery is lost
	of, err := s.orders.OrdersOf(t.Context(), s.staff("acme"), "ann", 0, "")
	require.NoError(t, err)
	require.Equal(t, "Ann", of.Customer.Name)
}
