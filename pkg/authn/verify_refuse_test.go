package authn_test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge signs raw header and payload bytes with the issuer's real key, so that
// only what is tested can be the reason of a refusal.
func forge(t *testing.T, iss *authntest.Issuer, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	k := iss.SigningKey()
	sig, err := jwt.GetSigningMethod(k.Alg).Sign(input, k.Private)
	require.NoError(t, err)
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestVerify_Refuses(t *testing.T) {
	t.Parallel()
	clock := authntest.NewClock(start)
	iss := authntest.NewIssuer(t, authntest.WithClock(clock))
	other := authntest.NewIssuer(t, authntest.WithClock(clock)) // also has a key named key-1
	rsaIssuer := authntest.NewIssuer(t, authntest.WithClock(clock), authntest.WithAlgorithm("RS256"))
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{
		withNamespace(iss.Config("shadowless"), "a|"),
		withNamespace(rsaIssuer.Config("shadowless"), "b|"),
	}}, authn.Options{Audiences: []string{"orders"}, Now: clock.Now})
	now := start.Unix()

	honest := func(opts ...authntest.TokenOption) string {
		return iss.UserToken("alice", append([]authntest.TokenOption{authntest.Audience("orders")}, opts...)...)
	}
	const header = `{"alg":"ES256","kid":"key-1","typ":"at+jwt"}`
	payload := func(format string, args ...any) string {
		return fmt.Sprintf(`{"iss":%q,"sub":"alice","aud":"orders","exp":%d,"iat":%d,"kind":"user"`, iss.Name(), now+60, now) +
			fmt.Sprintf(format, args...) + `}`
	}
	_, err := v.Verify(t.Context(), forge(t, iss, header, payload("")))
	require.NoError(t, err, "the frame that the cases below spoil is itself acceptable")
	parts := strings.Split(honest(), ".")
	claim := func(name string, value any) string { return honest(authntest.Claim(name, value)) }
	head := func(h string) string { return forge(t, iss, h, payload("")) }

	cases := map[string]struct {
		token string
		want  error
	}{
		// form
		"empty":                       {"", authn.ErrMalformed},
		"one part":                    {parts[0], authn.ErrMalformed},
		"two parts":                   {parts[0] + "." + parts[1], authn.ErrMalformed},
		"four parts":                  {honest() + ".AAAA", authn.ErrMalformed},
		"five parts, as a JWE":        {honest() + ".AAAA.AAAA", authn.ErrMalformed},
		"a million dots":              {strings.Repeat(".", 1<<20), authn.ErrMalformed},
		"one mebibyte":                {parts[0] + "." + strings.Repeat("A", 1<<20) + "." + parts[2], authn.ErrMalformed},
		"JSON serialization":          {`{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, authn.ErrMalformed},
		"padding":                     {honest() + "=", authn.ErrMalformed},
		"standard alphabet":           {parts[0] + "." + parts[1] + ".+/" + parts[2][2:], authn.ErrMalformed},
		"trailing newline":            {honest() + "\n", authn.ErrMalformed},
		"newline inside":              {parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2], authn.ErrMalformed},
		"leading space":               {" " + honest(), authn.ErrMalformed},
		"non-canonical last bits":     {nonCanonical(t, honest()), authn.ErrMalformed},
		"100000 deep JSON":            {forge(t, iss, header, payload(`,"x":%s`, strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000))), authn.ErrMalformed},
		"header is an array":          {head(`[]`), authn.ErrMalformed},
		"header with trailing data":   {head(header + `{}`), authn.ErrMalformed},
		"header with invalid UTF-8":   {head("{\"alg\":\"ES256\",\"kid\":\"key-1\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}"), authn.ErrMalformed},
		"payload is an array":         {forge(t, iss, header, `[]`), authn.ErrMalformed},
		"payload is no JSON":          {forge(t, iss, header, `nothing`), authn.ErrMalformed},
		"payload with trailing data":  {forge(t, iss, header, payload("")+`{}`), authn.ErrClaims},
		"payload with invalid UTF-8":  {forge(t, iss, header, payload(",\"x\":\"\xff\"")), authn.ErrClaims},
		"payload with duplicate name": {forge(t, iss, header, payload(`,"x":1,"x":2`)), authn.ErrClaims},
		"payload with deep duplicate": {forge(t, iss, header, payload(`,"x":{"y":[{"a":1,"a":2}]}`)), authn.ErrClaims},
		"duplicate iss":               {forge(t, iss, header, payload(`,"iss":"https://evil.example"`)), authn.ErrClaims},

		// header
		"alg none":                  {b64(`{"alg":"none","kid":"key-1","typ":"at+jwt"}`) + "." + parts[1] + ".AAAA", authn.ErrMalformed},
		"alg none, no signature":    {b64(`{"alg":"none","kid":"key-1","typ":"at+jwt"}`) + "." + parts[1] + ".", authn.ErrMalformed},
		"alg nOnE":                  {head(`{"alg":"nOnE","kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"alg es256":                 {head(`{"alg":"es256","kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"alg missing":               {head(`{"kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"alg null":                  {head(`{"alg":null,"kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"alg array":                 {head(`{"alg":["ES256"],"kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"alg twice":                 {head(`{"alg":"ES256","alg":"ES256","kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"ALG in capitals":           {head(`{"ALG":"ES256","kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"alg not the issuer's":      {head(`{"alg":"RS256","kid":"key-1","typ":"at+jwt"}`), authn.ErrMalformed},
		"HS256 keyed by public key": {hs256(t, rsaIssuer), authn.ErrMalformed},
		"no kid":                    {honest(authntest.Header("kid", nil)), authn.ErrMalformed},
		"empty kid":                 {honest(authntest.Header("kid", "")), authn.ErrMalformed},
		"kid is a number":           {honest(authntest.Header("kid", 1)), authn.ErrMalformed},
		"long kid":                  {honest(authntest.Header("kid", strings.Repeat("k", 256))), authn.ErrMalformed},
		"unknown kid":               {honest(authntest.Header("kid", "junk")), authn.ErrUnknownKey},
		"no typ":                    {honest(authntest.Header("typ", nil)), authn.ErrMalformed},
		"typ of an ID token":        {honest(authntest.Header("typ", "JWT")), authn.ErrMalformed},
		"unknown crit":              {honest(authntest.Header("crit", []string{"exp"})), authn.ErrMalformed},
		"empty crit":                {honest(authntest.Header("crit", []string{})), authn.ErrMalformed},
		"crit is a string":          {honest(authntest.Header("crit", "b64")), authn.ErrMalformed},
		"b64 false":                 {honest(authntest.Header("b64", false)), authn.ErrMalformed},
		"zip":                       {honest(authntest.Header("zip", "DEF")), authn.ErrMalformed},
		"embedded jwk":              {honest(authntest.Header("jwk", iss.SigningKey().JWK())), authn.ErrMalformed},
		"jku":                       {honest(authntest.Header("jku", other.JWKSURL())), authn.ErrMalformed},
		"x5u":                       {honest(authntest.Header("x5u", other.JWKSURL())), authn.ErrMalformed},
		"x5c":                       {honest(authntest.Header("x5c", []string{"AAAA"})), authn.ErrMalformed},

		// issuer
		"no iss":                   {claim("iss", nil), authn.ErrClaims},
		"iss is a number":          {claim("iss", 1), authn.ErrClaims},
		"unknown iss":              {claim("iss", "https://evil.example"), authn.ErrUnknownIssuer},
		"iss with a slash more":    {claim("iss", iss.Name()+"/"), authn.ErrUnknownIssuer},
		"ISS in capitals":          {forge(t, iss, header, fmt.Sprintf(`{"ISS":%q,"sub":"alice","aud":"orders","exp":%d,"iat":%d,"kind":"user"}`, iss.Name(), now+60, now)), authn.ErrClaims},
		"key of an unknown issuer": {honest(authntest.SignedBy(other.SigningKey())), authn.ErrSignature},
		"key of another issuer":    {rsaIssuer.UserToken("alice", authntest.Audience("orders"), authntest.Claim("iss", iss.Name())), authn.ErrMalformed},

		// signature
		"signature empty":      {parts[0] + "." + parts[1] + ".", authn.ErrMalformed},
		"signature zero":       {parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), authn.ErrSignature},
		"signature short":      {parts[0] + "." + parts[1] + ".AAAA", authn.ErrSignature},
		"signature long":       {parts[0] + "." + parts[1] + "." + parts[2] + "AAAA", authn.ErrSignature},
		"signature DER":        {der(t, honest()), authn.ErrSignature},
		"signature of another": {parts[0] + "." + strings.Split(honest(authntest.Claim("sub", "bob")), ".")[1] + "." + parts[2], authn.ErrSignature},
		"signature very long":  {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 8000), authn.ErrMalformed},
		"alg beyond the list":  {honest(authntest.Header("alg", "ES384")), authn.ErrMalformed},

		// claims
		"no sub":                  {claim("sub", nil), authn.ErrClaims},
		"empty sub":               {claim("sub", ""), authn.ErrClaims},
		"sub is a number":         {claim("sub", 7), authn.ErrClaims},
		"sub too long":            {claim("sub", strings.Repeat("x", 256)), authn.ErrClaims},
		"sub with NUL":            {claim("sub", "a\x00b"), authn.ErrClaims},
		"sub with newline":        {claim("sub", "a\nb"), authn.ErrClaims},
		"sub with C1 control":     {claim("sub", "a\u0085b"), authn.ErrClaims},
		"user with service sub":   {claim("sub", "client:orders"), authn.ErrClaims},
		"user with API key sub":   {claim("sub", "apikey:1"), authn.ErrClaims},
		"no exp":                  {claim("exp", nil), authn.ErrClaims},
		"exp null":                {forge(t, iss, header, strings.Replace(payload(""), fmt.Sprintf(`"exp":%d`, now+60), `"exp":null`, 1)), authn.ErrClaims},
		"exp is a string":         {claim("exp", strconv.FormatInt(now+60, 10)), authn.ErrClaims},
		"exp negative":            {claim("exp", -1), authn.ErrClaims},
		"exp beyond numbers":      {forge(t, iss, header, strings.Replace(payload(""), fmt.Sprintf(`"exp":%d`, now+60), `"exp":1e400`, 1)), authn.ErrClaims},
		"exp past":                {claim("exp", now-31), authn.ErrExpired},
		"no iat":                  {claim("iat", nil), authn.ErrClaims},
		"iat in milliseconds":     {claim("iat", now*1000), authn.ErrNotYetValid},
		"iat future":              {claim("iat", now+31), authn.ErrNotYetValid},
		"nbf future":              {claim("nbf", now+31), authn.ErrNotYetValid},
		"nbf is a string":         {claim("nbf", "1"), authn.ErrClaims},
		"orig_iat future":         {claim("orig_iat", now+31), authn.ErrClaims},
		"no aud":                  {claim("aud", nil), authn.ErrClaims},
		"empty aud":               {claim("aud", []string{}), authn.ErrClaims},
		"aud with empty string":   {claim("aud", []string{"orders", ""}), authn.ErrClaims},
		"aud is a number":         {claim("aud", 1), authn.ErrClaims},
		"aud with a number":       {claim("aud", []any{"orders", 1}), authn.ErrClaims},
		"AUD in capitals":         {forge(t, iss, header, strings.Replace(payload(""), `"aud"`, `"AUD"`, 1)), authn.ErrClaims},
		"another audience":        {claim("aud", "billing"), authn.ErrAudience},
		"audience in capitals":    {claim("aud", "ORDERS"), authn.ErrAudience},
		"cnf":                     {claim("cnf", map[string]any{"jkt": "x"}), authn.ErrClaims},
		"no kind":                 {claim("kind", nil), authn.ErrClaims},
		"unknown kind":            {claim("kind", "admin"), authn.ErrClaims},
		"service with user's sub": {claim("kind", "service"), authn.ErrClaims},
		"service of another sub":  {iss.ServiceToken("billing", authntest.Audience("orders"), authntest.Claim("client_id", "orders")), authn.ErrClaims},
		"jti with newline":        {claim("jti", "a\nb"), authn.ErrClaims},
		"jti is a number":         {claim("jti", 1), authn.ErrClaims},
		"permissions is a list":   {claim("permissions", []string{"read"}), authn.ErrClaims},
		"permissions of numbers":  {claim("permissions", map[string]any{"order": []int{1}}), authn.ErrClaims},
		"act is a string":         {claim("act", "client:orders"), authn.ErrClaims},
		"act without sub":         {claim("act", map[string]any{"client_id": "orders"}), authn.ErrClaims},
		"act too deep":            {honest(authntest.ActedBy("a", "b", "c", "d", "e", "f", "g", "h", "i")), authn.ErrClaims},
		"too many ancestors":      {claim("ancestors", []string{"1", "2", "3", "4"}), authn.ErrClaims},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := v.Verify(t.Context(), c.token)
			require.ErrorIs(t, err, c.want)
			require.Nil(t, p)
			require.NotEmpty(t, authn.PublicMessage(err))
			if c.token != "" {
				require.NotContains(t, err.Error(), c.token)
			}
		})
	}
}

func withNamespace(ic authn.IssuerConfig, ns string) authn.IssuerConfig {
	ic.UserNamespace = ns
	return ic
}

// nonCanonical changes bits of the last character that decode to nothing.
func nonCanonical(t *testing.T, token string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	other := token[:len(token)-1] + string(alphabet[last^1])
	a, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
	require.NoError(t, err)
	b, err := base64.RawURLEncoding.DecodeString(other[strings.LastIndex(other, ".")+1:])
	require.NoError(t, err)
	require.Equal(t, a, b)
	return other
}

func hs256(t *testing.T, iss *authntest.Issuer) string {
	t.Helper()
	pub, err := x509.MarshalPKIXPublicKey(iss.SigningKey().Private.Public().(*rsa.PublicKey))
	require.NoError(t, err)
	parts := strings.Split(iss.UserToken("alice", authntest.Audience("orders")), ".")
	input := b64(`{"alg":"HS256","kid":"key-1","typ":"at+jwt"}`) + "." + parts[1]
	mac := hmac.New(sha256.New, pub)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// der spells an ES256 signature as X.509 does, not as JWS does.
func der(t *testing.T, token string) string {
	t.Helper()
	dot := strings.LastIndex(token, ".")
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	require.NoError(t, err)
	out, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])})
	require.NoError(t, err)
	return token[:dot+1] + base64.RawURLEncoding.EncodeToString(out)
}

