package keyring_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

func ring(t *testing.T, content string) (*keyring.Ring, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return keyring.Load(path)
}

func TestLoad_RefusesAFaultyFile(t *testing.T) {
	t.Parallel()
	good := api.GenerateSecretKey("a")
	for name, content := range map[string]string{
		"empty":     "",
		"comment":   "# nothing\n",
		"no id":     ":" + good[2:],
		"short key": "a:c2hvcnQ=\n",
		"twice":     good + api.GenerateSecretKey("a"),
		"not a key": "hello\n",
	} {
		_, err := ring(t, content)
		require.Error(t, err, name)
	}
	_, err := keyring.Load(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
}

func TestSeal_OpensForTheSameKeyAndData(t *testing.T) {
	t.Parallel()
	a, b := api.GenerateSecretKey("a"), api.GenerateSecretKey("b")
	old, err := ring(t, a)
	require.NoError(t, err)
	sealed, id, err := old.Seal([]byte("private"), []byte("kid-1"))
	require.NoError(t, err)
	require.Equal(t, "a", id)
	require.NotContains(t, string(sealed), "private")

	rotated, err := ring(t, b+a)
	require.NoError(t, err)
	require.Equal(t, "b", rotated.CurrentID())
	plain, err := rotated.Open(id, sealed, []byte("kid-1"))
	require.NoError(t, err)
	require.Equal(t, "private", string(plain))

	_, err = rotated.Open(id, sealed, []byte("kid-2"))
	require.Error(t, err, "a sealed key moved to another kid")
	_, err = rotated.Open("b", sealed, []byte("kid-1"))
	require.Error(t, err)
	sealed[len(sealed)-1] ^= 1
	_, err = rotated.Open(id, sealed, []byte("kid-1"))
	require.Error(t, err)
	_, err = rotated.Open(id, sealed[:4], []byte("kid-1"))
	require.Error(t, err)

	alone, err := ring(t, b)
	require.NoError(t, err)
	_, err = alone.Open(id, sealed, []byte("kid-1"))
	require.ErrorIs(t, err, keyring.ErrUnknownKey)
}

func TestHash_SeparatesPurposesAndKeys(t *testing.T) {
	t.Parallel()
	a, b := api.GenerateSecretKey("a"), api.GenerateSecretKey("b")
	r, err := ring(t, b+"# the old one\n"+a)
	require.NoError(t, err)
	require.NotEqual(t, r.Hash(keyring.PurposeAPIKey, "x").Hash, r.Hash(keyring.PurposeUser, "x").Hash)
	all := r.Hashes(keyring.PurposeUser, "x")
	require.Len(t, all, 2)
	require.Equal(t, r.Hash(keyring.PurposeUser, "x"), all[0])
	under, err := r.HashUnder("a", keyring.PurposeUser, "x")
	require.NoError(t, err)
	require.Equal(t, keyring.Hashed{KeyID: "a", Hash: under}, all[1])
	_, err = r.HashUnder("c", keyring.PurposeUser, "x")
	require.ErrorIs(t, err, keyring.ErrUnknownKey)
}
