package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// Patient is the client that the doctor registers for its probes. It may call
// token-exchange, with no scope, and is left blocked.
const Patient = "doctor-patient"

const (
	audience = "token-exchange"
	// keyLife is how long the key lives that is to expire.
	keyLife = time.Second
	// settle is how long a block may take to reach every replica's list of
	// revocations.
	settle = 15 * time.Second
)

// patient is registered anew for each examination.
type patient struct {
	id                     string
	good, revoked, expired string // API keys
	token                  string // got before the block
	expires                time.Time
}

// admit registers the patient and has its keys made.
func (t Target) admit(ctx context.Context, m metadata) (p patient, err error) {
	p.id = Patient
	if _, err = t.Admin.DeclareClient(ctx, api.ClientSpec{
		ID: p.id, Name: "Probes of shadowless doctor", Audiences: map[string]api.Audience{audience: {}},
	}); err != nil {
		return p, fmt.Errorf("%w: register %s: %w", errSetUp, p.id, err)
	}
	if err = t.setBlocked(ctx, p.id, false); err != nil {
		return p, err
	}
	good, err := t.newKey(ctx, p.id, api.NewKey{})
	if err != nil {
		return p, err
	}
	p.good = good.Secret
	p.expires = time.Now().Add(keyLife)
	expired, err := t.newKey(ctx, p.id, api.NewKey{ExpiresAt: &p.expires})
	if err != nil {
		return p, err
	}
	p.expired = expired.Secret
	revoked, err := t.newKey(ctx, p.id, api.NewKey{})
	if err != nil {
		return p, err
	}
	p.revoked = revoked.Secret
	if err = t.Admin.RevokeKey(ctx, p.id, revoked.ID); err != nil {
		return p, fmt.Errorf("%w: revoke a key: %w", errSetUp, err)
	}
	p.token, err = t.token(ctx, m.TokenEndpoint, p.id, p.good, audience)
	return p, err
}

func (t Target) newKey(ctx context.Context, id string, want api.NewKey) (api.IssuedKey, error) {
	key, err := t.Admin.CreateKey(ctx, id, want)
	if err != nil {
		return key, fmt.Errorf("%w: make a key: %w", errSetUp, err)
	}
	return key, nil
}

// discharge revokes what the patient was given and leaves it blocked.
func (t Target) discharge(ctx context.Context, p patient) error {
	for _, key := range []string{p.good, p.revoked, p.expired} {
		parsed, err := api.ParseKey(key)
		if err != nil {
			continue // it was never made
		}
		if err := t.Admin.RevokeKey(ctx, p.id, parsed.ID()); err != nil {
			return fmt.Errorf("revoke a key of %s: %w", p.id, err)
		}
	}
	return t.setBlocked(ctx, p.id, true)
}

func (t Target) setBlocked(ctx context.Context, id string, blocked bool) error {
	reason := ""
	if blocked {
		reason = "for the probes of shadowless doctor"
	}
	if _, err := t.Admin.ChangeClient(ctx, id, api.ClientPatch{Blocked: &blocked, BlockReason: &reason}); err != nil {
		return fmt.Errorf("%w: block or unblock %s: %w", errSetUp, id, err)
	}
	return nil
}

// wrongSecret has a key's ID and a checksum that is right: only the hash tells.
func wrongSecret(key string) (string, error) {
	parsed, err := api.ParseKey(key)
	if err != nil {
		return "", fmt.Errorf("%w: the operator's API key is malformed", errSetUp)
	}
	return parsed.OtherSecret().Reveal(), nil
}

// expiry of a token, unverified: it only says how long to wait.
func expiry(token string) (time.Time, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, fmt.Errorf("%w: the token is no JWT", errSetUp)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", errSetUp, err)
	}
	var claims struct {
		ExpiresAt int64 `json:"exp"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", errSetUp, err)
	}
	return time.Unix(claims.ExpiresAt, 0), nil
}

// until waits, and ends early with its context.
func until(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
