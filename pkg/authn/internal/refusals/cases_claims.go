package refusals

import (
	"fmt"
	"strings"
)

// claimsFile: payloads that are refused under a real signature.
func claimsFile() File {
	now := clock.Unix()
	t := plain()
	pay := t.withPayload
	with := func(members ...string) token { return pay(payload(members...)) }
	var cases []Case
	add := func(expect, covers, name, why string, tok token) {
		cases = append(cases, refuse(expect, covers, name, why, tok))
	}
	for _, claim := range []string{"exp", "iat", "sub", "aud", "iss"} {
		add("claims", claim+"-missing", "no "+claim, "", pay(without(claim)))
		add("claims", claim+"-missing", claim+" null", "", with(fmt.Sprintf(`%q:null`, claim)))
	}
	for _, claim := range []string{"exp", "iat", "nbf"} {
		covers := claim + "-mistyped"
		for name, value := range map[string]string{
			"a string": fmt.Sprintf(`"%d"`, now+300), "a float in a string": `"1e99"`, "an array": fmt.Sprintf(`[%d]`, now), "an object": `{}`,
			"true": `true`, "beyond numbers": `1e400`, "negative": `-1`, "zero": `0`,
		} {
			add("claims", covers, fmt.Sprintf("%s is %s", claim, name), "", with(fmt.Sprintf(`%q:%s`, claim, value)))
		}
	}
	for _, claim := range []string{"sub", "iss"} {
		for name, value := range map[string]string{"a number": `7`, "an array": `["alice"]`, "an object": `{}`, "true": `true`, "empty": `""`} {
			expect := "claims"
			if claim == "iss" && name == "empty" {
				expect = "unknown_issuer"
			}
			add(expect, claim+"-mistyped", fmt.Sprintf("%s is %s", claim, name), "", with(fmt.Sprintf(`%q:%s`, claim, value)))
		}
	}
	for name, value := range map[string]string{
		"a number": `1`, "an object": `{}`, "true": `true`, "an array with a number": `["orders",1]`, "an array with an array": `[["orders"]]`,
		"an empty array": `[]`, "an empty string": `""`, "an array with an empty string": `["orders",""]`,
	} {
		add("claims", "aud-mistyped", "aud is "+name, "", with(`"aud":`+value))
	}

	add("expired", "", "exp 30 s ago", "the leeway's end is excluded", with(fmt.Sprintf(`"exp":%d`, now-30)))
	add("expired", "", "exp long ago", "", with(`"exp":1`))
	add("not_yet_valid", "nbf-future", "nbf beyond the leeway", "", with(fmt.Sprintf(`"nbf":%d`, now+31)))
	add("not_yet_valid", "nbf-future", "nbf far away", "", with(`"nbf":9007199254740991`))
	add("not_yet_valid", "iat-future", "iat beyond the leeway", "", with(fmt.Sprintf(`"iat":%d`, now+31)))
	add("not_yet_valid", "iat-future", "iat in milliseconds", "one IdP does that; it is a quirk to be opted into", with(fmt.Sprintf(`"iat":%d`, now*1000)))

	add("unknown_issuer", "", "iss unknown", "", with(`"iss":"https://evil.example"`))
	add("unknown_issuer", "", "iss with a slash more", "compared byte for byte", with(`"iss":"https://a.example/"`))
	add("unknown_issuer", "iss-case", "iss in capitals", "", with(`"iss":"HTTPS://A.EXAMPLE"`))
	add("audience", "", "aud of another service", "", with(`"aud":"billing"`))
	add("audience", "aud-case", "aud in capitals", "", with(`"aud":"ORDERS"`))
	add("audience", "", "aud with our name inside", "", with(`"aud":"orders-v2"`))
	add("claims", "iss-case", "ISS instead of iss", "names are case-sensitive; Go's encoding/json folds them", pay(strings.Replace(payload(), `"iss"`, `"ISS"`, 1)))
	add("claims", "aud-case", "AUD instead of aud", "", pay(strings.Replace(payload(), `"aud"`, `"AUD"`, 1)))
	add("audience", "aud-case", "AUD beside another aud", "AUD must not count", pay(`{"AUD":"orders",`+payload(`"aud":"billing"`)[1:]))
	add("unknown_issuer", "iss-case", "ISS beside another iss", "ISS must not count", pay(`{"ISS":"https://a.example",`+payload(`"iss":"https://evil.example"`)[1:]))
	add("expired", "", "EXP beside exp", "EXP must not count", pay(`{"EXP":9999999999,`+payload(`"exp":1`)[1:]))

	add("claims", "claims-duplicate", "sub twice", "parsers differ in which one counts (RFC 8725, section 2.8)", pay(`{"sub":"admin",`+payload()[1:]))
	add("claims", "claims-duplicate", "iss twice", "", pay(strings.TrimSuffix(payload(), "}")+`,"iss":"https://b.example"}`))
	add("claims", "claims-duplicate", "aud twice, alike", "", pay(strings.TrimSuffix(payload(), "}")+`,"aud":"orders"}`))
	add("claims", "claims-duplicate", "exp twice", "", pay(`{"exp":1,`+payload()[1:]))
	add("claims", "claims-duplicate", "a name twice, once with an escape", "s\\u0075b is sub", pay(`{"s\u0075b":"admin",`+payload()[1:]))
	add("claims", "claims-duplicate", "unknown claim twice", "", with(`"x":1`, `"y":2,"x":3`))
	add("claims", "claims-duplicate", "a name twice deep inside", "", with(`"x":{"y":[{"a":1,"a":2}]}`))
	add("claims", "claims-duplicate", "a permission twice", "", with(`"permissions":{"order":["read"],"order":["delete"]}`))
	add("claims", "utf8-invalid", "invalid UTF-8 in a string", "", with("\"x\":\"\xff\""))
	add("claims", "utf8-invalid", "invalid UTF-8 in sub", "", with("\"sub\":\"al\xc0\xafice\""))
	add("claims", "utf8-invalid", "half a surrogate pair", "", with(`"x":"\ud800"`))
	add("claims", "trailing-data", "a second object", "", pay(payload()+`{}`))
	add("claims", "trailing-data", "a letter after the object", "", pay(payload()+`x`))
	add("claims", "trailing-data", "a comment", "", pay(payload()+`/**/`))
	add("claims", "", "a comma too many", "", pay(strings.TrimSuffix(payload(), "}")+",}"))
	add("claims", "", "cut short", "", pay(strings.TrimSuffix(payload(), "}")))
	add("claims", "", "NaN", "", with(`"x":NaN`))
	add("claims", "", "a number with leading zero", "", with(`"x":01`))
	add("claims", "", "a raw control character in a string", "", with("\"x\":\"a\x01b\""))

	add("claims", "cnf", "cnf with a key's thumbprint", "bound to a key (DPoP, RFC 9449) whose proof is not checked here: a stolen one must not do", with(`"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`))
	add("claims", "cnf", "cnf with a certificate's thumbprint", "RFC 8705", with(`"cnf":{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`))
	add("claims", "cnf", "cnf empty", "", with(`"cnf":{}`))

	add("claims", "", "sub with NUL", "", with(`"sub":"a\u0000b"`))
	add("claims", "", "sub with a newline", "", with(`"sub":"a\nb"`))
	add("claims", "", "sub with a C1 control", "", with(`"sub":"a\u0085b"`))
	add("claims", "", "sub of 256 bytes", "", with(fmt.Sprintf(`"sub":%q`, strings.Repeat("x", 256))))
	add("claims", "", "a user with a service's prefix", "", with(`"sub":"client:orders"`))
	add("claims", "", "a user with an API key's prefix", "", with(`"sub":"apikey:1"`))
	add("claims", "", "no kind", "profile shadowless: kind is required", pay(without("kind")))
	add("claims", "", "kind unknown", "", with(`"kind":"admin"`))
	add("claims", "", "kind in capitals", "", with(`"kind":"USER"`))
	add("claims", "", "service with a user's sub", "", with(`"kind":"service"`))
	add("claims", "", "service with another service's sub", "", with(`"kind":"service"`, `"sub":"client:billing"`, `"client_id":"orders"`))
	add("claims", "", "jti is a number", "", with(`"jti":1`))
	add("claims", "", "jti empty", "", with(`"jti":""`))
	add("claims", "", "sid with a newline", "", with(`"sid":"a\nb"`))
	add("claims", "", "permissions is an array", "", with(`"permissions":["read"]`))
	add("claims", "", "permissions of numbers", "", with(`"permissions":{"order":[1]}`))
	add("claims", "", "permissions of strings", "", with(`"permissions":{"order":"read"}`))
	add("claims", "", "scope is a number", "", with(`"scope":1`))
	add("claims", "", "act is a string", "", with(`"act":"client:orders"`))
	add("claims", "", "act without sub", "", with(`"act":{"client_id":"orders"}`))
	add("claims", "", "orig_iat in the future", "", with(fmt.Sprintf(`"orig_iat":%d`, now+31)))
	add("claims", "", "auth_time is a string", "", with(`"auth_time":"1"`))
	sortCases(cases)
	return newFile("Claims (RFC 7519, section 4) that are refused under a real signature.", cases...)
}

