// Package signing owns the keys that token-exchange signs with: made by rotation,
// encrypted at rest, published before they sign and kept for verification
// afterwards, the same for every replica.
package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms that keys can be made for (RFC 7518, RFC 8037).
const (
	ES256 = "ES256"
	EdDSA = "EdDSA"
	RS256 = "RS256"
)

// Algorithms lists them; the first is the default.
var Algorithms = []string{ES256, EdDSA, RS256}

const rsaBits = 2048

func generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("signing algorithm %q is none of %q", algorithm, Algorithms)
	}
}

// JWK is a public key (RFC 7517). It has no field that could hold a private part.
type JWK struct {
	KeyType   string `json:"kty"`
	KeyID     string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
}

func publicJWK(kid, algorithm string, key crypto.PublicKey) (JWK, error) {
	jwk := JWK{KeyID: kid, Use: "sig", Algorithm: algorithm}
	encode := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 0x04 ‖ X ‖ Y
		if err != nil {
			return JWK{}, fmt.Errorf("encode a public key: %w", err)
		}
		half := (len(point) - 1) / 2
		jwk.KeyType, jwk.Curve, jwk.X, jwk.Y = "EC", "P-256", encode(point[1:1+half]), encode(point[1+half:])
	case ed25519.PublicKey:
		jwk.KeyType, jwk.Curve, jwk.X = "OKP", "Ed25519", encode(k)
	case *rsa.PublicKey:
		jwk.KeyType, jwk.N, jwk.E = "RSA", encode(k.N.Bytes()), encode(big.NewInt(int64(k.E)).Bytes())
	default:
		return JWK{}, fmt.Errorf("no JWK for a %T", key)
	}
	return jwk, nil
}

func method(algorithm string) jwt.SigningMethod {
	switch algorithm {
	case EdDSA:
		return jwt.SigningMethodEdDSA
	case RS256:
		return jwt.SigningMethodRS256
	default:
		return jwt.SigningMethodES256
	}
}
