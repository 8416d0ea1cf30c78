package exchange

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// Verifier verifies tokens that were issued for others.
type Verifier interface {
	VerifyFor(ctx context.Context, token string, audiences ...string) (*authn.Principal, error)
}

// Blocks knows who may get no token.
type Blocks interface {
	Blocked(ctx context.Context, userID string) (bool, error)
}

// subjects verifies subject tokens, the same way for every kind.
type subjects struct {
	issuer   string
	verifier Verifier
	fresh    func() error // an error where revocations are known too long ago
	blocks   Blocks
}

// subject is a verified user's token.
type subject struct {
	*authn.Principal
	typ    string          // header `typ`
	mayAct json.RawMessage // claim `may_act`, if there is one
}

const unacceptable = "The subject token is not acceptable."

func refuseSubject(reason string) *oauth.Error { return oauth.InvalidRequest(reason, unacceptable) }

// verify checks a token that audience may present: trusted, alive, a user's, not
// revoked as far as fresh knowledge goes, its user not blocked, and the client
// among those that may act for the user.
func (s *subjects) verify(ctx context.Context, token, audience string, client *clients.Client, attempt *audit.Attempt) (*subject, error) {
	if err := s.fresh(); err != nil {
		return nil, oauth.Unavailable("revocations_stale", err)
	}
	p, err := s.verifier.VerifyFor(ctx, token, audience)
	if err != nil {
		return nil, refusal(err)
	}
	if p.Kind() != authn.KindUser {
		return nil, refuseSubject("subject_not_a_user")
	}
	attempt.UserID = p.UserID()
	blocked, err := s.blocks.Blocked(ctx, p.UserID())
	if err != nil {
		return nil, oauth.Unavailable("blocks_unavailable", err)
	}
	if blocked {
		return nil, refuseSubject("user_blocked")
	}
	u := &subject{Principal: p}
	if err := u.read(token); err != nil {
		return nil, refuseSubject("subject_malformed").Because(err)
	}
	// Without the claim everybody may act whom the audience admits.
	if u.mayAct != nil && !mayAct(u.mayAct, client, s.issuer) {
		return nil, refuseSubject("may_act")
	}
	return u, nil
}

var subjectReasons = []struct {
	err    error
	reason string
}{
	{authn.ErrExpired, "subject_expired"}, {authn.ErrNotYetValid, "subject_not_yet_valid"}, {authn.ErrRevoked, "subject_revoked"},
	{authn.ErrAudience, "subject_audience"}, {authn.ErrUnknownIssuer, "subject_issuer"}, {authn.ErrUnknownKey, "subject_key"},
	{authn.ErrSignature, "subject_signature"}, {authn.ErrClaims, "subject_claims"}, {authn.ErrMalformed, "subject_malformed"},
}

// refusal maps the verifier's errors: RFC 8693, section 2.2.2 wants
// invalid_request for every unacceptable token.
func refusal(err error) *oauth.Error {
	if errors.Is(err, authn.ErrKeysUnavailable) {
		return oauth.Unavailable("issuer_keys_unavailable", err)
	}
	if errors.Is(err, authn.ErrStale) {
		return oauth.Unavailable("revocations_stale", err)
	}
	for _, r := range subjectReasons {
		if errors.Is(err, r.err) {
			return refuseSubject(r.reason).Because(err)
		}
	}
	return refuseSubject("subject_refused").Because(err)
}

const maxMayActSize = 1 << 10

// read takes what the Principal does not show from a token whose signature was
// verified, strictly, a moment ago.
func (u *subject) read(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a compact token")
	}
	var header struct {
		Type string `json:"typ"`
	}
	if err := decodePart(parts[0], &header); err != nil {
		return err
	}
	// Exact names: encoding/json would also take "MAY_ACT" into a struct.
	var payload map[string]json.RawMessage
	if err := decodePart(parts[1], &payload); err != nil {
		return err
	}
	u.typ, u.mayAct = header.Type, payload["may_act"]
	if len(u.mayAct) > maxMayActSize {
		return errors.New("may_act is too large")
	}
	return nil
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// basis is what every token about this user keeps.
func (u *subject) basis() *Basis {
	b := &Basis{
		Kind: authn.KindUser, UserID: u.UserID(), Subject: u.Subject(),
		TenantID: u.TenantID(), SessionID: u.SessionID(), ACR: u.ACR(),
		AuthTime: u.AuthTime(), OriginallyAt: earliest(u.OriginallyIssuedAt(), u.IssuedAt()), NotAfter: u.ExpiresAt(),
		Ancestors: append([]string{u.TokenID()}, u.Ancestors()...), MayAct: u.mayAct,
		IssuedTokenType: TypeAccessToken,
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
