// Package admission decides who comes in before a token is thought of: it stands
// around the proof of a client and adds what a good key alone does not show, how
// often it is used and where from.
//
// Limits hold for one replica. They are counted under what was presented, known
// or not, so that they tell nobody which keys exist; and in bounded memory, so
// that nobody fills it with keys that do not.
package admission

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/origin"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
	"github.com/shadowless/shadowless/services/token-exchange/internal/throttle"
)

// Reasons of a limit, for the audit.
const (
	LimitedAddress = "address_limit" // too many failures from one address
	LimitedKey     = "key_limit"     // too many attempts under one key ID
	LimitedPlan    = "plan_limit"    // a proven key is over its plan
)

// remembered bounds each table, in entries of about 200 bytes.
const remembered = 1 << 16

// Prover proves clients by their credentials.
type Prover interface {
	Authenticate(ctx context.Context, c clients.Credential) (clients.Proven, error)
}

// Guard is a Prover that limits and narrows another.
type Guard struct {
	prover Prover
	policy policy.Policy

	presented *throttle.Limiter // attempts, by key ID
	failed    *throttle.Limiter // failures, by address
	used      *throttle.Limiter // proven requests, by key
	proven    *recent           // keys that were proven, with their limits
	at        *recent           // addresses at which they were
}

// New makes a guard.
func New(p Prover, rules policy.Policy, now func() time.Time) *Guard {
	limiter := func() *throttle.Limiter { return throttle.New(remembered, now) }
	return &Guard{
		prover: p, policy: rules, presented: limiter(), failed: limiter(), used: limiter(),
		proven: newRecent(remembered), at: newRecent(remembered),
	}
}

// Authenticate proves the client and admits it. Errors are those of the prover,
// and *clients.LimitedError.
func (g *Guard) Authenticate(ctx context.Context, c clients.Credential) (clients.Proven, error) {
	proven, err := g.prove(ctx, c)
	if err != nil {
		return clients.Proven{}, err
	}
	admitted, err := g.admit(ctx, proven)
	if errors.Is(err, clients.ErrRefused) {
		g.fail(ctx)
	}
	return admitted, err
}

// Holder proves that somebody holds a key, whatever has become of it. Whoever
// holds a leaked key may say so from anywhere, however often it is used.
func (g *Guard) Holder(ctx context.Context, presented string) (clientID, keyID string, err error) {
	proven, err := g.prove(ctx, clients.Credential{APIKey: presented})
	var refused *clients.RefusedError
	switch {
	case errors.As(err, &refused) && refused.Holds():
		return refused.ClientID, refused.KeyID, nil
	case err != nil:
		return "", "", err
	}
	return proven.Client.ID, proven.KeyID, nil
}

// prove keeps count of attempts and failures around the prover.
func (g *Guard) prove(ctx context.Context, c clients.Credential) (clients.Proven, error) {
	address, keyID := origin.FromContext(ctx).Bucket(), ""
	if key, err := api.ParseKey(c.APIKey); err == nil {
		keyID = key.ID()
	}
	// An address over its limit still serves keys that were proven there: others
	// may share it.
	if wait, full := g.failed.Full(address, g.policy.Limits.Refused); full && !g.at.has(place(address, keyID)) {
		return clients.Proven{}, &clients.LimitedError{Reason: LimitedAddress, RetryAfter: wait}
	}
	if keyID != "" {
		if wait, ok := g.presented.Take(keyID, g.presentedQuota(keyID)); !ok {
			return clients.Proven{}, &clients.LimitedError{Reason: LimitedKey, KeyID: keyID, RetryAfter: wait}
		}
	}
	proven, err := g.prover.Authenticate(ctx, c)
	switch {
	case errors.Is(err, clients.ErrRefused):
		g.fail(ctx)
	case err == nil && keyID != "":
		g.at.add(place(address, keyID), throttle.Quota{})
	}
	return proven, err
}

func (g *Guard) fail(ctx context.Context) {
	g.failed.Take(origin.FromContext(ctx).Bucket(), g.policy.Limits.Refused)
}

// presentedQuota is the limit for everybody, or the key's own where that is
// known to be larger.
func (g *Guard) presentedQuota(keyID string) throttle.Quota {
	if own, ok := g.proven.get(keyID); ok && own.Above(g.policy.Limits.Key) {
		return own
	}
	return g.policy.Limits.Key
}

// admit holds a proven client to its addresses and its plan, and takes away the
// audiences that the plan does not have.
func (g *Guard) admit(ctx context.Context, proven clients.Proven) (clients.Proven, error) {
	client := proven.Client
	if !allowedAt(client.AllowedAddresses, origin.FromContext(ctx)) {
		return clients.Proven{}, &clients.RefusedError{Reason: clients.ReasonAddress, ClientID: client.ID, KeyID: proven.KeyID}
	}
	plan, err := g.policy.PlanOf(client.Plan)
	if err != nil {
		return clients.Proven{}, &clients.RefusedError{Reason: clients.ReasonPlan, ClientID: client.ID, KeyID: proven.KeyID}
	}
	under := proven.KeyID
	if under == "" {
		under = client.Subject() // a client without a key is limited as a whole
	}
	if wait, ok := g.used.Take(under, plan.Limit); !ok {
		return clients.Proven{}, &clients.LimitedError{Reason: LimitedPlan, ClientID: client.ID, KeyID: proven.KeyID, RetryAfter: wait}
	}
	g.proven.add(under, plan.Limit)
	if plan.Audiences != nil {
		narrowed := *client
		narrowed.Audiences = map[string]api.Audience{}
		for name, audience := range client.Audiences {
			if plan.Allows(name) {
				narrowed.Audiences[name] = audience
			}
		}
		proven.Client = &narrowed
	}
	return proven, nil
}

// allowedAt fails closed: an address that is not certain is in no network, and
// neither is one in a network that cannot be read.
func allowedAt(networks []string, at origin.Address) bool {
	if len(networks) == 0 {
		return true
	}
	for _, text := range networks {
		network, err := netip.ParsePrefix(text)
		if err == nil && origin.Within([]netip.Prefix{network}, at.Client()) {
			return true
		}
	}
	return false
}

// place joins what cannot hold the separator.
func place(address, keyID string) string { return address + " " + keyID }

// Remembered is how many addresses with failures are known.
func (g *Guard) Remembered() int { return g.failed.Len() }
