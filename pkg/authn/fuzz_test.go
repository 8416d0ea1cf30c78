package authn_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/authn/internal/refusals"
)

// FuzzVerify feeds any bytes as a token: no panic, and nothing accepted that
// was not signed by the issuer. Its seeds are the tokens of testdata/refusals.
func FuzzVerify(f *testing.F) {
	files := loadRefusals(f)
	v := verifierOf(f, files["accept.json"])
	issued := map[string]bool{}
	for name, file := range files {
		for _, c := range file.Cases {
			token := c.Token.String()
			issued[token] = issued[token] || c.Expect == refusals.Accept && name == "accept.json"
			if len(token) < 4<<10 {
				f.Add(token)
			}
		}
	}
	for token := range issued {
		if issued[token] {
			if _, err := v.Verify(f.Context(), token); err != nil {
				f.Fatal(err)
			}
		}
	}
	v.Close() // from now on an unknown kid is answered at once
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(t.Context(), token)
		if (p == nil) == (err == nil) {
			t.Fatal("either a principal or an error")
		}
		if err == nil && !issued[token] {
			t.Fatal("a token that was never issued was accepted")
		}
		if err != nil && authn.PublicMessage(err) == "Something went wrong." {
			t.Fatalf("not one of the sentinels: %v", err)
		}
		if e, err := v.VerifySET(t.Context(), token); (e == nil) == (err == nil) {
			t.Fatal("either an event or an error")
		}
	})
}

// FuzzVerifySET feeds any payload under a real signature.
func FuzzVerifySET(f *testing.F) {
	iss := authntest.NewIssuer(f, authntest.WithAlgorithm("EdDSA"), authntest.WithIssuer("https://a.example"), authntest.WithClock(authntest.NewClock(start)))
	v := iss.Verifier(f, "orders")
	k := iss.SigningKey()
	for _, c := range loadRefusals(f)["sets.json"].Cases {
		parts := strings.Split(c.Token.String(), ".")
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			f.Add(string(payload))
		}
	}
	f.Fuzz(func(t *testing.T, payload string) {
		input := b64(`{"alg":"EdDSA","kid":"key-1","typ":"secevent+jwt"}`) + "." + b64(payload)
		sig, err := jwt.SigningMethodEdDSA.Sign(input, k.Private)
		if err != nil {
			t.Fatal(err)
		}
		e, err := v.VerifySET(t.Context(), input+"."+base64.RawURLEncoding.EncodeToString(sig))
		switch {
		case err != nil:
			if authn.PublicMessage(err) == "Something went wrong." {
				t.Fatalf("not one of the sentinels: %v", err)
			}
		case e.Issuer() != "https://a.example" || e.TokenID() == "" || e.IssuedAt().IsZero() || len(e.Types()) == 0 || e.Subject().Format == "":
			t.Fatal("accepted without what is required")
		}
		for i := 0; err == nil && i < len(e.Types()); i++ {
			if payload, ok := e.Payload(e.Types()[i]); !ok || !json.Valid(payload) {
				t.Fatal("an event without its payload")
			}
		}
	})
}

// FuzzParseConfig feeds any YAML: no panic, and what is accepted is valid.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(goodConfig))
	f.Add([]byte("issuers: [{issuer: a, profile: oidc, jwks_urls: [https://a.example/jwks], claims: {roles: /a~1b/c}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := authn.ParseConfig(data)
		if err == nil && cfg.Validate() != nil {
			t.Fatal("accepted and not valid")
		}
	})
}

// FuzzVerifySigned feeds any header members and payload under a real signature, so that
// the claims' decoder is reached.
func FuzzVerifySigned(f *testing.F) {
	iss := authntest.NewIssuer(f, authntest.WithAlgorithm("EdDSA"), authntest.WithIssuer("https://idp.example"), authntest.WithClock(authntest.NewClock(start)))
	v := iss.Verifier(f, aud)
	k := iss.SigningKey()
	for _, c := range loadRefusals(f)["claims.json"].Cases {
		if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(c.Token.String(), ".")[1]); err == nil {
			f.Add(`"typ":"at+jwt"`, strings.ReplaceAll(string(payload), "https://a.example", "https://idp.example"))
		}
	}
	f.Add(`"typ":"at+jwt"`, `{"iss":"https://idp.example","sub":"alice","aud":"test","exp":1795262500,"iat":1795262400,"kind":"user"}`)
	f.Add(`"typ":"at+jwt"`, `{"iss":"https://idp.example","sub":"client:a","client_id":"a","aud":["test"],"exp":1795262500.5,"iat":1e9,"kind":"service","act":{"sub":"x","act":{"sub":"y"}}}`)
	f.Add(`"typ":"at+jwt"`, `{"iss":"https://idp.example","permissions":{"a":["b"]},"abac_required":{},"client_full_access":["x"],"ancestors":["a"],"cnf":{}}`)
	f.Add(`"typ":"at+jwt","crit":["b64"],"b64":false`, `{}`)
	f.Fuzz(func(t *testing.T, members, payload string) {
		// The kid stays known: an unknown one waits for a fetch.
		input := b64(`{"alg":"EdDSA","kid":"key-1",`+members+`}`) + "." + b64(payload)
		sig, err := jwt.SigningMethodEdDSA.Sign(input, k.Private)
		if err != nil {
			t.Fatal(err)
		}
		p, err := v.Verify(t.Context(), input+"."+base64.RawURLEncoding.EncodeToString(sig))
		switch {
		case err != nil:
			if authn.PublicMessage(err) == "Something went wrong." {
				t.Fatalf("not one of the sentinels: %v", err)
			}
		case p.Subject() == "" || p.Issuer() != "https://idp.example" || !p.HasAudience(aud) || p.ExpiresAt().IsZero():
			t.Fatal("accepted without what is required")
		case p.Kind() == authn.KindUser && p.UserID() != p.Subject(), p.Kind() == authn.KindService && p.UserID() != "":
			t.Fatal("wrong user ID")
		}
	})
}
