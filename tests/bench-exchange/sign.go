package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// signer makes JWTs with nothing between it and the standard library.
type signer struct {
	header  string
	private crypto.Signer
}

func newSigner(algorithm string) (s *signer, err error) {
	s = &signer{header: base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + algorithm + `","kid":"0123456789abcdef","typ":"at+jwt"}`))}
	switch algorithm {
	case "ES256":
		s.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
	case "RS256":
		s.private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("unknown algorithm %q", algorithm)
	}
	return s, err
}

func (s *signer) sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := s.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := s.signature([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func (s *signer) signature(input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	switch key := s.private.(type) {
	case *ecdsa.PrivateKey:
		r, v, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		v.FillBytes(out[32:])
		return out, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input), nil
	default:
		return key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
}
