package authn_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

const aud = authntest.DefaultAudience

// refetch has v fetch the key set once more, by the only way a request can:
// an unknown kid. Any token serves as its body.
func refetch(t *testing.T, v *authn.Verifier, iss *authntest.Issuer, token string) {
	t.Helper()
	before, _ := iss.Fetches()
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	var header map[string]any
	require.NoError(t, json.Unmarshal(raw, &header))
	header["kid"] = "refetch"
	raw, err = json.Marshal(header)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), b64(string(raw))+"."+parts[1]+"."+parts[2])
	require.Error(t, err)
	after, _ := iss.Fetches()
	require.Greater(t, after, before)
}

func junkKID(iss *authntest.Issuer, kid string) string {
	return iss.UserToken("alice", authntest.Header("kid", kid))
}

func TestKeys_IdPDownAtStartThenUp(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	iss.Down()
	v := iss.Verifier(t, aud)
	token := iss.UserToken("alice")
	_, err := v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrKeysUnavailable)
	require.ErrorIs(t, v.Ready(), authn.ErrKeysUnavailable)

	iss.Up()
	began := time.Now()
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Less(t, time.Since(began), 2*time.Second)
	require.NoError(t, v.Ready())
}

func TestKeys_NewDoesNotWaitForAHangingIdP(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	iss := authntest.NewIssuer(t)
	ic := iss.Config("shadowless")
	ic.JWKSURLs = []string{server.URL}
	began := time.Now()
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}})
	require.Less(t, time.Since(began), time.Second)
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrKeysUnavailable)
	require.Less(t, time.Since(began), 3*time.Second, "a request waits for a bounded time")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = v.Verify(ctx, iss.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrKeysUnavailable)
}

func TestKeys_StampedeMakesOneFetch(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	token := iss.UserToken("alice")
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			_, err := v.Verify(t.Context(), token)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n, _ := iss.Fetches()
	require.Equal(t, 1, n)
}

func TestKeys_JunkNeitherStormsNorDelaysARotation(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)

	var wg sync.WaitGroup
	began := time.Now()
	for i := range 1000 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), junkKID(iss, fmt.Sprint("junk-", i))); err == nil {
				t.Error("junk was accepted")
			}
		})
	}
	wg.Wait()
	n, _ := iss.Fetches()
	require.LessOrEqual(t, n-1, 1+int(time.Since(began)/time.Second), "at most one fetch a second")

	iss.Rotate()
	began = time.Now()
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	require.Less(t, time.Since(began), 1500*time.Millisecond, "junk delays a real key by a second at most")
}

func TestKeys_BadSignaturesCauseNoFetch(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(t, aud)
	parts := strings.Split(iss.UserToken("alice"), ".")
	for range 100 {
		_, err := v.Verify(t.Context(), parts[0]+"."+parts[1]+"."+strings.Repeat("A", 86))
		require.ErrorIs(t, err, authn.ErrSignature)
	}
	n, _ := iss.Fetches()
	require.Equal(t, 1, n)
}

func TestKeys_KnownKeyNeverWaits(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	iss.Down()
	for i := range 20 {
		_, err := v.Verify(t.Context(), iss.UserToken(fmt.Sprint("user-", i)))
		require.NoError(t, err)
	}
	n, _ := iss.Fetches()
	require.Equal(t, 1, n)
}

// Whatever the issuer serves that is no usable set, good keys stay.
func TestKeys_NothingUnusableWipesGoodKeys(t *testing.T) {
	t.Parallel()
	for name, jwks := range map[string]string{
		"empty set":       `{"keys":[]}`,
		"no keys member":  `{}`,
		"null":            `null`,
		"not JSON":        `<html>sorry</html>`,
		"empty body":      ``,
		"only bad keys":   `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"},{"kty":"RSA","kid":"b","n":"AQAB","e":"AQAB"}]}`,
		"keys is a map":   `{"keys":{}}`,
		"larger than cap": `{"keys":[],"x":"` + strings.Repeat("x", 600<<10) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			iss := authntest.NewIssuer(t)
			v := iss.Verifier(t, aud)
			token := iss.UserToken("alice")
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
			iss.ServeJWKS([]byte(jwks))
			refetch(t, v, iss, token)
			_, err = v.Verify(t.Context(), iss.UserToken("bob"))
			require.NoError(t, err)
			require.NoError(t, v.Ready())
		})
	}
}

