// Package issued is about tokens that this service issued: whether one is alive
// (RFC 7662), and its early end (RFC 7009).
package issued

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// leeway is how long after `exp` a service may still accept a token.
const leeway = time.Minute

// Verifier verifies tokens that were issued for others.
type Verifier interface {
	VerifyFor(ctx context.Context, token string, audiences ...string) (*authn.Principal, error)
}

// Blocks knows who may get no token.
type Blocks interface {
	Blocked(ctx context.Context, userID string) (bool, error)
}

// Revoker ends tokens.
type Revoker interface {
	Revoke(ctx context.Context, kind authn.RevocationKind, id string, at, expires time.Time) error
}

// Options of New. All are required.
type Options struct {
	Issuer   string
	Self     string // the service's own audience
	Verifier Verifier
	Fresh    func() error // an error where revocations are known too long ago
	Blocks   Blocks
	Revoker  Revoker
	Now      func() time.Time
}

// Tokens answers about issued tokens.
type Tokens struct{ Options }

// New makes it.
func New(o Options) *Tokens { return &Tokens{o} }

// Claims of a token, as they were signed.
type Claims map[string]json.RawMessage

// errNotOurs: whatever it is, no live token of this service.
var errNotOurs = errors.New("not a live token of this service")

// read verifies a token of this service, whoever it is for.
func (t *Tokens) read(ctx context.Context, token string) (*authn.Principal, Claims, error) {
	claims, err := payload(token)
	if err != nil || text(claims["iss"]) != t.Issuer {
		return nil, nil, errNotOurs
	}
	// The audience is not believed yet: it only says that it does not matter here.
	p, err := t.Verifier.VerifyFor(ctx, token, texts(claims["aud"])...)
	switch {
	case errors.Is(err, authn.ErrKeysUnavailable):
		return nil, nil, oauth.Unavailable("issuer_keys_unavailable", err)
	case err != nil:
		return nil, nil, errNotOurs
	}
	return p, claims, nil
}

// Introspect returns the claims of a live token that the caller may see, or nil.
// It may see what is for it, what it fetched itself, and, with the scope for it,
// everything. The error is an *oauth.Error: the answer is not known.
func (t *Tokens) Introspect(ctx context.Context, caller *clients.Client, token string) (Claims, error) {
	p, claims, err := t.read(ctx, token)
	if errors.Is(err, errNotOurs) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !t.Now().Before(p.ExpiresAt()) {
		return nil, nil // the verifiers' leeway for other clocks is not for our own
	}
	everything := slices.Contains(caller.Audiences[t.Self].Scopes, api.IntrospectScope)
	if !p.HasAudience(caller.ID) && p.ClientID() != caller.ID && !everything {
		return nil, nil
	}
	if p.Kind() != authn.KindUser {
		return claims, nil
	}
	blocked, err := t.Blocks.Blocked(ctx, p.UserID())
	switch {
	case err != nil:
		return nil, oauth.Unavailable("blocks_unavailable", err)
	case blocked:
		return nil, nil
	}
	// A "no" is a "no" however old; a "yes" needs fresh knowledge.
	if err := t.Fresh(); err != nil {
		return nil, oauth.Unavailable("revocations_stale", err)
	}
	return claims, nil
}

// Revoke ends a token that the caller fetched, and with it everything that was
// exchanged from it. What is no live token of ours is dead already. The error is
// an *oauth.Error.
func (t *Tokens) Revoke(ctx context.Context, caller *clients.Client, token string) error {
	p, _, err := t.read(ctx, token)
	switch {
	case errors.Is(err, errNotOurs) && t.foreign(ctx, token):
		return oauth.UnsupportedTokenType("token_of_another_issuer")
	case errors.Is(err, errNotOurs):
		return nil
	case err != nil:
		return err
	case p.ClientID() != caller.ID:
		return oauth.UnauthorizedClient("token_of_another_client", "The token was not issued to this client.")
	}
	// A descendant never outlives its ancestor.
	if err := t.Revoker.Revoke(ctx, authn.RevokedToken, p.TokenID(), t.Now(), p.ExpiresAt().Add(leeway)); err != nil {
		return oauth.Unavailable("revocation_unavailable", err)
	}
	return nil
}

// foreign reports whether it is a live token of another issuer that we trust:
// only that issuer can end it.
func (t *Tokens) foreign(ctx context.Context, token string) bool {
	claims, err := payload(token)
	if err != nil || text(claims["iss"]) == t.Issuer {
		return false
	}
	_, err = t.Verifier.VerifyFor(ctx, token, texts(claims["aud"])...)
	return err == nil
}

// payload reads a token's claims without believing them.
func payload(token string) (Claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errNotOurs
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errNotOurs
	}
	var claims Claims
	if err := json.Unmarshal(raw, &claims); err != nil {
		return nil, errNotOurs
	}
	return claims, nil
}

func text(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // no text is the empty one
	return s
}

func texts(raw json.RawMessage) (list []string) {
	if json.Unmarshal(raw, &list) != nil {
		list = []string{text(raw)}
	}
	return list
}
