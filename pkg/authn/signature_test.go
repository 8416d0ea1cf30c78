package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// keysFor makes a key for each algorithm there is.
func keysFor(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	keys := map[string]crypto.Signer{"EdDSA": ed}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		keys[alg] = rsaKey
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		keys[alg], err = ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
	}
	return keys
}

// golang-jwt signs, we verify: every algorithm, and each only with its own.
func TestVerifySignature_AgreesWithGolangJWT(t *testing.T) {
	t.Parallel()
	keys := keysFor(t)
	require.ElementsMatch(t, supportedAlgorithms, slices.Collect(func(yield func(string) bool) {
		for alg := range keys {
			if !yield(alg) {
				return
			}
		}
	}))
	for alg, key := range keys {
		for range 3 { // high and low s, leading zeros now and then
			input := rand.Text() + "." + rand.Text()
			sig, err := jwt.GetSigningMethod(alg).Sign(input, key)
			require.NoError(t, err)
			require.NoError(t, verifySignature(alg, key.Public(), input, sig), alg)
			require.Error(t, verifySignature(alg, key.Public(), input+"x", sig), alg)
			for n := 0; n < len(sig); n += len(sig) / 8 {
				spoiled := slices.Clone(sig)
				spoiled[n] ^= 1
				require.Error(t, verifySignature(alg, key.Public(), input, spoiled), "%s byte %d", alg, n)
			}
			for _, wrong := range [][]byte{nil, {}, sig[1:], sig[:len(sig)-1], append(slices.Clone(sig), 0), make([]byte, len(sig))} {
				require.Error(t, verifySignature(alg, key.Public(), input, wrong), alg)
			}
			for other := range keys {
				if other != alg {
					require.Error(t, verifySignature(other, key.Public(), input, sig), "%s as %s", alg, other)
				}
			}
		}
		require.Error(t, verifySignature(alg, nil, "a.b", []byte("x")))
		require.Error(t, verifySignature(alg, "a key", "a.b", []byte("x")))
	}
	for _, alg := range []string{"", "none", "HS256", "RS1", "RS2566", "XX256", "ES999"} {
		for _, key := range keys {
			require.Error(t, verifySignature(alg, key.Public(), "a.b", make([]byte, 64)), alg)
		}
	}
}

// (r, n−s) is as good a signature as (r, s), and about half of all are so.
func TestVerifySignature_AcceptsHighS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sig, err := jwt.SigningMethodES256.Sign("a.b", key)
	require.NoError(t, err)
	s := new(big.Int).SetBytes(sig[32:])
	new(big.Int).Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	require.NoError(t, verifySignature("ES256", &key.PublicKey, "a.b", sig))
}

func TestAppendDERSignature_IsWhatASN1Says(t *testing.T) {
	t.Parallel()
	number := func(size int) []byte {
		n := make([]byte, size)
		_, _ = rand.Read(n)
		var zeros [1]byte
		_, _ = rand.Read(zeros[:])
		clear(n[:int(zeros[0])%(size+1)])
		return n
	}
	for _, size := range []int{32, 48, 66} {
		for range 2000 {
			r, s := number(size), number(size)
			want, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
			require.NoError(t, err)
			require.Equal(t, want, appendDERSignature(nil, r, s))
			require.LessOrEqual(t, len(want), maxDERSignature)
		}
	}
}
