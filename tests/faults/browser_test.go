package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

// browser keeps somebody's cookies.
type browser struct {
	client *http.Client
	system *system
}

func newBrowser(t *testing.T, s *system) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{client: &http.Client{Jar: jar, Timeout: 15 * time.Second}, system: s}
}

func (b *browser) url(service, path string) string {
	return b.system.stack.Running.Ports.URL(service) + path
}

func (b *browser) post(ctx context.Context, target string, body any) (status int, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	u, err := url.Parse(target)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	res, err := b.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read whole
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

func (b *browser) signIn(t *testing.T, email, password string) {
	t.Helper()
	status, err := b.post(t.Context(), b.url(devstack.DevIDP, "/api/auth/sign-in/email"), map[string]string{"email": email, "password": password})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
}

// customer is a user with a token and clients to show it to.
type customer struct {
	*journey.Person
	orders  *ordersapi.Client
	billing *billingapi.Client
}

func (s *system) customer(t *testing.T, email, password string) *customer {
	t.Helper()
	person, err := journey.SignIn(t.Context(), &s.stack.Running, email, password)
	require.NoError(t, err)
	c := &customer{Person: person}
	client := &http.Client{Timeout: 15 * time.Second}
	c.orders, err = ordersapi.NewClient(s.stack.Running.Ports.URL(devstack.Orders), client)
	require.NoError(t, err)
	c.billing, err = billingapi.NewClient(s.stack.Running.Ports.URL(devstack.Billing), client)
	require.NoError(t, err)
	return c
}

// newcomer signs up, opens a session at the console and orders something, so
// that every participant holds something of theirs.
func (s *system) newcomer(t *testing.T) *customer {
	t.Helper()
	id := uuid.NewString()[:8]
	email, password := "doomed-"+id+"@example.com", "Passw0rd!"+id
	b := newBrowser(t, s)
	status, err := b.post(t.Context(), b.url(devstack.Console, "/v1/sign-up"), map[string]string{"email": email, "password": password, "name": "Dora Doomed"})
	require.NoError(t, err)
	require.Equal(t, 2, status/100, "sign-up answered %d", status)
	b.signIn(t, email, password)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url(devstack.Console, "/auth/login"), nil)
	require.NoError(t, err)
	res, err := b.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, "sign-in at the console")
	c := s.customer(t, email, password)
	order, err := c.orders.Place(t.Context(), c.Token, uuid.NewString(), basket)
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted[order.ID] = true
	return c
}

// delete is an administrator at the IdP.
func (s *system) delete(ctx context.Context, userID string) error {
	return until(ctx, func(ctx context.Context) error {
		status, err := s.admin.post(ctx, s.admin.url(devstack.DevIDP, "/api/auth/admin/remove-user"), map[string]string{"userId": userID})
		switch {
		case err != nil:
			return err
		case status == http.StatusOK, status == http.StatusNotFound: // a first answer got lost
			return nil
		default:
			return fmt.Errorf("the IdP answered %d", status)
		}
	})
}
