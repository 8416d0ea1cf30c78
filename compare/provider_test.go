package compare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/compare/users"
	"github.com/shadowless/shadowless/internal/meshtest"
)

const lookupPath = "/api/auth/directory/lookup"

// provider is the identity provider's knowledge of people: its look-up of names,
// and its list for administrators.
type provider struct {
	server *httptest.Server

	mu    sync.Mutex
	clock time.Time // of changes, in steps that its millisecond can tell apart
	known map[string]*person
	cut   int // how many users the list ends early by
}

type person struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Image     *string   `json:"image"`
	Banned    bool      `json:"banned"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{known: map[string]*person{}, clock: time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+lookupPath, p.lookup)
	mux.HandleFunc("POST /api/auth/sign-in/email", p.signIn)
	mux.HandleFunc("GET /api/auth/admin/list-users", p.list)
	mux.HandleFunc("GET /api/auth/admin/get-user", p.get)
	p.server = serve(t, mux)
	return p
}

// set makes or changes a person.
func (p *provider) set(id string, change func(*person)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[id] == nil {
		p.known[id] = &person{ID: id, Email: uuid.NewString() + "@example.com"}
	}
	change(p.known[id])
	p.clock = p.clock.Add(time.Millisecond)
	p.known[id].UpdatedAt = p.clock
}

func (p *provider) named(id, name string) { p.set(id, func(u *person) { u.Name = name }) }

func (p *provider) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, id)
}

// sent is a delivery as it goes out.
type sent struct {
	id          string
	timestamp   int64
	contentType string
	body        []byte
	signature   string
}

// news makes the delivery about a person as they are now.
func (p *provider) news(eventType, userID string) sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	data := &person{ID: userID, UpdatedAt: p.clock}
	if known := p.known[userID]; known != nil {
		data = known
	}
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return delivery(eventType, "evt_"+uuid.NewString(), time.Now(), string(raw))
}

func delivery(eventType, id string, at time.Time, data string) sent {
	timestamp := at.Unix() * 1000
	body := fmt.Appendf(nil, `{"id":%q,"origin":"better-auth","type":%q,"timestamp":%d,"data":%s}`, id, eventType, timestamp, data)
	return sent{id: id, timestamp: timestamp, contentType: "application/json", body: body, signature: users.Sign("whsec_test", timestamp, body)}
}

func (d sent) request(url string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, url, bytes.NewReader(d.body))
	r.RequestURI = ""
	r.Header.Set("Content-Type", d.contentType)
	r.Header.Set("X-Webhook-Id", d.id)
	r.Header.Set("X-Webhook-Origin", "better-auth")
	r.Header.Set("X-Webhook-Timestamp", strconv.FormatInt(d.timestamp, 10))
	r.Header.Set("X-Webhook-Signature", d.signature)
	return r
}

// deliver sends a delivery to one service and returns the status.
func (s *system) deliver(to *meshtest.Service, d sent) int {
	s.t.Helper()
	status, err := s.send(to, d)
	require.NoError(s.t, err)
	return status
}

func (s *system) send(to *meshtest.Service, d sent) (int, error) {
	resp, err := http.DefaultClient.Do(d.request(to.URL + "/v1/webhooks/auther").WithContext(s.t.Context()))
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (p *provider) lookup(w http.ResponseWriter, r *http.Request) {
	var asked struct{ IDs []string }
	_ = json.NewDecoder(r.Body).Decode(&asked)
	p.mu.Lock()
	defer p.mu.Unlock()
	found := []*person{}
	for _, id := range asked.IDs {
		if u := p.known[id]; u != nil {
			found = append(found, u)
		}
	}
	answer(w, http.StatusOK, map[string]any{"users": found})
}

func (p *provider) signIn(w http.ResponseWriter, r *http.Request) {
	var c struct{ Email, Password string }
	if json.NewDecoder(r.Body).Decode(&c) != nil || c.Password != "admin" {
		answer(w, http.StatusUnauthorized, map[string]any{"code": "INVALID_EMAIL_OR_PASSWORD"})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "s", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
	answer(w, http.StatusOK, map[string]any{})
}

func signedIn(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.Header.Get("Cookie"), "session=s") {
		answer(w, http.StatusUnauthorized, map[string]any{"code": "UNAUTHORIZED"})
		return false
	}
	return true
}

func (p *provider) list(w http.ResponseWriter, r *http.Request) {
	if !signedIn(w, r) {
		return
	}
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*person, 0, len(p.known))
	for _, u := range p.known {
		all = append(all, u)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	total := len(all)
	all = all[:total-p.cut]
	answer(w, http.StatusOK, map[string]any{"users": all[min(offset, len(all)):min(offset+limit, len(all))], "total": total})
}

func (p *provider) get(w http.ResponseWriter, r *http.Request) {
	if !signedIn(w, r) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if u := p.known[r.URL.Query().Get("id")]; u != nil {
		answer(w, http.StatusOK, u)
		return
	}
	answer(w, http.StatusNotFound, map[string]any{"code": "USER_NOT_FOUND"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
