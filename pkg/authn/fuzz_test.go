package authn_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// FuzzVerify feeds any bytes as a token: no panic, and nothing accepted that
// was not signed by the issuer.
func FuzzVerify(f *testing.F) {
	iss := authntest.NewIssuer(f, authntest.WithAlgorithm("EdDSA"))
	v := iss.Verifier(f, aud)
	honest := iss.UserToken("alice")
	f.Add(honest)
	f.Add("")
	f.Add("..")
	f.Add(strings.Repeat(".", 100))
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{"iss":"x"}`) + ".")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(t.Context(), token)
		if (p == nil) == (err == nil) {
			t.Fatal("either a principal or an error")
		}
		if err == nil && token != honest {
			t.Fatal("a token that was never issued was accepted")
		}
		if err != nil && authn.PublicMessage(err) == "Something went wrong." {
			t.Fatalf("not one of the sentinels: %v", err)
		}
	})
}

// FuzzVerifySigned feeds any header members and payload under a real signature, so that
// the claims' decoder is reached.
func FuzzVerifySigned(f *testing.F) {
	iss := authntest.NewIssuer(f, authntest.WithAlgorithm("EdDSA"), authntest.WithIssuer("https://idp.example"), authntest.WithClock(authntest.NewClock(start)))
	v := iss.Verifier(f, aud)
	k := iss.SigningKey()
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
