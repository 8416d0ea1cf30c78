package faq

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
	exchangeapi "github.com/shadowless/shadowless/services/token-exchange/api"
)

const (
	within = 30 * time.Second
	every  = 20 * time.Millisecond
)

// shared is the one system of all tests. Who only uses it holds busy for
// reading; who stops a part of it, for writing.
var shared struct {
	once  sync.Once
	busy  sync.RWMutex
	stack *devstack.Stack
	err   error
	undo  []func() error
}

func TestMain(m *testing.M) {
	code := m.Run()
	var faults []error
	if shared.stack != nil {
		faults = append(faults, shared.stack.Stop())
		select {
		case err := <-shared.stack.Failed():
			faults = append(faults, err)
		default:
		}
	}
	for _, undo := range shared.undo {
		faults = append(faults, undo())
	}
	if err := errors.Join(append(faults, identitytest.Stop())...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func startShared() {
	// Not t.TempDir: as root, Postgres runs as another user, who must get in.
	dir, err := os.MkdirTemp("", "shadowless-faq-")
	if err != nil {
		shared.err = err
		return
	}
	shared.undo = append(shared.undo, func() error { return os.RemoveAll(dir) })
	ports, release, err := devstack.FreePorts()
	if err != nil {
		shared.err = err
		return
	}
	shared.undo = append(shared.undo, func() error { release(); return nil })
	shared.stack, shared.err = devstack.Start(context.Background(), devstack.Config{StateDir: dir, Ports: ports, SkipFsync: true})
}

// world is the running system as a test sees it.
type world struct {
	*devstack.Running
	t       testing.TB
	orders  *ordersapi.Client
	billing *billingapi.Client
}

// system is for tests that change nothing for others.
func system(t testing.TB) *world {
	t.Helper()
	shared.busy.RLock()
	t.Cleanup(shared.busy.RUnlock)
	return running(t)
}

// alone is for tests that stop a part of the system.
func alone(t testing.TB) *world {
	t.Helper()
	shared.busy.Lock()
	t.Cleanup(shared.busy.Unlock)
	return running(t)
}

func running(t testing.TB) *world {
	t.Helper()
	shared.once.Do(startShared)
	require.NoError(t, shared.err)
	w := &world{Running: &shared.stack.Running, t: t}
	client := &http.Client{Timeout: within}
	var err error
	w.orders, err = ordersapi.NewClient(w.Ports.URL(devstack.Orders), client)
	require.NoError(t, err)
	w.billing, err = billingapi.NewClient(w.Ports.URL(devstack.Billing), client)
	require.NoError(t, err)
	return w
}

func (w *world) ctx() context.Context { return context.Background() }

// stop ends a service and has it started again at the end of the test.
func (w *world) stop(service string) {
	w.t.Helper()
	w.t.Cleanup(func() { require.NoError(w.t, w.StartService(w.ctx(), service)) })
	require.NoError(w.t, w.StopService(w.ctx(), service))
}

// customer is a user of the test's own with the grants of the shop.
type customer struct {
	*journey.Person
	email, password, name string
}

// newCustomer signs somebody up, as the console does it, and in.
func (w *world) newCustomer() customer {
	w.t.Helper()
	id := uuid.NewString()
	c := customer{email: "u-" + id + "@example.com", password: "Passw0rd!" + id, name: "Tilda " + id}
	answer := w.send(http.MethodPost, devstack.DevIDP, "/api/auth/sign-up/email", map[string]string{
		"email": c.email, "password": c.password, "name": c.name, "context": "shop",
	}, "X-Internal-Signup-Secret", w.secret("idp-sign-up"))
	require.Equal(w.t, http.StatusOK, answer.StatusCode)
	c.Person = w.signIn(c.email, c.password)
	return c
}

func (w *world) signIn(email, password string) *journey.Person {
	w.t.Helper()
	p, err := journey.SignIn(w.ctx(), w.Running, email, password)
	require.NoError(w.t, err)
	return p
}

func (w *world) staff() *journey.Person { return w.signIn("staff@example.com", "Passw0rd!staff") }
func (w *world) admin() *journey.Person { return w.signIn("admin@example.com", "Passw0rd!admin") }

// grant gives a user a relation, or with revoke takes it away.
func (w *world) grant(admin *journey.Person, revoke bool, userID, entityType, entityID, relation, tenant string) {
	w.t.Helper()
	path := "/api/auth/admin/grant"
	if revoke {
		path = "/api/auth/admin/revoke-grant"
	}
	require.NoError(w.t, admin.Post(w.ctx(), path, map[string]string{
		"subjectType": "user", "subjectId": userID, "entityType": entityType, "entityId": entityID, "relation": relation, "tenantId": tenant,
	}))
}

var newOrder = ordersapi.NewOrder{Currency: "EUR", Items: []ordersapi.Item{{SKU: "lamp", Quantity: 1, UnitPriceMinor: 100_00}}}

// place orders something that costs 100.00.
func (w *world) place(p *journey.Person) ordersapi.Order {
	w.t.Helper()
	order, err := w.orders.Place(w.ctx(), p.Token, uuid.NewString(), newOrder)
	require.NoError(w.t, err)
	require.NotNil(w.t, order.InvoiceID)
	return order
}

// paid is an order that is paid.
func (w *world) paid(p *journey.Person) ordersapi.Order {
	w.t.Helper()
	order := w.place(p)
	_, err := w.billing.Pay(w.ctx(), p.Token, uuid.NewString(), *order.InvoiceID, order.TotalMinor, 0)
	require.NoError(w.t, err)
	return order
}

func (w *world) refund(p *journey.Person, order ordersapi.Order, amount int64) error {
	_, err := w.billing.Refund(w.ctx(), p.Token, uuid.NewString(), *order.InvoiceID, amount, 0)
	return err
}

// reads is the status that orders answers to a token: 200, 401, 403.
func (w *world) reads(token string) int {
	w.t.Helper()
	_, err := w.orders.Orders(w.ctx(), token, 0, "")
	if err == nil {
		return http.StatusOK
	}
	return journey.Refused(err)
}

// eventually waits for what happens by event.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	require.Eventually(w.t, done, within, every, what)
}

// send calls a service with a JSON body and header names and values.
func (w *world) send(method, service, path string, body any, header ...string) *http.Response {
	w.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(w.t, err)
	return w.sendRaw(method, service, path, raw, header...)
}

func (w *world) sendRaw(method, service, path string, body []byte, header ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.ctx(), method, w.Ports.URL(service)+path, bytes.NewReader(body))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := (&http.Client{Timeout: within}).Do(r)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// relay is the operator's client of identity-relay.
func (w *world) relay() *relayapi.Client {
	w.t.Helper()
	operator, err := journey.Operator(w.Running, relayapi.Audience, relayapi.Scope)
	require.NoError(w.t, err)
	client, err := relayapi.NewClient(w.Ports.URL(devstack.IdentityRelay), operator)
	require.NoError(w.t, err)
	return client
}

// exchange is the operator's client of token-exchange.
func (w *world) exchange() *exchangeapi.Admin {
	w.t.Helper()
	operator, err := journey.Operator(w.Running, devstack.TokenExchange, exchangeapi.AdminScope)
	require.NoError(w.t, err)
	client, err := exchangeapi.NewAdmin(w.Ports.URL(devstack.TokenExchange), operator)
	require.NoError(w.t, err)
	return client
}

// database is the URL of a service's database, as its owner.
func (w *world) database(service string) string {
	w.t.Helper()
	url, err := config.ReadSecretFile(w.SecretFile(devstack.DatabaseName(service) + "_migrator.url"))
	require.NoError(w.t, err)
	return url
}

// sql runs a statement in a service's database and returns the first column of
// what it returns.
func (w *world) sql(service, statement string, args ...any) []string {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx(), w.database(service))
	require.NoError(w.t, err)
	defer conn.Close(w.ctx())
	rows, err := conn.Query(w.ctx(), statement, args...)
	require.NoError(w.t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	return values
}

func body(t testing.TB, answer *http.Response) string {
	t.Helper()
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(raw)
}

// decode reads a JWT's claims, as anybody can.
func decode(t testing.TB, token string, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(journey.Claims(token)), into))
}

// keyID is the `kid` of a JWT.
func keyID(t testing.TB, token string) string {
	t.Helper()
	header, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(header)
	require.NoError(t, err)
	var h struct {
		KeyID string `json:"kid"`
	}
	require.NoError(t, json.Unmarshal(raw, &h))
	return h.KeyID
}

// secret is one of the system's.
func (w *world) secret(name string) string {
	w.t.Helper()
	secret, err := config.ReadSecretFile(w.SecretFile(name))
	require.NoError(w.t, err)
	return secret
}

func sorted(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return values
}
