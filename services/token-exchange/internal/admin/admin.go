// Package admin manages clients and their keys. Every change is recorded with
// who made it.
package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

// Errors that callers see.
var (
	ErrInvalidClient = problem.New(http.StatusUnprocessableEntity, "invalid-client", "The client's registration is not valid, or its plan does not allow it.")
	ErrClientExists  = problem.New(http.StatusConflict, "client-exists", "There is a client of this ID already.")
	ErrWorkloadTaken = problem.New(http.StatusConflict, "workload-taken", "One of the workloads belongs to another client.")
	ErrInvalidKey    = problem.New(http.StatusUnprocessableEntity, "invalid-key", "A key must have the right form and expire in the future.")
	ErrKeyTaken      = problem.New(http.StatusConflict, "key-taken", "The key belongs to another client.")
	ErrKeyEnded      = problem.New(http.StatusConflict, "key-ended", "The key is revoked, expired or rotated already.")
	ErrOverlap       = problem.New(http.StatusUnprocessableEntity, "overlap-too-long", "The overlap must be zero or more, and no more than the policy's maximum.")
)

// Options of New. All are required.
type Options struct {
	Store       *store.Clients
	Hashes      *keyring.Ring
	Policy      policy.Policy
	Environment string // label of new keys
	Now         func() time.Time
}

// Service manages clients.
type Service struct{ Options }

// New makes a service.
func New(o Options) *Service { return &Service{o} }

// Clients lists every client.
func (s *Service) Clients(ctx context.Context, _ struct{}) (api.ClientList, error) {
	all, err := s.Store.List(ctx)
	if err != nil {
		return api.ClientList{}, err
	}
	list := api.ClientList{Clients: make([]api.Client, len(all))}
	for i, c := range all {
		list.Clients[i] = c.Client
	}
	return list, nil
}

// Client returns one client.
func (s *Service) Client(ctx context.Context, ref ClientRef) (api.Client, error) {
	c, err := s.Store.Client(ctx, ref.ClientID)
	if err != nil {
		return api.Client{}, public(err)
	}
	return c.Client, nil
}

// validate holds a registration to the rules and to its plan.
func (s *Service) validate(spec api.ClientSpec) error {
	if err := clients.Validate(spec); err != nil {
		return err
	}
	if err := s.Policy.CheckClient(spec); err != nil {
		return errors.Join(clients.ErrInvalid, err)
	}
	return nil
}

// Create registers a client.
func (s *Service) Create(ctx context.Context, req CreateRequest) (api.Client, error) {
	if err := s.validate(req.ClientSpec); err != nil {
		return api.Client{}, public(err)
	}
	c, err := s.Store.Create(ctx, actor(ctx), req.ClientSpec)
	if err != nil {
		return api.Client{}, public(err)
	}
	return c.Client, nil
}

// Declare makes a client what the request says, whatever it was, and leaves its
// block and its keys.
func (s *Service) Declare(ctx context.Context, req DeclareRequest) (api.Client, error) {
	if req.ID != req.id {
		return api.Client{}, ErrInvalidClient.Becausef("the body names another client")
	}
	if err := s.validate(req.ClientSpec); err != nil {
		return api.Client{}, public(err)
	}
	c, err := s.Store.Put(ctx, actor(ctx), req.ClientSpec)
	if err != nil {
		return api.Client{}, public(err)
	}
	return c.Client, nil
}

// Change changes what the patch names.
func (s *Service) Change(ctx context.Context, req ChangeRequest) (api.Client, error) {
	c, err := s.Store.Update(ctx, actor(ctx), req.id, func(c *clients.Client) error {
		apply(&c.Client, req.ClientPatch)
		return s.validate(c.ClientSpec)
	})
	if err != nil {
		return api.Client{}, public(err)
	}
	return c.Client, nil
}

func apply(c *api.Client, p api.ClientPatch) {
	set(&c.Name, p.Name)
	set(&c.GrantTypes, p.GrantTypes)
	set(&c.Audiences, p.Audiences)
	set(&c.DefaultAudience, p.DefaultAudience)
	set(&c.Permissions, p.Permissions)
	set(&c.FrontDoor, p.FrontDoor)
	set(&c.OIDCClientID, p.OIDCClientID)
	set(&c.Workloads, p.Workloads)
	set(&c.Plan, p.Plan)
	set(&c.AllowedAddresses, p.AllowedAddresses)
	set(&c.Blocked, p.Blocked)
	set(&c.BlockReason, p.BlockReason)
	if !c.Blocked {
		c.BlockReason = ""
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func actor(ctx context.Context) string {
	if p, ok := authn.FromContext(ctx); ok {
		return p.ClientID()
	}
	return ""
}

func public(err error) error {
	switch {
	case errors.Is(err, clients.ErrNotFound):
		return problem.ErrNotFound.Because(err)
	case errors.Is(err, clients.ErrInvalid):
		return ErrInvalidClient.Because(err)
	case errors.Is(err, store.ErrExists):
		return ErrClientExists.Because(err)
	case errors.Is(err, clients.ErrWorkloadTaken):
		return ErrWorkloadTaken.Because(err)
	case errors.Is(err, clients.ErrKeyTaken):
		return ErrKeyTaken.Because(err)
	case errors.Is(err, store.ErrKeyEnded):
		return ErrKeyEnded.Because(err)
	}
	return err
}
