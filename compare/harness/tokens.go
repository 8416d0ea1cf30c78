package harness

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// signer signs as the identity provider does, with its key: who signs in how is
// not what is compared, and a hundred thousand sign-ins would take hours.
type signer struct {
	issuer, id string
	method     jwt.SigningMethod
	key        crypto.Signer
}

func loadSigner(ctx context.Context, provider *pgxpool.Pool, issuer string) (*signer, error) {
	var id, algorithm string
	var private []byte
	err := provider.QueryRow(ctx, `SELECT id, algorithm, private_key FROM signing_keys ORDER BY created_at DESC LIMIT 1`).Scan(&id, &algorithm, &private)
	if err != nil {
		return nil, fmt.Errorf("read the provider's key: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("read the provider's key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("the provider's key does not sign")
	}
	return &signer{issuer: issuer, id: id, method: jwt.GetSigningMethod(algorithm), key: key}, nil
}

const tokenLifetime = 2 * time.Hour

// What tokens say. Staff may list what others ordered.
var (
	customer = []string{"place", "read", "cancel"}
	staff    = []string{"place", "read", "cancel", "list_any", "contact"}
)

// token of a user. named puts the profile into it, from which the shadow
// archetype fills its row; the other has no use for it. The report says so.
func (s *signer) token(userID, tenant string, permissions []string, named bool) (string, error) {
	return s.session(userID, tenant, rand.Text(), permissions, named)
}

func (s *signer) session(userID, tenant, session string, permissions []string, named bool) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": s.issuer, "sub": userID, "aud": []string{"orders", "billing"}, "client_id": "demo", "scope": "openid profile",
		"iat": now.Unix(), "exp": now.Add(tokenLifetime).Unix(), "jti": rand.Text(), "sid": session, "auth_time": now.Unix(),
		"acr": "0", "tenant_id": tenant,
		"permissions":   map[string][]string{"client_shop:order": permissions, "client_shop:invoice": {"read", "pay", "refund"}},
		"abac_required": map[string][]string{"client_shop:invoice": {"refund"}},
	}
	if named {
		claims["name"], claims["email"] = nameOf(userID), emailOf(userID)
	}
	token := jwt.NewWithClaims(s.method, claims)
	token.Header["kid"], token.Header["typ"] = s.id, "at+jwt"
	signed, err := token.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// nameOf a user until they are renamed.
func nameOf(userID string) string { return "Name of " + userID }

func emailOf(userID string) string { return userID + "@example.com" }
