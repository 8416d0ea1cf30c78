package clients

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// Reasons of a refusal. They go into the audit alone: a caller must not learn
// which one it was.
const (
	ReasonNone        = "no_credential"
	ReasonMalformed   = "malformed_key"
	ReasonUnknown     = "unknown_key"
	ReasonWrongSecret = "wrong_secret"
	ReasonWrongClient = "wrong_client"
	ReasonRevoked     = "key_revoked"
	ReasonExpired     = "key_expired"
	ReasonBlocked     = "client_blocked"

	// With these the key is good, and the rest is not.

	ReasonAddress = "address_not_allowed"
	ReasonPlan    = "plan_unknown"
)

// ErrRefused: the credential proves no client. The error is always a
// *RefusedError, which says why.
var ErrRefused = errors.New("client authentication failed")

// RefusedError carries the reason, and, where they are known, who tried.
type RefusedError struct{ Reason, ClientID, KeyID string }

func (e *RefusedError) Error() string { return ErrRefused.Error() + ": " + e.Reason }

// Holds reports whether whoever was refused holds the whole key all the same.
func (e *RefusedError) Holds() bool {
	switch e.Reason {
	case ReasonRevoked, ReasonExpired, ReasonBlocked, ReasonAddress, ReasonPlan:
		return true
	}
	return false
}

// Is makes it ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// LimitedError means too many attempts, whoever makes them. It is no refusal of a
// credential: nobody looked at it, or it was good.
type LimitedError struct {
	Reason, ClientID, KeyID string
	RetryAfter              time.Duration
}

func (e *LimitedError) Error() string { return "too many requests: " + e.Reason }

// ErrNotFound: there is no such client or key.
var ErrNotFound = errors.New("not found")

// KeyFinder finds a key and its client in one query, or returns ErrNotFound. The
// client's registration may still have to be decoded.
type KeyFinder interface {
	KeyByID(ctx context.Context, id string) (*Key, *Client, error)
}

// Authenticator proves clients by their API keys.
type Authenticator struct {
	finder KeyFinder
	hashes *keyring.Ring
	now    func() time.Time
	// outdated is told of a proven key whose hash an older hash key made.
	outdated func(keyID string, fresh keyring.Hashed)

	registrations registrations
}

// NewAuthenticator makes one.
func NewAuthenticator(finder KeyFinder, hashes *keyring.Ring, now func() time.Time) *Authenticator {
	return &Authenticator{finder: finder, hashes: hashes, now: now, outdated: func(string, keyring.Hashed) {}}
}

// Hashes is the ring that keys are hashed with.
func (a *Authenticator) Hashes() *keyring.Ring { return a.hashes }

// OnOutdated has fn told of every proven key whose hash is not the current hash
// key's, with the hash that should be stored. fn must return at once.
func (a *Authenticator) OnOutdated(fn func(keyID string, fresh keyring.Hashed)) { a.outdated = fn }

// Proven is a client and the key that proved it.
type Proven struct {
	Client *Client
	KeyID  string
}

// Authenticate proves the client that presents an API key. A malformed key costs
// no look-up; every other refusal costs the same work: one look-up, one hash, one
// comparison in constant time.
func (a *Authenticator) Authenticate(ctx context.Context, credential Credential) (Proven, error) {
	clientID, presented := credential.ClientID, credential.APIKey
	if presented == "" {
		return Proven{}, &RefusedError{Reason: ReasonNone}
	}
	parsed, err := api.ParseKey(presented)
	if err != nil {
		return Proven{}, &RefusedError{Reason: ReasonMalformed}
	}
	key, client, err := a.finder.KeyByID(ctx, parsed.ID())
	known := err == nil
	switch {
	case errors.Is(err, ErrNotFound):
		key, client = &Key{Hashed: keyring.Hashed{KeyID: a.hashes.CurrentID(), Hash: make([]byte, 32)}}, &Client{}
	case err != nil:
		return Proven{}, fmt.Errorf("look an API key up: %w", err)
	}
	sum, err := a.hashes.HashUnder(key.Hashed.KeyID, keyring.PurposeAPIKey, presented)
	if err != nil {
		return Proven{}, fmt.Errorf("hash an API key: %w", err)
	}
	same := hmac.Equal(sum, key.Hash)
	refused := &RefusedError{ClientID: client.ID, KeyID: key.ID}
	switch {
	case !known:
		refused.Reason, refused.KeyID = ReasonUnknown, parsed.ID()
	case !same:
		refused.Reason = ReasonWrongSecret
	case clientID != "" && clientID != client.ID:
		refused.Reason = ReasonWrongClient
	case client.Blocked:
		refused.Reason = ReasonBlocked
	default:
		refused.Reason = key.State(a.now())
	}
	if refused.Reason != "" {
		return Proven{}, refused
	}
	// Only now, so that a refusal costs the same whether or not there is a client.
	if err := a.registrations.decode(client); err != nil {
		return Proven{}, err
	}
	if key.Hashed.KeyID != a.hashes.CurrentID() {
		a.outdated(key.ID, a.hashes.Hash(keyring.PurposeAPIKey, presented))
	}
	return Proven{Client: client, KeyID: key.ID}, nil
}
