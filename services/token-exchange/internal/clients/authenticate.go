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
	memory *Memory
	hashes *keyring.Ring
	now    func() time.Time
	// outdated is told of a proven key whose hash an older hash key made.
	outdated func(keyID string, fresh keyring.Hashed)
}

// NewAuthenticator makes one.
func NewAuthenticator(finder KeyFinder, memory *Memory, hashes *keyring.Ring, now func() time.Time) *Authenticator {
	return &Authenticator{finder: finder, memory: memory, hashes: hashes, now: now, outdated: func(string, keyring.Hashed) {}}
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
// no look-up, and neither does one that is proven by what is remembered. Every
// refusal costs the same work: one look-up, one hash, one comparison in constant time.
func (a *Authenticator) Authenticate(ctx context.Context, credential Credential) (Proven, error) {
	if credential.APIKey == "" {
		return Proven{}, &RefusedError{Reason: ReasonNone}
	}
	parsed, err := api.ParseKey(credential.APIKey)
	if err != nil {
		return Proven{}, &RefusedError{Reason: ReasonMalformed}
	}
	known, epoch, ok := a.memory.find(parsed.ID())
	if ok {
		if refused, err := a.compare(known, credential); refused == nil && err == nil {
			return a.proven(known, credential), nil
		}
	}
	return a.lookUp(ctx, epoch, parsed.ID(), credential)
}

func (a *Authenticator) lookUp(ctx context.Context, epoch uint64, keyID string, credential Credential) (Proven, error) {
	key, client, err := a.finder.KeyByID(ctx, keyID)
	unknown := errors.Is(err, ErrNotFound)
	switch {
	case unknown:
		key, client = &Key{Hashed: keyring.Hashed{KeyID: a.hashes.CurrentID(), Hash: make([]byte, 32)}}, &Client{}
	case err != nil:
		return Proven{}, fmt.Errorf("look an API key up: %w", err)
	}
	f := found{key, client}
	refused, err := a.compare(f, credential)
	switch {
	case err != nil:
		return Proven{}, err
	case unknown:
		return Proven{}, &RefusedError{Reason: ReasonUnknown, KeyID: keyID}
	case refused != nil:
		return Proven{}, refused
	}
	// Only now, so that a refusal costs the same whether or not there is a client.
	if err := client.Decode(); err != nil {
		return Proven{}, err
	}
	a.memory.keep(epoch, keyID, f)
	return a.proven(f, credential), nil
}

// compare says why what was found does not prove the client, if it does not.
func (a *Authenticator) compare(f found, credential Credential) (*RefusedError, error) {
	sum, err := a.hashes.HashUnder(f.key.Hashed.KeyID, keyring.PurposeAPIKey, credential.APIKey)
	if err != nil {
		return nil, fmt.Errorf("hash an API key: %w", err)
	}
	same := hmac.Equal(sum, f.key.Hash)
	var reason string
	switch {
	case !same:
		reason = ReasonWrongSecret
	case credential.ClientID != "" && credential.ClientID != f.client.ID:
		reason = ReasonWrongClient
	case f.client.Blocked:
		reason = ReasonBlocked
	default:
		reason = f.key.State(a.now())
	}
	if reason == "" {
		return nil, nil
	}
	return &RefusedError{Reason: reason, ClientID: f.client.ID, KeyID: f.key.ID}, nil
}

func (a *Authenticator) proven(f found, credential Credential) Proven {
	if f.key.Hashed.KeyID != a.hashes.CurrentID() {
		a.outdated(f.key.ID, a.hashes.Hash(keyring.PurposeAPIKey, credential.APIKey))
	}
	return Proven{Client: f.client, KeyID: f.key.ID}
}
