// Package workload proves clients by the tokens of the platform that runs them
// (RFC 7523, section 2.2), such as a Kubernetes projected service-account token:
// a cluster then needs no static secret. Which client it is says the
// registration, by exact issuer and subject.
package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
)

// AssertionType is the client_assertion_type of RFC 7523.
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// MaxLife of an assertion. A token of months is a static secret by another name.
const MaxLife = 24 * time.Hour

// Reasons of a refusal, for the audit.
const (
	ReasonType      = "assertion_type"
	ReasonUntrusted = "assertion_refused" // signature, issuer, audience or time
	ReasonLife      = "assertion_lives_too_long"
	ReasonUnknown   = "workload_unknown"
)

// Prover proves clients by other credentials.
type Prover interface {
	Authenticate(ctx context.Context, c clients.Credential) (clients.Proven, error)
}

// Finder finds the one client of a workload, or clients.ErrNotFound.
type Finder interface {
	ClientByWorkload(ctx context.Context, issuer, subject string) (*clients.Client, error)
}

// Verifier verifies the assertions, by an audience of this service.
type Verifier interface {
	Verify(ctx context.Context, token string) (*authn.Principal, error)
}

// Authenticator proves clients by assertions, and by next where there is none.
type Authenticator struct {
	verifier Verifier
	finder   Finder
	next     Prover
}

// New makes it. A nil verifier trusts no assertion.
func New(v Verifier, f Finder, next Prover) *Authenticator {
	return &Authenticator{verifier: v, finder: f, next: next}
}

// Authenticate proves a client. Errors are those of clients.Authenticator.
func (a *Authenticator) Authenticate(ctx context.Context, c clients.Credential) (clients.Proven, error) {
	if c.Assertion == "" && c.AssertionType == "" {
		return a.next.Authenticate(ctx, c)
	}
	if c.AssertionType != AssertionType || a.verifier == nil {
		return clients.Proven{}, &clients.RefusedError{Reason: ReasonType}
	}
	p, err := a.verifier.Verify(ctx, c.Assertion)
	switch {
	case errors.Is(err, authn.ErrKeysUnavailable):
		return clients.Proven{}, fmt.Errorf("verify a client assertion: %w", err)
	case err != nil:
		return clients.Proven{}, &clients.RefusedError{Reason: ReasonUntrusted}
	case p.ExpiresAt().Sub(p.IssuedAt()) > MaxLife:
		return clients.Proven{}, &clients.RefusedError{Reason: ReasonLife}
	}
	client, err := a.finder.ClientByWorkload(ctx, p.Issuer(), p.Subject())
	switch {
	case errors.Is(err, clients.ErrNotFound):
		return clients.Proven{}, &clients.RefusedError{Reason: ReasonUnknown}
	case err != nil:
		return clients.Proven{}, fmt.Errorf("look a workload up: %w", err)
	case c.ClientID != "" && c.ClientID != client.ID:
		return clients.Proven{}, &clients.RefusedError{Reason: clients.ReasonWrongClient, ClientID: client.ID}
	case client.Blocked:
		return clients.Proven{}, &clients.RefusedError{Reason: clients.ReasonBlocked, ClientID: client.ID}
	}
	return clients.Proven{Client: client}, nil
}
