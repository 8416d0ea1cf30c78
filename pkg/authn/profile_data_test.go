package authn_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// productFile is one file of testdata/profiles: a product's tokens in full, as
// its documentation or a server shows them, and what is made of them.
type productFile struct {
	About    string          `json:"about"`
	Config   json.RawMessage `json:"config"` // an entry of `issuers`, without jwks_urls
	Audience string          `json:"audience"`
	Tokens   []struct {
		Name   string         `json:"name"`
		Typ    string         `json:"typ"`
		Claims map[string]any `json:"claims"`
		Error  string         `json:"error"`
		Expect *productCaller `json:"expect"`
	} `json:"tokens"`
}

type productCaller struct {
	Kind      string            `json:"kind"`
	UserID    string            `json:"user_id"`
	ClientID  string            `json:"client_id"`
	TenantID  string            `json:"tenant_id"`
	SessionID string            `json:"session_id"`
	TokenID   string            `json:"token_id"`
	ACR       string            `json:"acr"`
	AuthTime  int64             `json:"auth_time"`
	Scopes    []string          `json:"scopes"`
	Roles     []string          `json:"roles"`
	Can       map[string]string `json:"can"`
}

func TestProfiles_WholeTokensOfProducts(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/profiles/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 4)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var f productFile
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber() // or 1795262400 would be signed as a float
		require.NoError(t, dec.Decode(&f), path)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			t.Parallel()
			var ic authn.IssuerConfig
			require.NoError(t, yaml.Unmarshal(f.Config, &ic), "JSON is YAML")
			iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"), authntest.WithIssuer(ic.Issuer))
			ic.JWKSURLs = []string{iss.JWKSURL()}
			v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}, EntityTypes: shopTypes},
				authn.Options{Audiences: []string{f.Audience}, Now: authntest.NewClock(start).Now})
			for _, token := range f.Tokens {
				t.Run(token.Name, func(t *testing.T) {
					t.Parallel()
					p, err := v.Verify(t.Context(), iss.Sign(token.Claims, authntest.Header("typ", token.Typ)))
					if token.Expect == nil {
						require.ErrorIs(t, err, errorNames[token.Error])
						return
					}
					require.NoError(t, err)
					requireProductCaller(t, *token.Expect, p)
				})
			}
		})
	}
}

func requireProductCaller(t *testing.T, want productCaller, p *authn.Principal) {
	t.Helper()
	got := productCaller{
		Kind: p.Kind().String(), UserID: p.UserID(), ClientID: p.ClientID(), TenantID: p.TenantID(), SessionID: p.SessionID(),
		ACR: p.ACR(), Scopes: p.Scopes(), Roles: p.Roles(), Can: map[string]string{},
	}
	if want.TokenID != "" {
		got.TokenID = p.TokenID()
	}
	if !p.AuthTime().IsZero() {
		got.AuthTime = p.AuthTime().Unix()
	}
	for question := range want.Can {
		entity, permission, _ := strings.Cut(question, ":")
		got.Can[question] = p.Can(entity, "", permission).String()
	}
	if want.Can == nil {
		want.Can = map[string]string{}
	}
	require.Equal(t, slices.Sorted(maps.Keys(want.Can)), slices.Sorted(maps.Keys(got.Can)))
	require.Equal(t, want, got)
}