// sizesFile: what costs memory or time before it is worth either. The texts
// are given in parts that repeat.
func sizesFile() File {
	t := plain()
	return newFile("Sizes. Nothing honest is larger than 16 KiB: servers cap all headers of a request at 8 to 64 KiB.",
		refuse("malformed", "token-1mib", "1 MiB of signature", "", Token{{Text: t.signingInput() + "."}, {Text: "A", Times: 1 << 20}}),
		refuse("malformed", "token-1mib", "1 MiB of claims, really signed", "", huge(t, strings.TrimSuffix(payload(), "}")+`,"x":"`, "xxx", 1<<18, `"}`)),
		refuse("malformed", "token-1mib", "1 MiB of header", "", Token{{Text: "QUFB", Times: 1 << 18}, {Text: "." + b64([]byte(t.payload)) + "." + b64(t.signature())}}),
		refuse("malformed", "token-1mib", "1 MiB of nothing", "", Token{{Text: "A", Times: 1 << 20}}),
		refuse("malformed", "dots-million", "a million dots", "splitting at every dot makes a million parts", Token{{Text: ".", Times: 1_000_000}}),
		refuse("malformed", "dots-million", "a token and a million dots", "", Token{{Text: t.String()}, {Text: ".", Times: 1_000_000}}),
		refuse("malformed", "json-deep", "100,000 arrays deep", "a recursive parser's stack", hugePair(t, strings.TrimSuffix(payload(), "}")+`,"x":`, "[[[", "]]]", 33_334, `}`)),
		refuse("malformed", "json-deep", "100,000 objects deep, never closed", "", huge(t, strings.TrimSuffix(payload(), "}")+`,"x":`, `{"a":`+" ", 100_000, ``)),
		refuse("claims", "json-deep", "1,500 arrays deep, never closed, within the size", "", t.withPayload(strings.TrimSuffix(payload(), "}")+`,"x":`+strings.Repeat("[", 1_500))),
		refuse("malformed", "permissions-endless", "a permission map of 60,000 entries", "", huge(t, strings.TrimSuffix(payload(), "}")+`,"permissions":{"order":["read"]`, `, "o":["r"]`+" ", 60_000, `}}`)),
		refuse("claims", "permissions-endless", "a permission map that does not end", "", t.withPayload(strings.TrimSuffix(payload(), "}")+`,"permissions":{"order":["read"`+strings.Repeat(`,"read"`, 1_000))),
		refuse("malformed", "permissions-endless", "one permission repeated 100,000 times", "", huge(t, strings.TrimSuffix(payload(), "}")+`,"permissions":{"order":["read"`, `,"read"`+"  ", 100_000, `]}}`)),
		refuse("malformed", "", "kid of 256 bytes", "", t.by("ES256", "p256", strings.Repeat("k", 256))),
		refuse("claims", "", "65 audiences", "", t.withPayload(payload(`"aud":["orders"`+strings.Repeat(`,"x"`, 64)+`]`))),
		refuse("claims", "", "4 ancestors", "", t.withPayload(payload(`"ancestors":["1","2","3","4"]`))),
		refuse("claims", "", "9 actors", "", t.withPayload(payload(`"act":`+strings.Repeat(`{"sub":"client:x","act":`, 8)+`{"sub":"client:x"}`+strings.Repeat("}", 8)))),
	)
}

// huge is a signed token whose payload repeats unit, which must be of a
// multiple of 3 bytes so that it repeats in base64 as well.
func huge(t token, before, unit string, times int, after string) Token {
	before += strings.Repeat(" ", (3-len(before)%3)%3)
	if len(unit)%3 != 0 {
		panic("unit is not a multiple of 3 bytes: " + unit)
	}
	sig := b64(t.withPayload(before + strings.Repeat(unit, times) + after).signature())
	return Token{
		{Text: b64([]byte(t.header)) + "." + b64([]byte(before))}, {Text: b64([]byte(unit)), Times: times},
		{Text: b64([]byte(after)) + "." + sig},
	}
}

func hugePair(t token, before, open, end string, times int, after string) Token {
	before += strings.Repeat(" ", (3-len(before)%3)%3)
	sig := b64(t.withPayload(before + strings.Repeat(open, times) + strings.Repeat(end, times) + after).signature())
	return Token{
		{Text: b64([]byte(t.header)) + "." + b64([]byte(before))}, {Text: b64([]byte(open)), Times: times},
		{Text: b64([]byte(end)), Times: times}, {Text: b64([]byte(after)) + "." + sig},
	}
}
