package seal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/console/internal/seal"
)

func keyFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func box(t *testing.T, content, purpose string) *seal.Box {
	t.Helper()
	ring, err := seal.Load(keyFile(t, content))
	require.NoError(t, err)
	b, err := ring.For(purpose)
	require.NoError(t, err)
	return b
}

func TestBox_OpensOnlyWhatItSealed(t *testing.T) {
	t.Parallel()
	key := seal.NewKey()
	tokens := box(t, key, "tokens")
	sealed := tokens.Seal([]byte("secret"), []byte("row 1"))
	require.NotContains(t, string(sealed), "secret")

	plain, err := tokens.Open(sealed, []byte("row 1"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(plain))

	flipped := append([]byte(nil), sealed...)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another row":     func() ([]byte, error) { return tokens.Open(sealed, []byte("row 2")) },
		"another purpose": func() ([]byte, error) { return box(t, key, "cookie").Open(sealed, []byte("row 1")) },
		"another key":     func() ([]byte, error) { return box(t, seal.NewKey(), "tokens").Open(sealed, []byte("row 1")) },
		"changed":         func() ([]byte, error) { return tokens.Open(flipped, []byte("row 1")) },
		"cut":             func() ([]byte, error) { return tokens.Open(sealed[:3], []byte("row 1")) },
		"only a key ID":   func() ([]byte, error) { return tokens.Open(sealed[:4], []byte("row 1")) },
	} {
		_, err := open()
		require.ErrorIs(t, err, seal.ErrOpen, name)
	}
}

func TestBox_RotatedKeyStillOpens(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewKey(), seal.NewKey()
	sealed := box(t, older, "tokens").Seal([]byte("secret"), nil)
	both := box(t, newer+older, "tokens")
	plain, err := both.Open(sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "secret", string(plain))
	_, err = box(t, older, "tokens").Open(both.Seal([]byte("secret"), nil), nil)
	require.ErrorIs(t, err, seal.ErrOpen, "the first key seals")
}

func TestLoad_RefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\n\n", "not base64!", "c2hvcnQ=", seal.NewKey() + "c2hvcnQ="} {
		_, err := seal.Load(keyFile(t, content))
		require.Error(t, err, "%q", content)
	}
	_, err := seal.Load(filepath.Join(t.TempDir(), "absent"))
	require.Error(t, err)
}
