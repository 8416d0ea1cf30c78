// Package bench holds authn's benchmarks beside those of the packages that a
// team would otherwise pick. It is a module of its own, so that who imports
// authn does not get the peers' dependencies.
package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms are what is measured.
func Algorithms() []string { return []string{"RS256", "ES256", "EdDSA"} }

const (
	// Audience of every token.
	Audience = "orders"
	keyID    = "key-2026-11"
)

// Issuer signs tokens and serves its key set on this machine.
type Issuer struct {
	Alg    string
	method jwt.SigningMethod
	key    crypto.Signer
	server *httptest.Server
}

// NewIssuer starts an issuer; Close stops it.
func NewIssuer(alg string) (*Issuer, error) {
	i := &Issuer{Alg: alg, method: jwt.GetSigningMethod(alg)}
	var err error
	switch alg {
	case "RS256":
		i.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, i.key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = errors.New("not measured here")
	}
	if err != nil {
		return nil, fmt.Errorf("key for %s: %w", alg, err)
	}
	set, err := i.JWKS()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(set)
	})
	i.server = httptest.NewServer(mux)
	return i, nil
}

// Close stops serving keys.
func (i *Issuer) Close() { i.server.Close() }

// Name is the tokens' `iss`.
func (i *Issuer) Name() string { return i.server.URL + "/" }

// JWKSURL is where the key set is.
func (i *Issuer) JWKSURL() string { return i.server.URL + "/jwks.json" }

// JWKS is the key set.
func (i *Issuer) JWKS() ([]byte, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{"kid": keyID, "alg": i.Alg, "use": "sig"}
	switch pub := i.key.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 0x04, X, Y
		if err != nil {
			return nil, fmt.Errorf("encode key: %w", err)
		}
		half := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64(pub)
	}
	return json.Marshal(map[string]any{"keys": []any{jwk}})
}

// payload has the claims of an access token of about 1 KB, in the order in
// which issuers commonly write them.
type payload struct {
	Iss          string              `json:"iss"`
	Aud          []string            `json:"aud"`
	Sub          string              `json:"sub"`
	Iat          int64               `json:"iat"`
	Exp          int64               `json:"exp"`
	Nbf          int64               `json:"nbf"`
	Jti          string              `json:"jti"`
	Sid          string              `json:"sid"`
	Scope        string              `json:"scope"`
	Azp          string              `json:"azp"`
	Email        string              `json:"email"`
	Permissions  map[string][]string `json:"permissions"`
	ABACRequired map[string][]string `json:"abac_required"`
}

// Tokens signs n tokens of different users, sessions and IDs, alive for an hour.
func (i *Issuer) Tokens(n int) ([]string, error) {
	now := time.Now().Unix()
	tokens := make([]string, n)
	for k := range tokens {
		body, err := json.Marshal(payload{
			Iss: i.Name(), Aud: []string{Audience, "billing"}, Sub: "01J9ZQ" + rand.Text()[:20],
			Iat: now, Exp: now + 3600, Nbf: now, Jti: rand.Text() + rand.Text()[:10], Sid: rand.Text() + rand.Text()[:10],
			Scope: "openid profile email offline_access", Azp: "shop-web-frontend", Email: "someone@example.com",
			Permissions: map[string][]string{
				"client_shop:order":   {"place", "read", "cancel"},
				"client_shop:invoice": {"read", "pay", "refund"},
				"client_shop:parcel":  {"read", "track", "return"},
			},
			ABACRequired: map[string][]string{"client_shop:invoice": {"refund"}},
		})
		if err != nil {
			return nil, fmt.Errorf("encode claims: %w", err)
		}
		if tokens[k], err = i.sign(body); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (i *Issuer) sign(body []byte) (string, error) {
	header := fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, i.Alg, keyID)
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64(body)
	sig, err := i.method.Sign(input, i.key)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return input + "." + b64(sig), nil
}
