// Package scimtest is a SCIM 2.0 service provider for tests: the list of users by
// index or cursor, filters for equality, single users, and the ways in which
// such a provider fails.
package scimtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	schemaUser  = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaList  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	schemaError = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// Server is one provider. Its pages have at most MaxCount users.
type Server struct {
	URL string

	mu       sync.Mutex
	users    map[string]bool // ID to active
	lookups  map[string]int
	bearer   string
	file     string
	cursor   bool
	maxCount int
	override func(w http.ResponseWriter, r *http.Request) bool
}

// New starts one with these users, all of them active.
func New(t testing.TB, users ...string) *Server {
	t.Helper()
	s := &Server{
		users: map[string]bool{}, lookups: map[string]int{}, file: filepath.Join(t.TempDir(), "scim-bearer"), maxCount: 100,
	}
	for _, id := range users {
		s.users[id] = true
	}
	s.Renew(t, "first-token")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /scim/v2/ServiceProviderConfig", s.guarded(s.config))
	mux.HandleFunc("GET /scim/v2/Users", s.guarded(s.list))
	mux.HandleFunc("GET /scim/v2/Users/{id}", s.guarded(s.get))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/scim/v2"
	return s
}

// BearerFile holds the token that is accepted.
func (s *Server) BearerFile() string { return s.file }

// Renew makes another token the accepted one and writes it into the file.
func (s *Server) Renew(t testing.TB, token string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bearer = token
	if err := os.WriteFile(s.file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// OfferCursor makes the provider page by cursor too, and say so.
func (s *Server) OfferCursor() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = true
}

// Set makes a user, or changes whether they are active.
func (s *Server) Set(id string, active bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[id] = active
}

// Remove deletes users.
func (s *Server) Remove(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.users, id)
	}
}

// Lookups counts how often one user was asked about.
func (s *Server) Lookups(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups[id]
}

// Override answers authenticated requests as long as it returns true.
func (s *Server) Override(fn func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.override = fn
}

func (s *Server) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		let := r.Header.Get("Authorization") == "Bearer "+s.bearer
		override := s.override
		s.mu.Unlock()
		switch {
		case !let:
			fail(w, http.StatusUnauthorized)
		case override != nil && override(w, r):
		default:
			next(w, r)
		}
	}
}

func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"schemas":    []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"filter":     map[string]any{"supported": true, "maxResults": s.maxCount},
		"pagination": map[string]any{"cursor": s.cursor, "index": true, "maxPageSize": s.maxCount},
	})
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	matches := s.matching(query.Get("filter"))
	s.mu.Lock()
	count, byCursor := s.maxCount, s.cursor && query.Has("cursor")
	s.mu.Unlock()
	if n, err := strconv.Atoi(query.Get("count")); err == nil && n < count {
		count = n
	}
	start, parameter := 1, query.Get("startIndex")
	if byCursor {
		parameter = strings.TrimPrefix(query.Get("cursor"), "after-")
	}
	if n, err := strconv.Atoi(parameter); err == nil && n > 1 {
		start = n
	}
	from := min(start-1, len(matches))
	to := min(from+count, len(matches))
	resources := make([]map[string]any, 0, to-from)
	for _, id := range matches[from:to] {
		resources = append(resources, s.resource(id))
	}
	body := map[string]any{"schemas": []string{schemaList}, "totalResults": len(matches), "itemsPerPage": len(resources)}
	if len(resources) > 0 {
		body["Resources"] = resources
	}
	switch {
	case !byCursor:
		body["startIndex"] = start
	case to < len(matches):
		body["nextCursor"] = "after-" + strconv.Itoa(to+1)
	}
	answer(w, http.StatusOK, body)
}

// matching returns the IDs in order that a filter selects: attribute eq "value".
func (s *Server) matching(filter string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := ""
	if attribute, value, ok := strings.Cut(filter, " eq "); ok {
		if json.Unmarshal([]byte(value), &wanted) != nil {
			return nil
		}
		if attribute == "externalId" {
			wanted = strings.TrimPrefix(wanted, "ext-")
		}
		s.lookups[wanted]++
	}
	for id := range s.users {
		if filter == "" || id == wanted {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	s.lookups[id]++
	_, known := s.users[id]
	s.mu.Unlock()
	if !known {
		fail(w, http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, s.resource(id))
}

func (s *Server) resource(id string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{
		"schemas": []string{schemaUser}, "id": id, "externalId": "ext-" + id, "userName": "somebody@example.com", "active": s.users[id],
		"meta": map[string]any{"resourceType": "User"},
	}
}

func fail(w http.ResponseWriter, status int) {
	answer(w, status, map[string]any{"schemas": []string{schemaError}, "status": strconv.Itoa(status)})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
