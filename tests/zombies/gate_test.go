package zombies

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	billingapi "github.com/shadowless/shadowless/services/billing/api"
)

// gate stands between orders and billing and is the network at its worst: a call
// is kept and fails for its caller, arrives late, or arrives again.
type gate struct {
	server *httptest.Server
	target func() string // billing

	mu    sync.Mutex
	open  map[string]bool // owners whose calls pass
	calls []kept
}

// kept is a call as orders made it, token and all.
type kept struct {
	owner  string
	order  uuid.UUID
	header http.Header
	body   []byte
}

func newGate(t testing.TB, target func() string) *gate {
	g := &gate{target: target, open: map[string]bool{}}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c := kept{header: r.Header.Clone(), body: body}
	c.owner, c.order = about(r, body)
	if !g.keep(c) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	resp, err := g.send(r, c)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// about tells whom an invoice is for: the token's user, or whom orders names.
func about(r *http.Request, body []byte) (owner string, order uuid.UUID) {
	var in billingapi.NewInvoice
	_ = json.Unmarshal(body, &in) // what is no invoice is nobody's
	if in.UserID != "" {
		return in.UserID, in.OrderID
	}
	claims := jwt.RegisteredClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), &claims); err != nil {
		return "", in.OrderID // billing will refuse it
	}
	return claims.Subject, in.OrderID
}

// keep remembers a call and reports whether it may pass.
func (g *gate) keep(c kept) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, known := range g.calls {
		if known.owner == c.owner && known.order == c.order {
			return g.open[c.owner]
		}
	}
	g.calls = append(g.calls, c)
	return g.open[c.owner]
}

func (g *gate) set(owner string, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[owner] = open
}

// callsOf lists what was ever called for these users.
func (g *gate) callsOf(owners ...string) []kept {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []kept
	for _, c := range g.calls {
		for _, owner := range owners {
			if c.owner == owner {
				found = append(found, c)
			}
		}
	}
	return found
}

func (g *gate) send(r *http.Request, c kept) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, g.target()+"/v1/invoices", bytes.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	req.Header = c.header.Clone()
	return http.DefaultClient.Do(req)
}
