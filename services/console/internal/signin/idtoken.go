package signin

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/shadowless/shadowless/pkg/authn"
)

// IDTokenConfig is the configuration for verifying the issuer's id_tokens: the
// same keys, algorithms and quirks as for its access tokens, but the header type
// of an id_token, which access tokens may not have. It names this issuer alone.
func IDTokenConfig(cfg authn.Config, issuer string) (authn.Config, error) {
	for _, ic := range cfg.Issuers {
		if ic.Issuer != issuer {
			continue
		}
		ic.Types = []string{"", "JWT"}
		if ic.Profile == "keycloak" {
			ic.Profile = "oidc" // Keycloak's profile wants the `typ` claim of access tokens
		}
		ic.UserEvidence = authn.EvidenceNone // an id_token is about a user; Entra ID's have no scopes
		ic.UsersOf = ""
		return authn.Config{Issuers: []authn.IssuerConfig{ic}, Cache: authn.CacheConfig{Entries: -1}}, nil
	}
	return authn.Config{}, fmt.Errorf("AUTHN_CONFIG_FILE has no issuer %q (CONSOLE_ISSUER)", issuer)
}

// verifyIDToken is OpenID Connect Core, section 3.1.3.7.
func (f *Flow) verifyIDToken(ctx context.Context, token, nonce string) (*authn.Principal, error) {
	p, err := f.cfg.IDTokens.VerifyFor(ctx, token, f.cfg.ClientID)
	if err != nil {
		return nil, fmt.Errorf("id_token: %w", err)
	}
	switch {
	case p.Issuer() != f.cfg.Issuer:
		return nil, fmt.Errorf("%w: id_token of another issuer", ErrToken)
	case p.Kind() != authn.KindUser:
		return nil, fmt.Errorf("%w: id_token is not about a user", ErrToken)
	case len(p.Audiences()) > 1 && p.ClientID() != f.cfg.ClientID:
		return nil, fmt.Errorf("%w: id_token was made for another client", ErrToken)
	}
	sent, err := nonceOf(token)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(sent), []byte(nonce)) != 1 {
		return nil, fmt.Errorf("%w: id_token has another nonce", ErrToken)
	}
	return p, nil
}

// nonceOf reads the one claim that a Principal does not have. The token MUST be
// verified already.
func nonceOf(verified string) (string, error) {
	parts := strings.Split(verified, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("%w: id_token is no compact JWS", ErrToken)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("%w: id_token payload", ErrToken)
	}
	var claims struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("%w: id_token payload", ErrToken)
	}
	return claims.Nonce, nil
}
