package authn

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxJWKSBytes caps a key set. Entra ID's, the largest known, is about 30 KB.
const maxJWKSBytes = 512 << 10

// maxJWKSKeys caps how many keys of a set are looked at.
const maxJWKSKeys = 256

const (
	minRSABits = 2048
	maxRSABits = 8192 // above, a verification costs milliseconds
)

// publicJWK is the public part of a JWK (RFC 7517); private members that an
// issuer publishes by mistake are never read.
type publicJWK struct {
	KTY    string   `json:"kty"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	KID    string   `json:"kid"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	N      string   `json:"n"`
	E      string   `json:"e"`
}

// parseJWKS returns the usable keys of a set and why the others are not. One
// bad key does not cost the others.
func parseJWKS(data []byte) (keys []jwkset.JWK, skipped []error, err error) {
	if len(data) > maxJWKSBytes {
		return nil, nil, fmt.Errorf("key set is larger than %d bytes", maxJWKSBytes)
	}
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	// Only the outer shape here: a duplicate name inside one key is that key's
	// fault, found below.
	if err := json.Unmarshal(data, &set, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, nil, fmt.Errorf("decode key set: %w", err)
	}
	if len(set.Keys) > maxJWKSKeys {
		skipped = append(skipped, fmt.Errorf("%d keys beyond the first %d", len(set.Keys)-maxJWKSKeys, maxJWKSKeys))
		set.Keys = set.Keys[:maxJWKSKeys]
	}
	seen := make(map[string]bool, len(set.Keys))
	for i, raw := range set.Keys {
		jwk, err := parseJWK(raw)
		if err == nil && seen[jwk.Marshal().KID] {
			err = errors.New("kid: used by an earlier key of the set")
		}
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		seen[jwk.Marshal().KID] = true
		keys = append(keys, jwk)
	}
	return keys, skipped, nil
}

func parseJWK(raw jsontext.Value) (jwkset.JWK, error) {
	var k publicJWK
	if err := json.Unmarshal(raw, &k); err != nil {
		return jwkset.JWK{}, fmt.Errorf("decode: %w", err)
	}
	switch {
	case k.KID == "" || len(k.KID) > maxKIDBytes:
		return jwkset.JWK{}, fmt.Errorf("kid: must be 1 to %d bytes", maxKIDBytes)
	case k.KTY != "RSA" && k.KTY != "EC" && k.KTY != "OKP":
		return jwkset.JWK{}, errors.New("kty: not a public signature key")
	case k.Use != "" && k.Use != "sig":
		return jwkset.JWK{}, errors.New("use: not for signatures")
	case len(k.KeyOps) > 0 && !slices.Contains(k.KeyOps, "verify"):
		return jwkset.JWK{}, errors.New("key_ops: not for verification")
	case k.Alg != "" && signingMethod(k.Alg) == nil:
		return jwkset.JWK{}, errors.New("alg: not a supported signature algorithm")
	}
	jwk, err := newJWK(k)
	if err != nil {
		return jwkset.JWK{}, err
	}
	if k.Alg != "" && !keyFits(k.Alg, jwk.Key()) {
		return jwkset.JWK{}, errors.New("alg: does not fit the key")
	}
	return jwk, checkKey(jwk.Key())
}

// newJWK builds the key. jwkset may meet numbers it was not made for, and a
// panic over one key must not cost the others.
func newJWK(k publicJWK) (jwk jwkset.JWK, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("build key: %v", r)
		}
	}()
	return jwkset.NewJWKFromMarshal(jwkset.JWKMarshal{
		KTY: jwkset.KTY(k.KTY), USE: jwkset.USE(k.Use), ALG: jwkset.ALG(k.Alg), KID: k.KID,
		CRV: jwkset.CRV(k.Crv), X: k.X, Y: k.Y, N: k.N, E: k.E,
	}, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
}

func checkKey(key crypto.PublicKey) error {
	rsaKey, ok := key.(*rsa.PublicKey)
	if !ok {
		for _, alg := range supportedAlgorithms {
			if keyFits(alg, key) {
				return nil
			}
		}
		return errors.New("crv: no signature algorithm for this curve")
	}
	switch bits := rsaKey.N.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return fmt.Errorf("n: %d bits, must be %d to %d", bits, minRSABits, maxRSABits)
	case rsaKey.E < 3 || rsaKey.E&1 == 0 || rsaKey.E > 1<<31-1:
		return errors.New("e: must be odd and from 3 to 2^31-1")
	}
	return nil
}

// sameKey reports whether two JWKs are one key under one name.
func sameKey(a, b jwkset.JWK) bool {
	x, y := a.Marshal(), b.Marshal()
	return x.KID == y.KID && x.ALG == y.ALG && x.KTY == y.KTY && x.CRV == y.CRV &&
		x.X == y.X && x.Y == y.Y && x.N == y.N && x.E == y.E
}
