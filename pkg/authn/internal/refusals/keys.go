package refusals

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// keysJSON are private keys (PKCS #8) that protect nothing: they are published
// here so that every case can be signed again, byte for byte.
//
//go:embed keys.json
var keysJSON []byte

var keys = func() map[string]crypto.Signer {
	var encoded map[string][]byte
	must(json.Unmarshal(keysJSON, &encoded))
	m := make(map[string]crypto.Signer, len(encoded))
	for name, der := range encoded {
		key, err := x509.ParsePKCS8PrivateKey(der)
		must(err)
		m[name] = key.(crypto.Signer)
	}
	return m
}()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// jwk is the public half of a key as a member of a key set.
func jwk(key, kid string, members ...string) map[string]any {
	m := map[string]any{"kid": kid, "use": "sig"}
	switch pub := keys[key].Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 0x04, X, Y
		must(err)
		half := (len(point) - 1) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", pub.Curve.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(pub)
	}
	for i := 0; i < len(members); i += 2 {
		m[members[i]] = members[i+1] //nolint:gosec // names and values come in pairs
	}
	return m
}

var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// sign makes a JWS signature (RFC 7518) that is the same each time.
func sign(alg, key, input string) []byte {
	signer := keys[key]
	if alg == "EdDSA" {
		sig, err := signer.Sign(nil, []byte(input), crypto.Hash(0))
		must(err)
		return sig
	}
	hash := hashes[alg[2:]]
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	switch alg[:2] {
	case "RS":
		sig, err := rsa.SignPKCS1v15(nil, signer.(*rsa.PrivateKey), hash, digest)
		must(err)
		return sig
	case "PS":
		return signPSS(signer.(*rsa.PrivateKey), hash, digest)
	case "ES":
		r, s := signECDSA(signer.(*ecdsa.PrivateKey), hash, digest)
		return joinRS(signer.(*ecdsa.PrivateKey), r, s)
	}
	panic("no algorithm " + alg)
}

// signECDSA returns the two numbers, with the nonce of RFC 6979.
func signECDSA(key *ecdsa.PrivateKey, hash crypto.Hash, digest []byte) (r, s *big.Int) {
	der, err := key.Sign(nil, digest, hash)
	must(err)
	var sig struct{ R, S *big.Int }
	_, err = asn1.Unmarshal(der, &sig)
	must(err)
	return sig.R, sig.S
}

// joinRS writes the numbers in fixed width, as JWS wants them.
func joinRS(key *ecdsa.PrivateKey, r, s *big.Int) []byte {
	size := (key.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out
}

// signPSS is RSASSA-PSS (RFC 8017, section 9.1.1) with a salt of zeros, so that
// it is the same each time. Nothing but these cases may be signed like that.
func signPSS(key *rsa.PrivateKey, hash crypto.Hash, digest []byte) []byte {
	size, emLen := hash.Size(), (key.N.BitLen()+7)/8
	salt := make([]byte, size)
	h := hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	sum := h.Sum(nil)
	em := make([]byte, emLen)
	db := em[:emLen-size-1]
	db[len(db)-size-1] = 1
	copy(db[len(db)-size:], salt)
	mask := make([]byte, 0, len(db)+size)
	for counter := byte(0); len(mask) < len(db); counter++ {
		h.Reset()
		h.Write(sum)
		h.Write([]byte{0, 0, 0, counter})
		mask = h.Sum(mask)
	}
	for i := range db {
		db[i] ^= mask[i]
	}
	db[0] &= 0x7f // the modulus has a multiple of 8 bits
	copy(em[len(db):], sum)
	em[emLen-1] = 0xbc
	sig := new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N)
	return sig.FillBytes(make([]byte, emLen))
}
