package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

func TestParseKey_ReadsWhatGenerateKeyMakes(t *testing.T) {
	t.Parallel()
	k, err := api.GenerateKey("dev")
	require.NoError(t, err)
	parsed, err := api.ParseKey(k.Reveal())
	require.NoError(t, err)
	require.Equal(t, k, parsed)
	require.Equal(t, "dev", parsed.Environment())
	require.Len(t, parsed.ID(), 16)
}

func TestParseKey_RefusesEverySingleMistake(t *testing.T) {
	t.Parallel()
	k, err := api.GenerateKey("live")
	require.NoError(t, err)
	good := k.Reveal()
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		_, err := api.ParseKey(string(bad))
		require.ErrorIs(t, err, api.ErrMalformedKey, "position %d", i)
	}
	for _, bad := range []string{"", "short", good + "x", good + "_x", strings.ToUpper(good), " " + good, strings.Repeat("x", 64), strings.Repeat("sl_", 10_000)} {
		_, err := api.ParseKey(bad)
		require.ErrorIs(t, err, api.ErrMalformedKey)
	}
}

func TestGenerateKey_RefusesAWrongLabel(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"", "Live", "a_b", "a-b", strings.Repeat("a", 17)} {
		_, err := api.GenerateKey(label)
		require.Error(t, err, label)
	}
}

func TestKey_PrintsWithoutItsSecret(t *testing.T) {
	t.Parallel()
	k, err := api.GenerateKey("dev")
	require.NoError(t, err)
	secret := strings.Split(k.Reveal(), "_")[3]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, k), secret, verb)
		require.NotContains(t, fmt.Sprintf(verb, &k), secret, verb)
	}
}

func FuzzParseKey(f *testing.F) {
	k, err := api.GenerateKey("dev")
	require.NoError(f, err)
	f.Add(k.Reveal())
	f.Add("sl____")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := api.ParseKey(s)
		if err == nil {
			require.Equal(t, s, k.Reveal())
		}
	})
}