func TestVerify_RefusesAnotherIssuersKeyUnderTheSameKID(t *testing.T) {
	t.Parallel()
	a, b := authntest.NewIssuer(t), authntest.NewIssuer(t)
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{
		withNamespace(a.Config("shadowless"), "a|"), withNamespace(b.Config("shadowless"), "b|"),
	}}, authn.Options{Audiences: []string{authntest.DefaultAudience}})
	require.Equal(t, a.SigningKey().ID, b.SigningKey().ID)

	p, err := v.Verify(t.Context(), a.UserToken("alice"))
	require.NoError(t, err)
	require.Equal(t, "a|alice", p.UserID())
	p, err = v.Verify(t.Context(), b.UserToken("alice"))
	require.NoError(t, err)
	require.Equal(t, "b|alice", p.UserID())

	_, err = v.Verify(t.Context(), a.UserToken("alice", authntest.SignedBy(b.SigningKey())))
	require.ErrorIs(t, err, authn.ErrSignature)
}

func TestVerify_RefusesLongUserIDWithNamespace(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := authntest.NewVerifier(t, authn.Config{Issuers: []authn.IssuerConfig{withNamespace(iss.Config("shadowless"), "a|")}},
		authn.Options{Audiences: []string{authntest.DefaultAudience}})
	_, err := v.Verify(t.Context(), iss.UserToken(strings.Repeat("x", 254)))
	require.ErrorIs(t, err, authn.ErrClaims)
	_, err = v.Verify(t.Context(), iss.UserToken(strings.Repeat("x", 253)))
	require.NoError(t, err)
}
