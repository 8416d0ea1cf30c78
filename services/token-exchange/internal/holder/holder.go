// Package holder serves whoever holds an API key and nothing else: it says what
// has become of the key and why, and revokes one that has leaked. Only the whole
// key proves its holder; every other text has one and the same answer.
package holder

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/admin"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/origin"
)

// Errors that callers see.
var (
	ErrUnknownKey = problem.New(http.StatusNotFound, "key-unknown", "There is no such key.")
	ErrTooMany    = problem.New(http.StatusTooManyRequests, "too-many-requests", "Too many requests. Try again later.")
)

// Names of the endpoints in the audit.
const (
	atStatus     = "key_status"
	atRevocation = "key_revocation"
)

// actor of a revocation by the holder, in the record of changes.
const actor = "holder"

// Guard proves holders.
type Guard interface {
	Holder(ctx context.Context, presented string) (clientID, keyID string, err error)
}

// Store keeps keys.
type Store interface {
	KeyByID(ctx context.Context, id string) (*clients.Key, *clients.Client, error)
	RevokeKey(ctx context.Context, actor, clientID, keyID string) error
}

// Recorder takes audit records.
type Recorder interface {
	Record(ctx context.Context, a audit.Attempt) error
}

// Options of New. All are required.
type Options struct {
	Guard    Guard
	Store    Store
	Recorder Recorder
	Now      func() time.Time
}

// Service answers holders.
type Service struct{ Options }

// New makes a service.
func New(o Options) *Service { return &Service{o} }

// Status says what has become of a key.
func (s *Service) Status(ctx context.Context, req api.PresentedKey) (api.KeyStatus, error) {
	_, keyID, err := s.prove(ctx, atStatus, req.Secret)
	if err != nil {
		return api.KeyStatus{}, err
	}
	return s.status(ctx, keyID)
}

// Revoke ends a key at once, for good. Again changes nothing.
func (s *Service) Revoke(ctx context.Context, req api.PresentedKey) (api.KeyStatus, error) {
	clientID, keyID, err := s.prove(ctx, atRevocation, req.Secret)
	if err != nil {
		return api.KeyStatus{}, err
	}
	if err := s.Store.RevokeKey(ctx, actor, clientID, keyID); err != nil {
		return api.KeyStatus{}, err
	}
	return s.status(ctx, keyID)
}

func (s *Service) prove(ctx context.Context, at, presented string) (clientID, keyID string, err error) {
	clientID, keyID, err = s.Guard.Holder(ctx, presented)
	if err == nil {
		return clientID, keyID, nil
	}
	attempt := audit.Attempt{At: s.Now(), GrantType: at, Address: origin.FromContext(ctx).String()}
	var refused *clients.RefusedError
	var limited *clients.LimitedError
	switch {
	case errors.As(err, &refused):
		attempt.Reason, attempt.ClientID, attempt.KeyID = refused.Reason, refused.ClientID, refused.KeyID
		err = ErrUnknownKey.Because(err)
	case errors.As(err, &limited):
		attempt.Reason, attempt.Limited = limited.Reason, true
		err = ErrTooMany.Because(err).After(max((limited.RetryAfter + time.Second - 1).Truncate(time.Second), time.Second))
	default:
		attempt.Reason = "clients_unavailable"
		err = problem.ErrUnavailable.Because(err).After(time.Second)
	}
	_ = s.Recorder.Record(ctx, attempt) // it is refused already
	return "", "", err
}

func (s *Service) status(ctx context.Context, keyID string) (api.KeyStatus, error) {
	key, client, err := s.Store.KeyByID(ctx, keyID)
	if err != nil {
		return api.KeyStatus{}, err
	}
	status := api.KeyStatus{
		ClientID: client.ID, KeyID: key.ID, State: admin.State(key, s.Now()),
		ExpiresAt: key.ExpiresAt, RevokedAt: key.RevokedAt, ReplacedBy: key.ReplacedBy,
	}
	if client.Blocked {
		status.BlockReason = client.BlockReason
		if status.State == api.KeyActive {
			status.State = api.KeyBlocked
		}
	}
	return status, nil
}

// Register serves the routes.
func Register(m *access.Mux, s *Service) {
	kit.Handle(m, "POST /v1/keys/status", kit.JSON[api.PresentedKey], s.Status, http.StatusOK)
	kit.Handle(m, "POST /v1/keys/revoke", kit.JSON[api.PresentedKey], s.Revoke, http.StatusOK)
}
