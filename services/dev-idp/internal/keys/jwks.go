package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
)

// JWK is a public key. As at the original there is no `use`.
type JWK struct {
	Algorithm string `json:"alg"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Modulus   string `json:"n,omitempty"`
	Exponent  string `json:"e,omitempty"`
	KeyType   string `json:"kty"`
	KeyID     string `json:"kid"`
}

// KeySet is the body of the JWKS.
type KeySet struct {
	Keys []JWK `json:"keys"`
}

// Published returns every kept key of the mode's algorithm, the oldest first.
func (r *Ring) Published(ctx context.Context) (KeySet, error) {
	rows, err := r.pool.Query(ctx, `SELECT `+columns+` FROM signing_keys WHERE algorithm = $1 ORDER BY created_at, id`, r.algorithm)
	if err != nil {
		return KeySet{}, fmt.Errorf("list the signing keys: %w", err)
	}
	defer rows.Close()
	set := KeySet{Keys: []JWK{}}
	for rows.Next() {
		key, err := r.scan(rows)
		if err != nil {
			return KeySet{}, fmt.Errorf("read a signing key: %w", err)
		}
		set.Keys = append(set.Keys, key.public())
	}
	return set, rows.Err()
}

func (k Key) public() JWK {
	jwk := JWK{Algorithm: k.Algorithm, KeyID: k.ID}
	encode := base64.RawURLEncoding.EncodeToString
	switch public := k.Private.Public().(type) {
	case ed25519.PublicKey:
		jwk.KeyType, jwk.Curve, jwk.X = "OKP", "Ed25519", encode(public)
	case *rsa.PublicKey:
		jwk.KeyType, jwk.Modulus, jwk.Exponent = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	}
	return jwk
}
