package identityrelay_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/authertest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("application/secevent+jwt", openapi3filter.PlainBodyDecoder)
	identitytest.Main(m)
}

const (
	within = meshtest.Within
	every  = meshtest.Every
	secret = "whsec_of-these-tests"
)

// room is one relay with what surrounds it.
type room struct {
	t        *testing.T
	mesh     *meshtest.Mesh
	db       *identitytest.Database
	idp      *authertest.Server
	cfg      identityrelay.Config
	service  *meshtest.Service
	operator *api.Client
	// clock is what webhooks are judged by, in Unix milliseconds; 0 is the real one.
	clock atomic.Int64
	ids   atomic.Int64
}

// newRoom starts a relay; change, where given, has the last word on its configuration.
func newRoom(t *testing.T, change ...func(*room, *identityrelay.Config)) *room {
	t.Helper()
	r := &room{t: t, mesh: meshtest.New(t), idp: authertest.New(t)}
	backends, db := r.mesh.Backends("identity-relay", schema.Sets()...)
	r.db = db
	cfg, err := config.Load[identityrelay.Config](identityrelay.Prefix, nil)
	require.Error(t, err) // only the defaults are wanted
	cfg.Backends = backends
	cfg.WebhookSecretsFile = r.secrets(secret)
	cfg.IdPURL, cfg.IdPCredentialFile, cfg.IdPRequestsPerSecond = r.idp.URL, authertest.CredentialFile(t), 1000
	cfg.ErasureGrace, cfg.ReconcileInterval, cfg.ReconcileGrace = 0, 0, 20*time.Millisecond
	cfg.Now = func() time.Time {
		if fixed := r.clock.Load(); fixed != 0 {
			return time.UnixMilli(fixed)
		}
		return time.Now()
	}
	for _, fn := range change {
		fn(r, &cfg)
	}
	r.cfg = cfg
	r.start()
	return r
}

func (r *room) start() {
	r.t.Helper()
	r.service = r.mesh.Start(func(ctx context.Context, common config.Common, log *slog.Logger) error {
		cfg := r.cfg
		cfg.Common = common
		return identityrelay.Run(ctx, cfg, log)
	})
	r.operator = r.client("operator", api.Scope)
}

// client calls the operator's routes as some service; every answer is held to
// the OpenAPI document.
func (r *room) client(id, scope string) *api.Client {
	r.t.Helper()
	token := r.mesh.Exchange.Issuer().ServiceToken(id, authntest.Audience(api.Audience), authntest.Scope(scope))
	checked := openapitest.Load(r.t, "openapi.yaml").Client(r.t)
	checked.Transport = &oauth2.Transport{Base: checked.Transport, Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})}
	client, err := api.NewClient(r.service.URL, checked)
	require.NoError(r.t, err)
	return client
}

func (r *room) secrets(lines ...string) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "webhook-secrets")
	require.NoError(r.t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

// delivery is one webhook as it is sent.
type delivery struct {
	ID, Origin, Type string
	Timestamp        int64
	Data             any
}

func (r *room) delivery(kind string, data any) delivery {
	id := fmt.Sprintf("evt_%032x", r.ids.Add(1))
	return delivery{ID: id, Origin: "better-auth", Type: kind, Timestamp: time.Now().Unix() * 1000, Data: data}
}

// request is signed; change may spoil it afterwards.
func (r *room) request(d delivery) *http.Request {
	r.t.Helper()
	body, err := json.Marshal(map[string]any{"id": d.ID, "origin": d.Origin, "type": d.Type, "timestamp": d.Timestamp, "data": d.Data})
	require.NoError(r.t, err)
	return r.signed(d, body, "application/json", secret)
}

func (r *room) signed(d delivery, body []byte, media, key string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.service.URL+"/v1/webhooks/auther", strings.NewReader(string(body)))
	require.NoError(r.t, err)
	timestamp := strconv.FormatInt(d.Timestamp, 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	for name, value := range map[string]string{
		"Content-Type": media, "X-Webhook-Id": d.ID, "X-Webhook-Timestamp": timestamp, "X-Webhook-Origin": d.Origin,
		"X-Webhook-Signature": hex.EncodeToString(mac.Sum(nil)),
	} {
		req.Header.Set(name, value)
	}
	return req
}

// send returns the status; the answer is held to the OpenAPI document.
func (r *room) send(req *http.Request) int {
	r.t.Helper()
	resp, err := openapitest.Load(r.t, "openapi.yaml").Client(r.t).Do(req)
	require.NoError(r.t, err)
	require.NoError(r.t, resp.Body.Close())
	return resp.StatusCode
}

func (r *room) deliver(kind string, data any) {
	r.t.Helper()
	require.Equal(r.t, http.StatusNoContent, r.send(r.request(r.delivery(kind, data))))
}

func (r *room) events(eventType string) []api.Event {
	r.t.Helper()
	page, err := r.operator.Events(r.t.Context(), api.EventFilter{Type: eventType})
	require.NoError(r.t, err)
	return page.Events
}

func (r *room) count(query string, args ...any) (n int) {
	r.t.Helper()
	require.NoError(r.t, r.db.Pool.QueryRow(r.t.Context(), query, args...).Scan(&n))
	return n
}
