package authn_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/authn/internal/refusals"
)

//go:generate go run ./internal/refusals/generate

const refusalsDir = "testdata/refusals"

// errorNames is how the data files call the errors.
var errorNames = map[string]error{
	"malformed": authn.ErrMalformed, "unknown_issuer": authn.ErrUnknownIssuer, "unknown_key": authn.ErrUnknownKey,
	"signature": authn.ErrSignature, "expired": authn.ErrExpired, "not_yet_valid": authn.ErrNotYetValid,
	"audience": authn.ErrAudience, "claims": authn.ErrClaims,
}

// mustCover is the list of what is promised to be refused or accepted. Each has
// a case at least; this test fails if one loses its last.
var mustCover = strings.Fields(`
	alg-none alg-hs256-public-key alg-missing alg-array alg-duplicate alg-kty header-jwk header-jku header-x5u
	crit-unknown crit-malformed b64-false zip typ-wrong kid-missing
	base64-non-canonical base64-padding base64-standard-alphabet white-space newline json-serialization jwe
	signature-empty signature-zero signature-der signature-wrong-length signature-other-issuer-same-kid
	exp-missing exp-mistyped iat-missing iat-mistyped sub-missing sub-mistyped aud-missing aud-mistyped iss-missing iss-mistyped
	nbf-future nbf-mistyped iat-future claims-duplicate iss-case aud-case utf8-invalid trailing-data
	token-1mib dots-million json-deep permissions-endless cnf set
	accept-RS256 accept-RS384 accept-RS512 accept-PS256 accept-PS384 accept-PS512 accept-ES256 accept-ES384 accept-ES512 accept-EdDSA
	accept-high-s accept-low-s accept-set`)

func loadRefusals(t testing.TB) map[string]refusals.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(refusalsDir, "*.json"))
	require.NoError(t, err)
	files := make(map[string]refusals.File, len(paths))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var f refusals.File
		require.NoError(t, json.Unmarshal(data, &f), path)
		files[filepath.Base(path)] = f
	}
	return files
}

// verifierOf is a verifier as a file asks for one.
func verifierOf(t testing.TB, f refusals.File) *authn.Verifier {
	t.Helper()
	var cfg authn.Config
	for _, iss := range f.Issuers {
		raw, err := json.Marshal(iss.JWKS)
		require.NoError(t, err)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) }))
		t.Cleanup(server.Close)
		cfg.Issuers = append(cfg.Issuers, authn.IssuerConfig{
			Issuer: iss.Issuer, Profile: iss.Profile, Algorithms: iss.Algorithms, UserNamespace: iss.UserNamespace, JWKSURLs: []string{server.URL},
		})
	}
	return authntest.NewVerifier(t, cfg, authn.Options{Audiences: f.Audiences, Now: authntest.NewClock(f.Clock).Now})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for file, f := range loadRefusals(t) {
		t.Run(strings.TrimSuffix(file, ".json"), func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, f.Cases)
			v := verifierOf(t, f)
			for _, c := range f.Cases {
				t.Run(c.Name, func(t *testing.T) {
					t.Parallel()
					runCase(t, v, c)
				})
			}
		})
	}
}

func runCase(t *testing.T, v *authn.Verifier, c refusals.Case) {
	t.Helper()
	token := c.Token.String()
	var p *authn.Principal
	var err error
	if c.Kind == "set" {
		_, err = v.VerifySET(t.Context(), token)
	} else {
		p, err = v.Verify(t.Context(), token)
	}
	if c.Expect == refusals.Accept {
		require.NoError(t, err)
		if c.Caller != nil {
			got := refusals.Caller{Kind: p.Kind().String(), Subject: p.Subject(), UserID: p.UserID(), ClientID: p.ClientID()}
			require.Equal(t, *c.Caller, got)
		}
		return
	}
	want, known := errorNames[c.Expect]
	require.True(t, known, c.Expect)
	require.ErrorIs(t, err, want)
	require.Nil(t, p)
	require.NotEqual(t, "Something went wrong.", authn.PublicMessage(err))
	if len(token) > 20 {
		require.NotContains(t, err.Error(), token)
	}
	// Once more: a refusal is not remembered as anything else.
	if c.Kind == "" {
		_, again := v.Verify(t.Context(), token)
		require.ErrorIs(t, again, want)
	}
}

func TestRefusals_CoverTheWholeList(t *testing.T) {
	t.Parallel()
	covered := map[string]int{}
	names := map[string]bool{}
	for file, f := range loadRefusals(t) {
		for _, c := range f.Cases {
			require.False(t, names[file+c.Name], "%s: two cases called %q", file, c.Name)
			names[file+c.Name] = true
			for _, item := range c.Covers {
				require.Contains(t, mustCover, item, "%s: %s", file, c.Name)
				require.Equal(t, strings.HasPrefix(item, "accept-"), c.Expect == refusals.Accept, c.Name)
				covered[item]++
			}
		}
	}
	for _, item := range mustCover {
		require.Positive(t, covered[item], "no case covers %s", item)
	}
	require.Greater(t, len(names), 250)
}

// The files are what the generator makes. After a change of a case:
// go generate ./...
func TestRefusals_FilesAreGenerated(t *testing.T) {
	t.Parallel()
	want := refusals.Files()
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(refusalsDir, name))
		require.NoError(t, err)
		require.Equal(t, string(content), string(got), name)
	}
	have, err := filepath.Glob(filepath.Join(refusalsDir, "*.json"))
	require.NoError(t, err)
	require.Len(t, have, len(want))
	require.True(t, slices.ContainsFunc(have, func(s string) bool { return strings.HasSuffix(s, "accept.json") }))
}
