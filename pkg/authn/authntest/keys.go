package authntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// Key is a signing key of an Issuer.
type Key struct {
	// ID is the `kid`.
	ID string
	// Alg is the one algorithm that the key is for.
	Alg string
	// Private is the key itself.
	Private crypto.Signer
}

// NewKey makes a key for one of the algorithms that WithAlgorithm lists.
func NewKey(t testing.TB, alg, id string) Key {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("authntest: no keys for algorithm %q", alg)
	}
	if err != nil {
		t.Fatalf("authntest: generate key: %v", err)
	}
	return Key{ID: id, Alg: alg, Private: private}
}

func (k Key) method() jwt.SigningMethod { return jwt.GetSigningMethod(k.Alg) }

// JWK is the public key as a member of a key set.
func (k Key) JWK() map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{"kid": k.ID, "alg": k.Alg, "use": "sig"}
	switch pub := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 0x04, X, Y
		if err != nil {
			panic(err) // a key that was just generated is on its curve
		}
		half := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"] = "EC", pub.Curve.Params().Name
		jwk["x"], jwk["y"] = b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64(pub)
	}
	return jwk
}
