package refusals

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// headerFile: what a header may not say, each under a real signature, so that
// only the header can be the reason of the refusal.
func headerFile() File {
	t := plain()
	head := t.withHeader
	with := func(members string) token { return head(`{"alg":"ES256","kid":"p256","typ":"at+jwt",` + members + `}`) }
	cases := []Case{
		refuse("malformed", "alg-missing", "alg missing", "", head(`{"kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-missing", "alg empty", "", head(`{"alg":"","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-missing", "alg null", "", head(`{"alg":null,"kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-array", "alg array", "", head(`{"alg":["ES256"],"kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-array", "alg object", "", head(`{"alg":{"alg":"ES256"},"kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-array", "alg number", "", head(`{"alg":256,"kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-duplicate", "alg twice, alike", "", head(`{"alg":"ES256","alg":"ES256","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-duplicate", "alg twice, none first", "parsers differ in which one counts", head(`{"alg":"none","alg":"ES256","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-duplicate", "alg twice, once with an escape", "\\u0061lg is the same name", head(`{"alg":"ES256","\u0061lg":"none","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "alg-missing", "ALG in capitals", "names are case-sensitive", head(`{"ALG":"ES256","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "", "alg in lower case", "values are case-sensitive too", head(`{"alg":"es256","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "", "alg with a space", "", head(`{"alg":"ES256 ","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "", "alg of another curve family", "secp256k1 is in no list", head(`{"alg":"ES256K","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "", "alg not this issuer's", "A allows it, B does not", token{
			header: `{"alg":"EdDSA","kid":"shared","typ":"at+jwt"}`, payload: payload(fmt.Sprintf(`"iss":%q`, issuerB)), alg: "EdDSA", key: "ed25519",
		}),

		refuse("malformed", "header-jwk", "embedded jwk of an attacker", "the token brings its own key (CVE-2018-0114)",
			t.by("ES256", "p256-attacker", "attacker").withHeader(`{"alg":"ES256","kid":"attacker","typ":"at+jwt","jwk":`+object(jwk("p256-attacker", "attacker"))+`}`)),
		refuse("malformed", "header-jwk", "embedded jwk under a known kid", "",
			t.by("ES256", "p256-attacker", "p256").withHeader(`{"alg":"ES256","kid":"p256","typ":"at+jwt","jwk":`+object(jwk("p256-attacker", "p256"))+`}`)),
		refuse("malformed", "header-jwk", "embedded jwk of the issuer itself", "", with(`"jwk":`+object(jwk("p256", "p256")))),
		refuse("malformed", "header-jku", "jku", "a URL from the token would be fetched", with(`"jku":"https://evil.example/jwks"`)),
		refuse("malformed", "header-jku", "jku of the issuer itself", "", with(`"jku":"https://a.example/jwks"`)),
		refuse("malformed", "header-x5u", "x5u", "", with(`"x5u":"https://evil.example/cert.pem"`)),
		refuse("malformed", "header-x5u", "x5c", "", with(`"x5c":["MIIB"]`)),

		refuse("malformed", "crit-unknown", "crit names an unknown extension", "RFC 7515, section 4.1.11: must be understood", with(`"crit":["https://x.example/ext"],"https://x.example/ext":true`)),
		refuse("malformed", "crit-unknown", "crit names a registered member", "exp is not for crit", with(`"crit":["exp"],"exp":1`)),
		refuse("malformed", "crit-malformed", "crit empty", "must not be empty", with(`"crit":[]`)),
		refuse("malformed", "crit-malformed", "crit is a string", "", with(`"crit":"b64"`)),
		refuse("malformed", "crit-malformed", "crit is null", "", with(`"crit":null`)),
		refuse("malformed", "crit-malformed", "crit holds a number", "", with(`"crit":[1]`)),
		refuse("malformed", "crit-malformed", "crit names what is not there", "", with(`"crit":["ext"]`)),
		refuse("malformed", "b64-false", "b64 false", "RFC 7797: the payload would not be base64url", with(`"b64":false`)),
		refuse("malformed", "b64-false", "b64 false, critical", "", with(`"b64":false,"crit":["b64"]`)),
		refuse("malformed", "zip", "zip", "a compressed payload is for JWE only, and a bomb", with(`"zip":"DEF"`)),

		refuse("malformed", "typ-wrong", "no typ", "an ID token, a session token or a logout token must not pass for an access token (RFC 8725, section 3.11)", head(`{"alg":"ES256","kid":"p256"}`)),
		refuse("malformed", "typ-wrong", "typ JWT", "", head(`{"alg":"ES256","kid":"p256","typ":"JWT"}`)),
		refuse("malformed", "typ-wrong", "typ of a security event", "", head(`{"alg":"ES256","kid":"p256","typ":"secevent+jwt"}`)),
		refuse("malformed", "typ-wrong", "typ of a logout token", "", head(`{"alg":"ES256","kid":"p256","typ":"logout+jwt"}`)),
		refuse("malformed", "typ-wrong", "typ of a DPoP proof", "", head(`{"alg":"ES256","kid":"p256","typ":"dpop+jwt"}`)),
		refuse("malformed", "typ-wrong", "typ is an array", "", head(`{"alg":"ES256","kid":"p256","typ":["at+jwt"]}`)),
		refuse("malformed", "typ-wrong", "typ twice", "", head(`{"alg":"ES256","kid":"p256","typ":"JWT","typ":"at+jwt"}`)),

		refuse("malformed", "kid-missing", "no kid", "every key would have to be tried", head(`{"alg":"ES256","typ":"at+jwt"}`)),
		refuse("malformed", "kid-missing", "kid empty", "", head(`{"alg":"ES256","kid":"","typ":"at+jwt"}`)),
		refuse("malformed", "kid-missing", "kid null", "", head(`{"alg":"ES256","kid":null,"typ":"at+jwt"}`)),
		refuse("malformed", "", "kid is a number", "", head(`{"alg":"ES256","kid":1,"typ":"at+jwt"}`)),
		refuse("malformed", "", "kid twice", "", head(`{"alg":"ES256","kid":"other","kid":"p256","typ":"at+jwt"}`)),
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE"} {
		h := fmt.Sprintf(`{"alg":%q,"kid":"p256","typ":"at+jwt"}`, none)
		cases = append(cases,
			refuse("malformed", "alg-none", none+" without a signature", "RFC 8725, section 3.2", raw(head(h).signed(nil))),
			refuse("malformed", "alg-none", none+" with a real signature", "", head(h)))
	}
	cases = append(cases, hmacs(t)...)
	return newFile("JOSE headers (RFC 7515, section 4) that are refused, whatever stands beside them.", cases...)
}

// hmacs are tokens whose HMAC is keyed by what everybody knows: the public key
// in each form that a library was ever found to use, and nothing at all.
func hmacs(t token) []Case {
	var cases []Case
	for _, key := range []string{"rsa", "p256"} {
		pub := keys[key].Public()
		spki, err := x509.MarshalPKIXPublicKey(pub)
		must(err)
		forms := map[string][]byte{
			"DER": spki, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), "JWK": []byte(object(jwk(key, key))),
		}
		if k, ok := pub.(*rsa.PublicKey); ok {
			forms["PKCS1"], forms["modulus"] = x509.MarshalPKCS1PublicKey(k), k.N.Bytes()
		}
		for _, form := range []string{"DER", "PEM", "JWK", "PKCS1", "modulus"} {
			if secret := forms[form]; secret != nil {
				cases = append(cases, refuse("malformed", "alg-hs256-public-key", fmt.Sprintf("HS256 keyed by the %s public key as %s", key, form),
					"the verifier's public key used as a shared secret", raw(hs256(t, key, secret))))
			}
		}
	}
	return append(cases,
		refuse("malformed", "alg-hs256-public-key", "HS256 keyed by nothing", "", raw(hs256(t, "rsa", nil))),
		refuse("malformed", "alg-hs256-public-key", "HS256 keyed by an oct key of the set", "a symmetric key in a public key set is known to all", raw(hs256(t, "symmetric", symmetricKey))))
}

func hs256(t token, kid string, secret []byte) string {
	t.header = fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"at+jwt"}`, kid)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t.signingInput()))
	return t.signed(mac.Sum(nil))
}

// keysFile: which key may verify what.
func keysFile() File {
	t := plain()
	claim := func(alg, kid string) token {
		return t.withHeader(fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, kid))
	}
	cases := []Case{
		refuse("unknown_key", "", "unknown kid", "", t.by("ES256", "p256", "nobody")),
		refuse("unknown_key", "", "kid with another case", "", t.by("ES256", "p256", "P256")),
		refuse("unknown_key", "", "kid of another issuer", "issuers have keys of their own", t.by("ES256", "p256-b", "b-only")),
		refuse("signature", "signature-other-issuer-same-kid", "another issuer's key under the same kid", "B signs as A, with a kid that both have", t.by("ES256", "p256-b", "shared")),
		refuse("signature", "signature-other-issuer-same-kid", "an attacker's key under a known kid", "", t.by("ES256", "p256-attacker", "p256")),
		refuse("unknown_key", "", "RSA key of 1024 bits", "keys below 2048 bits are not trusted", t.by("RS256", "rsa-1024", "rsa-1024")),
		refuse("unknown_key", "", "key for encryption", "use: enc", t.by("ES256", "p256-enc", "encryption")),
		refuse("unknown_key", "", "key_ops without verify", "", t.by("ES256", "p256-ops", "sign-only")),
		refuse("unknown_key", "", "point that is not on the curve", "", claim("ES256", "not-on-the-curve")),
		refuse("unknown_key", "", "symmetric key", "kty: oct is not trusted, so it is not there", t.by("ES256", "p256", "symmetric")),
		refuse("signature", "alg-kty", "PS256 with a key that is for RS256", "the key's alg pins it", t.by("PS256", "rsa-pinned", "rsa-pinned")),
		refuse("signature", "alg-kty", "ES256 signature called ES384", "", token{header: `{"alg":"ES384","kid":"p256","typ":"at+jwt"}`, payload: payload(), alg: "ES256", key: "p256"}),
		refuse("signature", "alg-kty", "RS256 signature called RS512", "", token{header: `{"alg":"RS512","kid":"rsa","typ":"at+jwt"}`, payload: payload(), alg: "RS256", key: "rsa"}),
		refuse("signature", "alg-kty", "RS256 signature called PS256", "", token{header: `{"alg":"PS256","kid":"rsa","typ":"at+jwt"}`, payload: payload(), alg: "RS256", key: "rsa"}),
		// The curve belongs to the algorithm (RFC 7518, section 3.4), though the numbers would fit.
		refuse("signature", "alg-kty", "ES384 by a P-256 key", "", token{header: `{"alg":"ES384","kid":"p256","typ":"at+jwt"}`, payload: payload(), alg: "ES384", key: "p256"}),
		refuse("signature", "alg-kty", "ES256 by a P-384 key", "", token{header: `{"alg":"ES256","kid":"p384","typ":"at+jwt"}`, payload: payload(), alg: "ES256", key: "p384"}),
	}
	for alg, kid := range map[string]string{"RS256": "p256", "PS256": "ed25519", "ES256": "rsa", "EdDSA": "p256"} {
		cases = append(cases, refuse("signature", "alg-kty", fmt.Sprintf("%s with the %s key", alg, kid), "alg and kty must fit", claim(alg, kid)))
	}
	sortCases(cases)
	return newFile("Which key may verify what: the issuer's own, by its kid, for its algorithm.", cases...)
}
