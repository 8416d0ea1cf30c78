package httpserver

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sort"
	"sync"
	"time"
)

// checkTimeout bounds all readiness checks of one probe together.
const checkTimeout = 2 * time.Second

// Health answers /livez and /readyz. The zero value is alive and ready.
type Health struct {
	mu       sync.Mutex
	checks   map[string]func(context.Context) error
	draining bool
}

// Add makes readiness wait for check to return nil. The name is public.
func (h *Health) Add(name string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func(context.Context) error{}
	}
	h.checks[name] = check
}

// Drain makes the service unready for good; it is about to stop.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// WaitingFor names what keeps the service from being ready, sorted.
func (h *Health) WaitingFor(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	h.mu.Lock()
	checks := make(map[string]func(context.Context) error, len(h.checks))
	maps.Copy(checks, h.checks)
	draining := h.draining
	h.mu.Unlock()
	waiting := []string{}
	if draining {
		waiting = append(waiting, "shutdown")
	}
	for name, check := range checks {
		if check(ctx) != nil {
			waiting = append(waiting, name)
		}
	}
	sort.Strings(waiting)
	return waiting
}

type readiness struct {
	Status     string   `json:"status"`
	WaitingFor []string `json:"waiting_for,omitempty"`
}

func (h *Health) live(w http.ResponseWriter, _ *http.Request) {
	writeReadiness(w, http.StatusOK, readiness{Status: "alive"})
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	if waiting := h.WaitingFor(r.Context()); len(waiting) > 0 {
		writeReadiness(w, http.StatusServiceUnavailable, readiness{Status: "waiting", WaitingFor: waiting})
		return
	}
	writeReadiness(w, http.StatusOK, readiness{Status: "ready"})
}

func writeReadiness(w http.ResponseWriter, status int, body readiness) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the prober may be gone
}
