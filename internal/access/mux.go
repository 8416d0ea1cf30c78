package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/pkg/authn"
)

// Mux routes requests by the table: it authenticates before anything is
// decoded. The endpoint's Authorize middleware comes after decoding.
type Mux struct {
	table    Table
	verifier *authn.Verifier
	mux      *http.ServeMux
	handled  map[string]bool
	decided  map[string]bool // somebody asks whether the caller may
	admitted []func(context.Context, *authn.Principal) error
	faults   []error
}

// OnAdmit has fn called for each caller whom a rule admits, before the endpoint.
// Its error refuses the call. Public routes have no caller.
func (m *Mux) OnAdmit(fn func(context.Context, *authn.Principal) error) {
	m.admitted = append(m.admitted, fn)
}

// NewMux makes an empty router for the table. A table of public routes alone
// needs no verifier.
func NewMux(t Table, v *authn.Verifier) *Mux {
	m := &Mux{table: t, verifier: v, mux: http.NewServeMux(), handled: map[string]bool{}, decided: map[string]bool{}}
	seen := map[string]bool{}
	for _, r := range t.Routes {
		if seen[r.Pattern] {
			m.faults = append(m.faults, fmt.Errorf("route %q stands twice in the access table", r.Pattern))
		}
		seen[r.Pattern] = true
		if len(r.Allow) == 0 {
			m.faults = append(m.faults, fmt.Errorf("route %q admits nobody", r.Pattern))
		}
		if v == nil && !r.IsPublic() {
			m.faults = append(m.faults, fmt.Errorf("route %q needs a verifier", r.Pattern))
		}
	}
	return m
}

// Handle serves a route of the table. Errors are reported by Handler. It
// authenticates only: the handler of a route that is not public must contain
// the route's Authorize.
func (m *Mux) Handle(pattern string, h http.Handler) {
	route, ok := m.table.route(pattern)
	if !ok {
		m.faults = append(m.faults, fmt.Errorf("route %q is not in the access table", pattern))
		return
	}
	if m.handled[pattern] {
		m.faults = append(m.faults, fmt.Errorf("route %q has two handlers", pattern))
		return
	}
	m.handled[pattern] = true
	if !route.IsPublic() && m.verifier != nil {
		h = m.authenticated(route, h)
	}
	m.mux.Handle(pattern, h)
}

// Handler is the finished router. It fails when a handler's route is not in the
// table or a row of the table has no handler.
func (m *Mux) Handler() (http.Handler, error) {
	faults := m.faults
	for _, r := range m.table.Routes {
		if !m.handled[r.Pattern] {
			faults = append(faults, fmt.Errorf("route %q has no handler", r.Pattern))
		}
		if m.handled[r.Pattern] && !r.IsPublic() && !m.decided[r.Pattern] {
			faults = append(faults, fmt.Errorf("route %q lets everybody in who has a token: nothing authorizes", r.Pattern))
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("access table of %s: %w", m.table.Service, errors.Join(faults...))
	}
	return unmatched(m.mux), nil
}

// Authorize admits the callers of the route's rules.
func (m *Mux) Authorize(pattern string) endpoint.Middleware {
	route, _ := m.table.route(pattern) // an unknown one is reported by Handler
	m.decided[pattern] = true
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if err := m.admit(ctx, route); err != nil {
				return nil, err
			}
			return next(context.WithValue(ctx, routeKey{}, route), request)
		}
	}
}

func (m *Mux) admit(ctx context.Context, route Route) error {
	if route.IsPublic() {
		return nil
	}
	p, ok := authn.FromContext(ctx)
	if !ok {
		return authn.ErrMissingToken
	}
	for _, rule := range route.Allow {
		if rule.admits(p) {
			if err := route.StepUp.Check(p, time.Now()); err != nil {
				return err
			}
			return m.greet(ctx, p)
		}
	}
	for _, rule := range route.Allow {
		if rule.undecided(p) {
			return authn.ErrCannotAsk
		}
	}
	return authn.ErrForbidden
}

func (m *Mux) greet(ctx context.Context, p *authn.Principal) error {
	for _, fn := range m.admitted {
		if err := fn(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mux) authenticated(route Route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := m.verifier.Authenticate(r)
		if err == nil && route.Posture == FailClosed {
			err = m.verifier.Revocations().Fresh(route.Limit())
		}
		if err != nil {
			WriteError(w, r, err)
			return
		}
		caller := []slog.Attr{slog.String("caller_kind", p.Kind().String()), slog.String("client_id", p.ClientID())}
		if a := p.Actor(); a != nil {
			caller = append(caller, slog.String("actor", a.ClientID()))
		}
		telemetry.Annotate(r.Context(), caller...)
		next.ServeHTTP(w, r.WithContext(authn.NewContext(r.Context(), p)))
	})
}

// unmatched answers net/http's own 404 and 405 as problems.
func unmatched(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		// The mux knows which methods exist: let it answer into a probe.
		probe := &allowProbe{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if allow := probe.header.Get("Allow"); probe.status == http.StatusMethodNotAllowed && allow != "" {
			w.Header().Set("Allow", allow)
			problem.Write(w, r, problem.ErrMethodNotAllowed)
			return
		}
		problem.Write(w, r, problem.ErrNotFound)
	})
}

type allowProbe struct {
	header http.Header
	status int
}

func (p *allowProbe) Header() http.Header         { return p.header }
func (p *allowProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *allowProbe) WriteHeader(status int)      { p.status = status }
