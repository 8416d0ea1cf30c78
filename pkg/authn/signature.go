package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
)

var (
	errBadSignature    = errors.New("signature is not the key's over this token")
	errSignatureLength = errors.New("signature has the wrong length")
	errKeyType         = errors.New("key is not for this algorithm")
)

// verifySignature checks a JWS signature (RFC 7518, section 3; RFC 8037 for
// EdDSA) with the standard library. golang-jwt would do the same with twice
// the allocations: it copies the signing input and goes through big integers.
func verifySignature(alg string, key crypto.PublicKey, input string, signature []byte) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return verifyRSA(alg, k, input, signature)
	case *ecdsa.PublicKey:
		return verifyECDSA(alg, k, input, signature)
	case ed25519.PublicKey:
		if alg != "EdDSA" || len(k) != ed25519.PublicKeySize {
			return errKeyType
		}
		if !ed25519.Verify(k, []byte(input), signature) {
			return errBadSignature
		}
		return nil
	default:
		return errKeyType
	}
}

func verifyRSA(alg string, key *rsa.PublicKey, input string, signature []byte) error {
	var sum [sha512.Size]byte
	hash, digest, err := digestOf(alg, input, &sum)
	if err != nil {
		return err
	}
	switch alg[:2] {
	case "RS":
		return rsa.VerifyPKCS1v15(key, hash, digest, signature)
	case "PS":
		return rsa.VerifyPSS(key, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	default:
		return errKeyType
	}
}

func verifyECDSA(alg string, key *ecdsa.PublicKey, input string, signature []byte) error {
	var sum [sha512.Size]byte
	_, digest, err := digestOf(alg, input, &sum)
	if err != nil {
		return err
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	switch {
	case alg[:2] != "ES":
		return errKeyType
	case len(signature) != 2*size:
		return errSignatureLength
	}
	var buf [maxDERSignature]byte
	der := appendDERSignature(buf[:0], signature[:size], signature[size:])
	if !ecdsa.VerifyASN1(key, digest, der) {
		return errBadSignature
	}
	return nil
}

// digestOf hashes input as alg says; the digest lies in sum.
func digestOf(alg, input string, sum *[sha512.Size]byte) (crypto.Hash, []byte, error) {
	if len(alg) != len("RS256") {
		return 0, nil, errKeyType
	}
	switch alg[2:] {
	case "256":
		s := sha256.Sum256([]byte(input))
		return crypto.SHA256, sum[:copy(sum[:], s[:])], nil
	case "384":
		s := sha512.Sum384([]byte(input))
		return crypto.SHA384, sum[:copy(sum[:], s[:])], nil
	case "512":
		s := sha512.Sum512([]byte(input))
		return crypto.SHA512, sum[:copy(sum[:], s[:])], nil
	default:
		return 0, nil, errKeyType
	}
}

// maxDERSignature is a sequence (3 bytes) of two P-521 integers (2 + 1 + 66 each).
const maxDERSignature = 3 + 2*(2+1+66)

// appendDERSignature spells r and s, big-endian, as the SEQUENCE of two INTEGERs
// that crypto/ecdsa wants (X.690, sections 8.3 and 10.1).
func appendDERSignature(b, r, s []byte) []byte {
	r, s = trimInteger(r), trimInteger(s)
	length := integerLength(r) + integerLength(s)
	b = append(b, 0x30)
	if length >= 0x80 {
		b = append(b, 0x81)
	}
	b = append(b, byte(length)) //nolint:gosec // at most 2*(2+1+66)
	return appendInteger(appendInteger(b, r), s)
}

// trimInteger takes leading zeros away; zero itself keeps one.
func trimInteger(n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

func integerLength(n []byte) int {
	return 2 + len(n) + int(n[0]>>7)
}

func appendInteger(b, n []byte) []byte {
	b = append(b, 0x02, byte(len(n)+int(n[0]>>7))) //nolint:gosec // at most 66+1
	if n[0]>>7 == 1 {
		b = append(b, 0) // or it would be negative
	}
	return append(b, n...)
}