func TestKeys_OneBadKeyDoesNotCostTheOthers(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	good := iss.SigningKey().JWK()
	bad := []any{
		nil, 7, "key", []any{}, map[string]any{},
		map[string]any{"kty": "oct", "kid": "o", "k": "AAAA"},
		map[string]any{"kty": "RSA", "kid": "small", "n": "AQAB", "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "even", "n": strings.Repeat("_", 342), "e": "Ag"},
		map[string]any{"kty": "EC", "kid": "off-curve", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
		map[string]any{"kty": "EC", "kid": "curve", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
		map[string]any{"kty": "OKP", "kid": "x25519", "crv": "X25519", "x": strings.Repeat("A", 43)},
		map[string]any{"kty": "OKP", "kid": "short", "crv": "Ed25519", "x": "AAAA"},
		map[string]any{"kty": "AKP", "kid": "future", "alg": "ML-DSA-44", "pub": "AAAA"},
		with(good, "kid", "enc", "use", "enc"), with(good, "kid", "ops", "key_ops", []string{"sign"}),
		with(good, "kid", "alg", "alg", "ES384"), with(good, "kid", "hmac", "alg", "HS256"), with(good, "kid", nil), with(good, "kid", 7),
		with(good, "kid", strings.Repeat("k", 300)),
	}
	raw, err := json.Marshal(map[string]any{"keys": append(bad, good)})
	require.NoError(t, err)
	// A duplicate member is that key's own fault too.
	raw = []byte(strings.Replace(string(raw), `{"keys":[`, `{"keys":[{"kty":"EC","kty":"RSA","kid":"twice"},`, 1))
	iss.ServeJWKS(raw)
	v := iss.Verifier(t, aud)
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	for _, kid := range []string{"enc", "ops", "alg", "hmac"} {
		_, err = v.Verify(t.Context(), junkKID(iss, kid))
		require.ErrorIs(t, err, authn.ErrUnknownKey, kid)
	}
}

// with returns a copy of a JWK with members set, or taken away by nil.
func with(jwk map[string]any, members ...any) map[string]any {
	c := make(map[string]any, len(jwk))
	maps.Copy(c, jwk)
	for i := 0; i < len(members); i += 2 {
		c[members[i].(string)] = members[i+1]
		if members[i+1] == nil {
			delete(c, members[i].(string))
		}
	}
	return c
}

func TestKeys_AlgorithmMustFitTheKey(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	// Without `alg` in the key, only the curve says that ES384 does not fit.
	raw, err := json.Marshal(map[string]any{"keys": []any{with(iss.SigningKey().JWK(), "alg", nil)}})
	require.NoError(t, err)
	iss.ServeJWKS(raw)
	ic := iss.Config("shadowless")
	ic.Algorithms = []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}})
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	for _, alg := range []string{"ES384", "RS256", "PS256", "EdDSA"} {
		_, err = v.Verify(t.Context(), iss.UserToken("alice", authntest.Header("alg", alg)))
		require.ErrorIs(t, err, authn.ErrSignature, alg)
	}
}

func TestKeys_RemovedKeyIsTrustedForABoundedTime(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	v := iss.Verifier(t, aud)
	old := iss.UserToken("alice")
	_, err := v.Verify(t.Context(), old)
	require.NoError(t, err)

	iss.Rotate()
	iss.Prune()
	_, err = v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	clock.Advance(5*time.Minute - time.Second)
	_, err = v.Verify(t.Context(), old)
	require.NoError(t, err)
	clock.Advance(time.Second)
	_, err = v.Verify(t.Context(), old)
	require.ErrorIs(t, err, authn.ErrUnknownKey, "though it was in the cache")
}

func TestKeys_ChangedKeyUnderTheSameKIDCountsAtOnce(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	token := iss.UserToken("alice")
	_, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	raw, err := json.Marshal(map[string]any{"keys": []any{authntest.NewKey(t, "ES256", "key-1").JWK()}})
	require.NoError(t, err)
	iss.ServeJWKS(raw)
	refetch(t, v, iss, token)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrSignature, "the cache forgets what the old key vouched for")
}

func TestKeys_SurviveARestartWithTheIdPDown(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	dir := filepath.Join(t.TempDir(), "keys")
	ic := iss.Config("shadowless")
	ic.Keys.MaxAge = 10 * time.Minute
	newVerifier := func() *authn.Verifier {
		return authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}},
			authn.Options{Audiences: []string{aud}, Now: clock.Now, KeyStore: authn.DirKeyStore(dir)})
	}
	token := iss.UserToken("alice")
	v := newVerifier()
	_, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		return err == nil && len(files) == 1
	}, 5*time.Second, 5*time.Millisecond)
	v.Close()

	iss.Down()
	v = newVerifier()
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err, "the stored keys serve")
	require.NoError(t, v.Ready())
	clock.Advance(10 * time.Minute)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrKeysUnavailable, "but not beyond their maximum age")
	require.Error(t, v.Ready())
	v.Close()

	v = newVerifier()
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrKeysUnavailable, "nor after another restart")
}

func TestDirKeyStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	store := authn.DirKeyStore(dir)
	_, err := store.Load(t.Context(), "https://idp.example")
	require.ErrorIs(t, err, authn.ErrNoStoredKeys)
	want := authn.StoredKeys{JWKS: []byte(`{"keys":[]}`), FetchedAt: start}
	require.NoError(t, store.Save(t.Context(), "https://idp.example", want))
	got, err := store.Load(t.Context(), "https://idp.example")
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = store.Load(t.Context(), "https://idp.example/")
	require.ErrorIs(t, err, authn.ErrNoStoredKeys)

	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1, "no temporary file stays")
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, os.WriteFile(files[0], []byte("{"), 0o600))
	_, err = store.Load(t.Context(), "https://idp.example")
	require.Error(t, err)
	require.NotErrorIs(t, err, authn.ErrNoStoredKeys)
}

func TestKeys_URLsAreTriedInOrder(t *testing.T) {
	t.Parallel()
	first, second := authntest.NewIssuer(t, authntest.WithIssuer("https://idp.example")), authntest.NewIssuer(t, authntest.WithIssuer("https://idp.example"))
	first.Down()
	ic := first.Config("shadowless")
	ic.JWKSURLs = []string{first.JWKSURL(), second.JWKSURL()}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}})
	_, err := v.Verify(t.Context(), second.UserToken("alice"))
	require.NoError(t, err)
	n, _ := first.Fetches()
	require.Equal(t, 1, n)
}

func TestKeys_RedirectsStayOnTheirHost(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, iss.JWKSURL(), http.StatusFound) })
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/jwks", http.StatusFound) })
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(iss.JWKS()) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	verify := func(path string) error {
		ic := iss.Config("shadowless")
		ic.JWKSURLs = []string{server.URL + path}
		v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}})
		_, err := v.Verify(t.Context(), iss.UserToken("alice"))
		return err
	}
	require.NoError(t, verify("/here"))
	require.ErrorIs(t, verify("/away"), authn.ErrKeysUnavailable)
	n, _ := iss.Fetches()
	require.Zero(t, n)
}

func TestVerifier_CloseKeepsKnownKeysAndRefusesUnknown(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	v.Close()
	v.Close()
	_, err = v.Verify(t.Context(), iss.UserToken("bob"))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), junkKID(iss, "junk"))
	require.ErrorIs(t, err, authn.ErrKeysUnavailable)
}

// Nobody asks: the background alone brings the keys, and drops the removed one.
func TestKeys_BackgroundRefresh(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	iss.Down()
	ic := iss.Config("shadowless")
	none := time.Duration(0)
	ic.Keys = authn.KeysConfig{Refresh: time.Second, RemovedTrust: &none}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}})
	require.Error(t, v.Ready())
	iss.Up()
	require.Eventually(t, func() bool { return v.Ready() == nil }, 10*time.Second, 10*time.Millisecond)

	old := iss.UserToken("alice")
	_, err := v.Verify(t.Context(), old)
	require.NoError(t, err)
	iss.Rotate()
	iss.Prune()
	require.Eventually(t, func() bool {
		_, err := v.Verify(t.Context(), old)
		return errors.Is(err, authn.ErrUnknownKey)
	}, 10*time.Second, 10*time.Millisecond)
}

// Stored keys serve at once, though the issuer neither answers nor refuses.
func TestKeys_StoredKeysServeWhileTheIdPHangs(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	store := authn.DirKeyStore(t.TempDir())
	require.NoError(t, store.Save(t.Context(), iss.Name(), authn.StoredKeys{JWKS: iss.JWKS(), FetchedAt: time.Now()}))
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	ic := iss.Config("shadowless")
	ic.JWKSURLs = []string{server.URL}
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{ic}}, authn.Options{Audiences: []string{aud}, KeyStore: store})
	began := time.Now()
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	require.Less(t, time.Since(began), time.Second)
}

// A broken store costs the memory of the last run, and nothing else.
func TestKeys_BrokenStoreIsNoOutage(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	for name, content := range map[string]string{
		"garbage":             "{",
		"no usable key":       `{"issuer":"` + iss.Name() + `","fetched_at":"2026-11-21T12:00:00Z","jwks":{"keys":[]}}`,
		"of another issuer":   `{"issuer":"https://other.example","jwks":{"keys":[]}}`,
		"directory is a file": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "keys")
			if content == "" {
				require.NoError(t, os.WriteFile(dir, nil, 0o600))
			} else {
				store := authn.DirKeyStore(dir)
				require.NoError(t, store.Save(t.Context(), iss.Name(), authn.StoredKeys{JWKS: []byte(`{}`)}))
				files, err := filepath.Glob(filepath.Join(dir, "*.json"))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(files[0], []byte(content), 0o600))
			}
			v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{iss.Config("shadowless")}},
				authn.Options{Audiences: []string{aud}, KeyStore: authn.DirKeyStore(dir)})
			_, err := v.Verify(t.Context(), iss.UserToken("alice"))
			require.NoError(t, err)
		})
	}
}
