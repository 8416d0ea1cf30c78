package secevent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source/secevent"
)

var issuers = authn.Config{Issuers: []authn.IssuerConfig{
	{Issuer: "https://idp.example", UserNamespace: "idp|"},
	{Issuer: "https://idp.example/jwt", UsersOf: "https://idp.example"},
	{Issuer: "https://partner.example", UserNamespace: "partner|"},
}}

func load(t *testing.T, text string) ([]secevent.Transmitter, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "transmitters.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return secevent.LoadTransmitters(path, "identity-relay", issuers)
}

func TestLoadTransmitters(t *testing.T) {
	t.Parallel()
	list, err := load(t, `transmitters:
  - {issuer: https://idp.example/jwt, jwks_urls: [https://idp.example/jwks]}
  - {issuer: https://signals.example, jwks_urls: [https://signals.example/jwks], algorithms: [ES256], audience: x, users_of: https://partner.example}
`)
	require.NoError(t, err)
	require.Equal(t, "identity-relay", list[0].Audience)
	require.Equal(t, "x", list[1].Audience)
}

func TestLoadTransmitters_NamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := load(t, `transmitters:
  - {issuer: https://a.example, jwks_urls: [https://a.example/jwks]}
  - {issuer: https://idp.example, authorization_file: /nowhere}
  - {issuer: https://idp.example, users_of: https://nobody.example}
`)
	for _, fault := range []string{
		`https://a.example: users_of: "https://a.example" is no issuer of AUTHN_CONFIG_FILE`, "authorization_file", "listed twice", `"https://nobody.example"`,
	} {
		require.ErrorContains(t, err, fault)
	}
	_, err = load(t, `transmitters: []`)
	require.ErrorContains(t, err, "names none")
	_, err = load(t, `transmitters: [{issuer: https://idp.example, key: x}]`)
	require.ErrorContains(t, err, "key")
	_, err = secevent.LoadTransmitters("/nowhere", "x", issuers)
	require.ErrorIs(t, err, os.ErrNotExist)
}
