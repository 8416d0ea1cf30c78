// Package authertest is Auther's administration for tests: sign-in with a session
// cookie, the list of users, single users, and the ways in which they fail.
package authertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"testing"
)

const (
	email    = "admin@example.com"
	password = "Passw0rd!admin"
)

// Server is one identity provider.
type Server struct {
	URL string

	mu       sync.Mutex
	users    map[string]bool // ID to banned
	sessions map[string]bool
	signIns  int
	lookups  map[string]int
	// OnList, where set, answers instead of the list.
	onList func(w http.ResponseWriter, r *http.Request) bool
	// OnLookup, where set, answers instead of a single user.
	onLookup func(w http.ResponseWriter, userID string) bool
}

// New starts one with these users and the administrator.
func New(t testing.TB, users ...string) *Server {
	t.Helper()
	s := &Server{users: map[string]bool{"administrator": false}, sessions: map[string]bool{}, lookups: map[string]int{}}
	for _, id := range users {
		s.users[id] = false
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth/sign-in/email", s.signIn)
	mux.HandleFunc("GET /api/auth/admin/list-users", s.guarded(s.list))
	mux.HandleFunc("GET /api/auth/admin/get-user", s.guarded(s.get))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// CredentialFile is the administrator's.
func CredentialFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "idp.json")
	if err := os.WriteFile(path, []byte(`{"email":"`+email+`","password":"`+password+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Add makes a user, or changes whether they are banned.
func (s *Server) Add(id string, banned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[id] = banned
}

// Remove deletes a user without telling anybody.
func (s *Server) Remove(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.users, id)
	}
}

// EndSessions makes every session unknown.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// SignIns counts them.
func (s *Server) SignIns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signIns
}

// Lookups counts how often one user was asked about.
func (s *Server) Lookups(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups[id]
}

// OnList answers instead of the list as long as it returns true; nil ends that.
func (s *Server) OnList(fn func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onList = fn
}

// OnLookup answers instead of single users as long as it returns true.
func (s *Server) OnLookup(fn func(w http.ResponseWriter, userID string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onLookup = fn
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	var given struct{ Email, Password string }
	if json.NewDecoder(r.Body).Decode(&given) != nil || given.Email != email || given.Password != password {
		answer(w, http.StatusUnauthorized, map[string]string{"code": "INVALID_EMAIL_OR_PASSWORD"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signIns++
	session := "session-" + strconv.Itoa(s.signIns)
	s.sessions[session] = true
	http.SetCookie(w, &http.Cookie{Name: "better-auth.session_token", Value: session, Path: "/", HttpOnly: true}) //nolint:gosec // plain HTTP on this machine
	answer(w, http.StatusOK, map[string]any{"redirect": false})
}

func (s *Server) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("better-auth.session_token")
		s.mu.Lock()
		known := err == nil && s.sessions[cookie.Value]
		s.mu.Unlock()
		if !known {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	override := s.onList
	ids := make([]string, 0, len(s.users))
	for id := range s.users {
		ids = append(ids, id)
	}
	banned := make(map[string]bool, len(s.users))
	maps.Copy(banned, s.users)
	s.mu.Unlock()
	if override != nil && override(w, r) {
		return
	}
	sort.Strings(ids)
	total := len(ids)
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	ids = ids[min(offset, total):min(offset+limit, total)]
	users := make([]map[string]any, 0, len(ids))
	for _, id := range ids {
		users = append(users, user(id, banned[id]))
	}
	answer(w, http.StatusOK, map[string]any{"users": users, "total": total, "limit": limit, "offset": offset})
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	s.mu.Lock()
	s.lookups[id]++
	override := s.onLookup
	banned, known := s.users[id]
	s.mu.Unlock()
	switch {
	case override != nil && override(w, id):
	case known:
		answer(w, http.StatusOK, user(id, banned))
	default:
		answer(w, http.StatusNotFound, map[string]string{"code": "USER_NOT_FOUND", "message": "User not found"})
	}
}

func user(id string, banned bool) map[string]any {
	return map[string]any{
		"id": id, "name": "Somebody", "email": "somebody@example.com", "emailVerified": true, "image": nil,
		"role": "user", "banned": banned, "banReason": nil, "banExpires": nil,
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
