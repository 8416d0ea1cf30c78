package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

var errRefused = errors.New("refused")

func split(token string) (input, signature string) {
	dot := strings.LastIndexByte(token, '.')
	return token[:dot], token[dot+1:]
}

// newBare is the signature check alone, with the key at hand and the standard
// library at its best: nobody can be faster. golang-jwt's Verify takes a little
// longer, because it copies the signing input and goes through big integers.
func newBare(_ context.Context, i *Issuer) (Verify, func(), error) {
	key := i.key.Public()
	return func(_ context.Context, token string) error { return checkSignature(token, key) }, func() {}, nil
}

func checkSignature(token string, key crypto.PublicKey) error {
	input, signature := split(token)
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return err
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		sum := sha256.Sum256([]byte(input))
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256([]byte(input))
		var buf [80]byte
		if len(sig) != 64 || !ecdsa.VerifyASN1(key, sum[:], appendDER(buf[:0], sig)) {
			return errRefused
		}
	case ed25519.PublicKey:
		if !ed25519.Verify(key, []byte(input), sig) {
			return errRefused
		}
	default:
		return errRefused
	}
	return nil
}

// appendDER spells an ES256 signature as crypto/ecdsa wants it.
func appendDER(b, sig []byte) []byte {
	b = append(b, 0x30, 0)
	for _, n := range [][]byte{sig[:32], sig[32:]} {
		for len(n) > 1 && n[0] == 0 {
			n = n[1:]
		}
		pad := int(n[0] >> 7)
		b = append(b, 2, byte(len(n)+pad)) //nolint:gosec // at most 32+1
		b = append(append(b, make([]byte, pad)...), n...)
	}
	b[1] = byte(len(b) - 2) //nolint:gosec // at most 2*(2+1+32)
	return b
}

// newFloor is what one writes by hand with the standard library: the signature,
// typed claims, and the four comparisons that nobody leaves out. It checks far
// less than any package below.
func newFloor(_ context.Context, i *Issuer) (Verify, func(), error) {
	key := i.key.Public()
	return func(_ context.Context, token string) error {
		var header struct {
			Alg string `json:"alg"`
			KID string `json:"kid"`
		}
		head, rest, _ := strings.Cut(token, ".")
		body, _, _ := strings.Cut(rest, ".")
		if err := decodeJSON(head, &header); err != nil {
			return err
		}
		if header.Alg != i.Alg || header.KID != keyID {
			return errRefused
		}
		if err := checkSignature(token, key); err != nil {
			return err
		}
		var c payload
		if err := decodeJSON(body, &c); err != nil {
			return err
		}
		now := time.Now().Unix()
		if c.Iss != i.Name() || !slices.Contains(c.Aud, Audience) || now >= c.Exp || now < c.Nbf {
			return errRefused
		}
		return nil
	}, func() {}, nil
}

func decodeJSON(part string, into any) error {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
