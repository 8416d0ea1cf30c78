package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

const webhookSecret = "whsec_throw-away"

// receiver takes deliveries and answers what status says.
type receiver struct {
	t      *testing.T
	url    string
	status func(n int) int

	mu  sync.Mutex
	got []received
}

type received struct {
	header     http.Header
	body       string
	kind       string
	data       map[string]any
	eventID    string
	timestamp  string
	wellSigned bool
}

func newReceiver(t *testing.T, status func(n int) int) *receiver {
	t.Helper()
	r := &receiver{t: t, status: status}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	r.url = srv.URL + "/webhooks/auther"
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	content, _ := io.ReadAll(req.Body)
	d := received{header: req.Header.Clone(), body: string(content), eventID: req.Header.Get("X-Webhook-Id"), timestamp: req.Header.Get("X-Webhook-Timestamp")}
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(d.timestamp + "." + d.body))
	d.wellSigned = hex.EncodeToString(mac.Sum(nil)) == req.Header.Get("X-Webhook-Signature")
	var envelope struct {
		Type string         `json:"type"`
		Data map[string]any `json:"data"`
	}
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/json") {
		_ = json.Unmarshal(content, &envelope)
	} else if form, err := url.ParseQuery(d.body); err == nil {
		envelope.Type = form.Get("type")
		_ = json.Unmarshal([]byte(form.Get("data")), &envelope.Data)
	}
	d.kind, d.data = envelope.Type, envelope.Data
	r.mu.Lock()
	r.got = append(r.got, d)
	n := len(r.got)
	r.mu.Unlock()
	w.WriteHeader(r.status(n))
}

func (r *receiver) of(kind string) []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []received
	for _, d := range r.got {
		if d.kind == kind {
			out = append(out, d)
		}
	}
	return out
}

// wait returns the deliveries of a kind once there are n.
func (r *receiver) wait(kind string, n int) []received {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return len(r.of(kind)) >= n }, 10*time.Second, 5*time.Millisecond, "%d of %s", n, kind)
	found := r.of(kind)
	require.Len(r.t, found, n, kind)
	return found
}

// settled waits until nothing is owed.
func (i *idp) settled() {
	i.t.Helper()
	require.Eventually(i.t, func() bool {
		var owed int
		err := i.db.Pool.QueryRow(i.t.Context(), `SELECT count(*) FROM webhook_deliveries`).Scan(&owed)
		return err == nil && owed == 0
	}, 10*time.Second, 5*time.Millisecond)
}

func taken(int) int { return http.StatusOK }

func endpoint(r *receiver, name, format string) settings.Webhook {
	return settings.Webhook{Name: name, URL: r.url, Secret: settings.Secret{Value: webhookSecret}, Format: format}
}

func TestWebhooksAsPromised(t *testing.T) {
	t.Parallel()
	inJSON, inForm := newReceiver(t, taken), newReceiver(t, taken)
	i := start(t, mode.Promised, func(o *server.Options) {
		o.Settings.Webhooks = []settings.Webhook{endpoint(inJSON, "relay", "json"), endpoint(inForm, "other", "form")}
	})
	first, _ := i.alice(), i.alice()
	userID, _ := first.session()
	require.Equal(t, http.StatusOK, i.admin().post("/api/auth/admin/ban-user", fields{"userId": userID}).status)
	require.Equal(t, http.StatusOK, i.admin().post("/api/auth/admin/unban-user", fields{"userId": userID}).status)
	third := i.alice()
	require.Equal(t, http.StatusOK, third.post("/api/auth/delete-user", fields{}).status)
	i.settled()

	for _, r := range []*receiver{inJSON, inForm} {
		r.wait("user.created", 4)
		r.wait("user.verified", 4)
		r.wait("session.created", 5)
		ended := r.wait("session.deleted", 3)
		for _, d := range ended {
			require.Equal(t, userID, d.data["userId"], "one webhook per session")
		}
		updates := r.wait("user.updated", 2)
		require.ElementsMatch(t, []any{true, false}, []any{updates[0].data["banned"], updates[1].data["banned"]})
		deleted := r.wait("user.deleted", 1)[0]
		require.Equal(t, userID, deleted.data["id"])
		r.mu.Lock()
		for _, d := range r.got {
			require.True(t, d.wellSigned, d.kind)
			require.Regexp(t, `^\d{10}000$`, d.timestamp)
			require.Regexp(t, `^evt_[0-9a-f]{32}$`, d.eventID)
			require.Equal(t, "node", d.header.Get("User-Agent"))
		}
		r.mu.Unlock()
	}
	require.Equal(t, inJSON.of("user.deleted")[0].eventID, inForm.of("user.deleted")[0].eventID)
	require.NotEqual(t, inJSON.of("grant.created")[0].eventID, inForm.of("grant.created")[0].eventID)
}

