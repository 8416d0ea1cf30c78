package broker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
)

// maxKeySize of an upstream key, in bytes.
const maxKeySize = 1024

// Errors that callers see.
var (
	ErrNotABroker = problem.New(http.StatusConflict, "not-a-broker", "This service mints its tokens itself: it has no upstream issuer.")
	ErrInvalidKey = problem.New(http.StatusUnprocessableEntity, "invalid-upstream-key", "An upstream key is 1 to 1024 printable characters.")
)

// Store keeps upstream keys.
type Store interface {
	Set(ctx context.Context, actor, clientID, key string) (time.Time, error)
	Updated(ctx context.Context, clientID string) (time.Time, error)
	Remove(ctx context.Context, actor, clientID string) error
}

// Custody is what an operator does with upstream keys. Broker is nil where this
// service has no upstream.
type Custody struct {
	Store  Store
	Broker *Broker
}

type ref struct {
	clientID string
}

// Bind reads the path.
func (r *ref) Bind(req *http.Request) error {
	r.clientID = req.PathValue("id")
	return nil
}

type setRequest struct {
	api.UpstreamKey
	client ref // the decoder takes no embedded type that is not exported
}

// Bind reads the path.
func (s *setRequest) Bind(req *http.Request) error { return s.client.Bind(req) }

// Set stores a key and tries it: the answer says whether it works, and if not,
// what is wrong.
func (c Custody) Set(ctx context.Context, req setRequest) (api.UpstreamKeyStatus, error) {
	if c.Broker == nil {
		return api.UpstreamKeyStatus{}, ErrNotABroker
	}
	if !printable(req.Secret) {
		return api.UpstreamKeyStatus{}, ErrInvalidKey
	}
	actor := ""
	if p, ok := authn.FromContext(ctx); ok {
		actor = p.ClientID()
	}
	at, err := c.Store.Set(ctx, actor, req.client.clientID, req.Secret)
	if err != nil {
		return api.UpstreamKeyStatus{}, public(err)
	}
	return c.tried(ctx, req.client.clientID, at), nil
}

// Get tries a client's key and says whether it works.
func (c Custody) Get(ctx context.Context, req ref) (api.UpstreamKeyStatus, error) {
	if c.Broker == nil {
		return api.UpstreamKeyStatus{}, ErrNotABroker
	}
	at, err := c.Store.Updated(ctx, req.clientID)
	if err != nil {
		return api.UpstreamKeyStatus{}, public(err)
	}
	return c.tried(ctx, req.clientID, at), nil
}

// Remove ends a client's use of the upstream.
func (c Custody) Remove(ctx context.Context, req ref) (struct{}, error) {
	if c.Broker == nil {
		return struct{}{}, ErrNotABroker
	}
	actor := ""
	if p, ok := authn.FromContext(ctx); ok {
		actor = p.ClientID()
	}
	return struct{}{}, public(c.Store.Remove(ctx, actor, req.clientID))
}

func (c Custody) tried(ctx context.Context, clientID string, at time.Time) api.UpstreamKeyStatus {
	status := api.UpstreamKeyStatus{ClientID: clientID, UpdatedAt: at, Works: true}
	if err := c.Broker.Check(ctx, clientID); err != nil {
		status.Works, status.Problem = false, diagnosis(err)
	}
	return status
}

// diagnosis is for the operator: a sentence of ours, whatever the upstream sent.
func diagnosis(err error) string {
	for _, known := range []error{ErrCannotExchange, ErrKeyRefused, ErrBroken, ErrUnreachable} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "the key could not be read"
}

func printable(key string) bool {
	if key == "" || len(key) > maxKeySize {
		return false
	}
	for _, c := range []byte(key) {
		if c < 0x21 || c > 0x7e {
			return false
		}
	}
	return true
}

func public(err error) error {
	if errors.Is(err, clients.ErrNotFound) {
		return problem.ErrNotFound.Because(err)
	}
	return err
}

// Register serves the routes.
func Register(m *access.Mux, c Custody) {
	const pattern = "/v1/clients/{id}/upstream-key"
	kit.Handle(m, "GET "+pattern, kit.NoBody[ref], c.Get, http.StatusOK)
	kit.Handle(m, "PUT "+pattern, kit.JSON[setRequest], c.Set, http.StatusOK)
	kit.Handle(m, "DELETE "+pattern, kit.NoBody[ref], c.Remove, http.StatusNoContent)
}