func TestWebhooksAsObserved(t *testing.T) {
	t.Parallel()
	all, alices := newReceiver(t, taken), newReceiver(t, taken)
	i := start(t, mode.Observed, func(o *server.Options) {
		own := endpoint(alices, "alices", "json")
		own.OwnerEmail = "alice@example.com"
		o.Settings.Webhooks = []settings.Webhook{endpoint(all, "relay", "json"), own}
	})
	alice, bob := i.alice(), i.signedIn("bob@example.com", "Passw0rd!bob")
	userID, _ := alice.session()
	require.Equal(t, http.StatusOK, bob.post("/api/auth/sign-out", fields{}).status)
	require.Equal(t, http.StatusOK, alice.post("/api/auth/update-user", fields{"name": "Alice A."}).status)
	admin := i.admin()
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/revoke-user-sessions", fields{"userId": userID}).status)
	grant := fields{"subjectType": "user", "subjectId": userID, "entityType": "client_shop:order", "entityId": "o-77", "relation": "viewer"}
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/grant", grant).status)
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/revoke-grant", grant).status)
	member := fields{"groupId": "g-1", "userId": userID}
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/add-group-member", member).status)
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/remove-user", fields{"userId": userID}).status)
	i.settled()

	updated := alices.wait("user.updated", 1)[0]
	require.NotContains(t, updated.data, "banned")
	alices.wait("session.created", 1)
	revoked := all.wait("grant.revoked", 1)[0]
	require.Equal(t, "shop", revoked.data["clientId"])
	require.Equal(t, map[string]any{"groupId": "g-1", "userId": userID}, all.wait("group.member.added", 1)[0].data)
	for _, kind := range []string{"user.created", "user.updated", "session.created"} {
		require.Empty(t, all.of(kind), "%s reaches its owner's endpoint alone", kind)
	}
	for _, r := range []*receiver{all, alices} {
		for _, kind := range []string{"user.deleted", "session.deleted", "user.verified"} {
			require.Empty(t, r.of(kind), kind)
		}
	}
}

func TestWebhookRetriesKeepTheOldTimestamp(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(n int) int {
		return []int{http.StatusInternalServerError, http.StatusForbidden, http.StatusFound, http.StatusNoContent}[min(n, 4)-1]
	})
	i := start(t, mode.Promised, func(o *server.Options) {
		o.Seed, o.VerifyAtOnce = false, false
		o.Settings.APIKeys = nil
		o.Settings.Webhooks = []settings.Webhook{endpoint(r, "relay", "json")}
		o.WebhookRetries = []time.Duration{12 * time.Second, 150 * time.Second, 30 * time.Minute}
	})
	// An account that waits for its verification is one fact.
	require.Equal(t, http.StatusOK, i.browser().signUp(fields{"email": "dora@example.com", "password": "Passw0rd!dora", "name": "Dora"}).status)
	for n, wait := range []time.Duration{12 * time.Second, 150 * time.Second, 30 * time.Minute} {
		require.Eventually(t, func() bool {
			left := i.due()
			return len(r.of("user.created")) == n+1 && left > wait-5*time.Second && left <= wait
		}, 10*time.Second, 5*time.Millisecond)
		i.clock.advance(wait)
	}
	i.settled()
	attempts := r.wait("user.created", 4)
	for _, d := range attempts[1:] {
		require.Equal(t, attempts[0].body, d.body)
		require.Equal(t, attempts[0].timestamp, d.timestamp)
		require.Equal(t, attempts[0].header.Get("X-Webhook-Signature"), d.header.Get("X-Webhook-Signature"))
	}
}

// due is how long the one owed delivery still waits; 0 when it is being sent.
func (i *idp) due() time.Duration {
	var at time.Time
	if err := i.db.Pool.QueryRow(i.t.Context(), `SELECT due_at FROM webhook_deliveries`).Scan(&at); err != nil {
		return 0
	}
	return at.Sub(i.clock.now())
}

func TestWebhookIsGivenUpAfterItsLastRetry(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(int) int { return http.StatusBadGateway })
	i := start(t, mode.Promised, func(o *server.Options) {
		o.Settings.Webhooks = []settings.Webhook{endpoint(r, "relay", "json")}
		o.WebhookRetries = []time.Duration{time.Millisecond}
	})
	i.settled()
	r.wait("user.created", 8) // four users, two attempts each
	require.Contains(t, i.logs.String(), "last=true")
	require.NotContains(t, i.logs.String(), "@example.com")
}

func TestRefusedSignUpTellsNothing(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, taken)
	i := start(t, mode.Promised, func(o *server.Options) { o.Settings.Webhooks = []settings.Webhook{endpoint(r, "relay", "json")} })
	require.Equal(t, http.StatusUnprocessableEntity, i.browser().signUp(fields{"email": "alice@example.com", "password": "Passw0rd!x", "name": "A", "context": "shop"}).status)
	i.settled()
	r.wait("user.created", 4)
	r.wait("grant.created", 8) // the six of the users and the two of the API key
}
