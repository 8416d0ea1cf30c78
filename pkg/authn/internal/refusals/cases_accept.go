package refusals

import (
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"strings"
)

// acceptFile: honest tokens. Refusing one of these is a fault as well.
func acceptFile() File {
	now := clock.Unix()
	t := plain()
	with := func(members ...string) token { return t.withPayload(payload(members...)) }
	var cases []Case
	add := func(covers, name, why string, tok fmt.Stringer) {
		cases = append(cases, accept(covers, name, why, tok, "alice"))
	}
	keyOf := map[string]string{"RS": "rsa", "PS": "rsa", "ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519"}
	for _, alg := range allAlgorithms {
		key, ok := keyOf[alg]
		if !ok {
			key = keyOf[alg[:2]]
		}
		add("accept-"+alg, alg, "", t.by(alg, key, key))
	}
	add("accept-RS256", "RS256 with a key that is for it", "", t.by("RS256", "rsa-pinned", "rsa-pinned"))
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		for _, half := range []string{"low", "high"} {
			add("accept-"+half+"-s", fmt.Sprintf("%s with a %s s", alg, half),
				"(r, n−s) is as legal as (r, s), and half of all honest signatures have the high one", halfS(t.by(alg, keyOf[alg], keyOf[alg]), half == "high"))
		}
	}
	add("", "exp 29 s ago", "within the leeway", with(fmt.Sprintf(`"exp":%d`, now-29)))
	add("", "nbf and iat at the leeway's end", "", with(fmt.Sprintf(`"nbf":%d`, now+30), fmt.Sprintf(`"iat":%d`, now+30)))
	add("", "times with fractions", "NumericDate may have them (RFC 7519, section 2)", with(fmt.Sprintf(`"exp":%d.5`, now+300), fmt.Sprintf(`"iat":%d.25`, now-1)))
	add("", "a time with an exponent", "", with(`"exp":1.8e9`))
	add("", "aud is an array", "", with(`"aud":["billing","orders"]`))
	add("", "64 audiences", "", with(`"aud":["orders"`+strings.Repeat(`,"x"`, 63)+`]`))
	add("", "typ with application/", "RFC 7515, section 4.1.9", t.withHeader(`{"alg":"ES256","kid":"p256","typ":"application/at+jwt"}`))
	add("", "typ in capitals", "media types know no case", t.withHeader(`{"alg":"ES256","kid":"p256","typ":"AT+JWT"}`))
	add("", "header members in another order, with white space", "", t.withHeader(" { \"typ\" : \"at+jwt\",\n\"kid\":\"p256\", \"alg\":\"ES256\" } "))
	add("", "header members that nobody knows", "without crit they may be ignored", t.withHeader(`{"alg":"ES256","kid":"p256","typ":"at+jwt","cty":"x","x5t":"AAAA","x":{"y":[1]}}`))
	add("", "claims that nobody knows", "", with(`"x":null`, `"y":{"a":[1,2,{"b":1.5e3}]}`, `"z":"\ud83d\ude00"`))
	add("", "names with escapes", "\\u0069ss is iss", t.withPayload(strings.Replace(payload(), `"iss"`, `"\u0069ss"`, 1)))
	add("", "payload with white space", "", t.withPayload("\n"+strings.ReplaceAll(payload(), ",", " ,\t")+"\r\n"))
	add("", "claims that are null", "null is the same as absent", with(`"nbf":null`, `"permissions":null`, `"act":null`, `"sid":null`))
	add("", "200 levels deep", "", with(`"x":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)))
	for _, sub := range []string{".", "..", " padded ", "a/b?c#d", "日本語", "Alice", "alice@example.com", "auth0|5f7c8ec7c33c6c004bbafe82", "clients:1", strings.Repeat("x", 253)} { //nolint:gosmopolitan // users have names in every script
		cases = append(cases, accept("", "sub "+shorten(sub), "opaque text, compared byte for byte", with(fmt.Sprintf(`"sub":%q`, sub)), sub))
	}
	cases = append(cases,
		Case{
			Name: "a service", Token: text(with(`"kind":"service"`, `"sub":"client:billing"`, `"client_id":"billing"`).String()), Expect: Accept,
			Caller: &Caller{Kind: "service", Subject: "client:billing", ClientID: "billing"},
		},
		Case{
			Name: "a delegated token", Token: text(with(`"client_id":"billing"`, `"act":{"sub":"client:billing","client_id":"billing","act":{"sub":"client:orders"}}`).String()),
			Expect: Accept, Caller: &Caller{Kind: "user", Subject: "alice", UserID: "a|alice", ClientID: "billing"},
		},
		Case{
			Name: "another issuer's user", Why: "its namespace keeps the two apart", Expect: Accept,
			Token:  text(t.by("ES256", "p256-b", "shared").withPayload(payload(fmt.Sprintf(`"iss":%q`, issuerB))).String()),
			Caller: &Caller{Kind: "user", Subject: "alice", UserID: "b|alice", ClientID: "console"},
		})
	return newFile("Honest tokens. Refusing one of these is a fault as well.", cases...)
}

func shorten(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("of %d bytes", len(s))
	}
	return s
}

// halfS is an ECDSA token with s in the wanted half.
func halfS(t token, high bool) fmt.Stringer {
	key := keys[t.key].(*ecdsa.PrivateKey)
	n := key.Curve.Params().N
	sig := t.signature()
	r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
	if isHigh := s.Cmp(new(big.Int).Rsh(n, 1)) > 0; isHigh != high {
		s.Sub(n, s)
	}
	return raw(t.signed(joinRS(key, r, s)))
}

// setsFile: Security Event Tokens (RFC 8417).
func setsFile() File {
	now := clock.Unix()
	const event = `"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{"event_timestamp":1795262390}`
	claims := []string{
		fmt.Sprintf(`"iss":%q`, issuerA), `"aud":"orders"`, fmt.Sprintf(`"iat":%d`, now), `"jti":"e-1"`,
		`"sub_id":{"format":"iss_sub","iss":"https://a.example","sub":"alice"}`, `"events":{` + event + `}`,
	}
	set := func(members ...string) token {
		list := append([]string(nil), claims...)
		for _, m := range members {
			name, value, _ := strings.Cut(m, ":")
			found := false
			for i, c := range list {
				if strings.HasPrefix(c, name+":") {
					list[i], found = m, true
				}
			}
			if !found && value != "" {
				list = append(list, m)
			}
		}
		var kept []string
		for _, c := range list {
			if _, value, _ := strings.Cut(c, ":"); value != "" {
				kept = append(kept, c)
			}
		}
		t := plain().withHeader(`{"alg":"ES256","kid":"p256","typ":"secevent+jwt"}`)
		return t.withPayload("{" + strings.Join(kept, ",") + "}")
	}
	var cases []Case
	add := func(expect, name, why string, tok fmt.Stringer) {
		c := refuse(expect, "set", name, why, tok)
		c.Kind = "set"
		if expect == Accept {
			c.Covers = []string{"accept-set"}
		}
		cases = append(cases, c)
	}
	add(Accept, "a security event", "", set())
	add(Accept, "typ with application/", "", set().withHeader(`{"alg":"ES256","kid":"p256","typ":"application/secevent+jwt"}`))
	add(Accept, "two events, txn and toe", "", set(`"events":{`+event+`,"urn:example:x":{}}`, `"txn":"t-1"`, fmt.Sprintf(`"toe":%d`, now-60)))
	add(Accept, "a year old", "an event has no end; whoever takes it remembers its ID", set(fmt.Sprintf(`"iat":%d`, now-365*86400)))
	add("malformed", "typ of an access token", "an access token is no event", set().withHeader(`{"alg":"ES256","kid":"p256","typ":"at+jwt"}`))
	add("malformed", "an access token", "", plain())
	add("malformed", "typ JWT", "", set().withHeader(`{"alg":"ES256","kid":"p256","typ":"JWT"}`))
	add("malformed", "no typ", "", set().withHeader(`{"alg":"ES256","kid":"p256"}`))
	add("malformed", "alg none", "", raw(set().withHeader(`{"alg":"none","kid":"p256","typ":"secevent+jwt"}`).signed(nil)))
	add("signature", "another issuer's key", "", set().by("ES256", "p256-b", "shared").withHeader(`{"alg":"ES256","kid":"shared","typ":"secevent+jwt"}`))
	add("claims", "exp", "an event does not expire; what has exp may be meant for something else (RFC 8417, section 2.2)", set(fmt.Sprintf(`"exp":%d`, now+300)))
	add("claims", "sub", "sub belongs to access tokens; the subject is sub_id", set(`"sub":"alice"`))
	add("claims", "no iss", "", set(`"iss":`))
	add("claims", "no iat", "", set(`"iat":`))
	add("not_yet_valid", "iat in the future", "", set(fmt.Sprintf(`"iat":%d`, now+31)))
	add("claims", "iat is a string", "", set(`"iat":"1"`))
	add("claims", "no jti", "", set(`"jti":`))
	add("claims", "jti empty", "", set(`"jti":""`))
	add("claims", "no aud", "", set(`"aud":`))
	add("audience", "aud of another", "", set(`"aud":"billing"`))
	add("claims", "no events", "", set(`"events":`))
	add("claims", "events empty", "", set(`"events":{}`))
	add("claims", "events is an array", "", set(`"events":["urn:example:x"]`))
	add("claims", "an event that is no object", "", set(`"events":{"urn:example:x":true}`))
	add("claims", "an event type that is no URI", "", set(`"events":{"":{}}`))
	add("claims", "an event twice", "", set(`"events":{`+event+`,`+event+`}`))
	add("claims", "no sub_id", "", set(`"sub_id":`))
	add("claims", "sub_id is a string", "RFC 9493: an object", set(`"sub_id":"alice"`))
	add("claims", "sub_id without format", "", set(`"sub_id":{"iss":"https://a.example","sub":"alice"}`))
	add("claims", "jti twice", "", set(`"x":1,"jti":"e-2"`))
	return newFile("Security Event Tokens (RFC 8417, RFC 9493) and what must not pass for one.", cases...)
}

// profilesFile: what one issuer's profile allows and another's does not.
func profilesFile() File {
	now := clock.Unix()
	key := func(name string) map[string]any {
		return map[string]any{"keys": []any{jwk("ed25519", name, "alg", "EdDSA")}}
	}
	names := []string{"auther", "auther-observed", "keycloak", "auth0", "entra", "oidc"}
	f := File{
		About: "The same strictness under other products' profiles: what one allows is allowed to its issuer alone. Issuers are named by profile.",
		Clock: clock, Leeway: 30, Audiences: []string{audience},
	}
	for _, name := range names {
		f.Issuers = append(f.Issuers, Issuer{
			Issuer: "https://" + name + ".example", Profile: name, Algorithms: []string{"EdDSA"}, UserNamespace: name + "|", JWKS: key("ed25519"),
		})
	}
	tok := func(profile, typ string, members ...string) token {
		base := fmt.Sprintf(`"iss":"https://%s.example","sub":"u-1","aud":"orders","exp":%d`, profile, now+300)
		if !strings.Contains(strings.Join(members, ","), `"iat"`) {
			base += fmt.Sprintf(`,"iat":%d`, now)
		}
		header := `{"alg":"EdDSA","kid":"ed25519"}`
		if typ != "" {
			header = fmt.Sprintf(`{"alg":"EdDSA","kid":"ed25519","typ":%q}`, typ)
		}
		return token{header: header, payload: "{" + strings.Join(append([]string{base}, members...), ",") + "}", alg: "EdDSA", key: "ed25519"}
	}
	user := func(profile, name, why, client string, t token) {
		f.Cases = append(f.Cases, Case{
			Name: profile + ": " + name, Why: why, Token: text(t.String()), Expect: Accept,
			Caller: &Caller{Kind: "user", Subject: "u-1", UserID: profile + "|u-1", ClientID: client},
		})
	}
	service := func(profile, name, client, sub string, t token) {
		f.Cases = append(f.Cases, Case{
			Name: profile + ": " + name, Token: text(t.String()), Expect: Accept, Caller: &Caller{Kind: "service", Subject: sub, ClientID: client},
		})
	}
	no := func(expect, profile, name, why string, t token) {
		f.Cases = append(f.Cases, refuse(expect, "", profile+": "+name, why, t))
	}
	ms := fmt.Sprintf(`"iat":%d`, now*1000+758)
	user("auther-observed", "iat in milliseconds", "quirk iat-milliseconds", "", tok("auther-observed", "", ms))
	no("not_yet_valid", "auther", "iat in milliseconds", "no quirk", tok("auther", "at+jwt", ms))
	no("not_yet_valid", "oidc", "iat in milliseconds", "no quirk", tok("oidc", "at+jwt", ms))
	user("auther", "a user", "", "shop", tok("auther", "at+jwt", `"client_id":"shop"`))
	no("malformed", "auther", "a user's token with typ JWT", "that is an ID token's", tok("auther", "JWT"))
	service("auther", "an API key", "apikey:k-1", "u-1", tok("auther", "JWT", `"apiKeyId":"k-1"`, `"scope":"api_key_exchange"`))
	no("claims", "auther", "an API key's scope without its ID", "", tok("auther", "at+jwt", `"scope":"api_key_exchange"`))
	no("claims", "auther", "an API key's ID beside a session", "", tok("auther", "at+jwt", `"apiKeyId":"k-1"`, `"sid":"s-1"`))
	user("keycloak", "a user", "", "web", tok("keycloak", "JWT", `"typ":"Bearer"`, `"azp":"web"`, `"sid":"s-1"`))
	service("keycloak", "a service account", "billing", "u-1", tok("keycloak", "JWT", `"typ":"Bearer"`, `"azp":"billing"`, `"clientHost":"10.0.0.7"`))
	no("claims", "keycloak", "an ID token", "claim typ", tok("keycloak", "JWT", `"typ":"ID"`, `"azp":"web"`, `"sid":"s-1"`))
	no("claims", "keycloak", "a refresh token", "claim typ", tok("keycloak", "JWT", `"typ":"Refresh"`, `"azp":"web"`, `"sid":"s-1"`))
	no("claims", "keycloak", "neither a session nor a service's mark", "a service account without clientHost would pass for a user", tok("keycloak", "JWT", `"typ":"Bearer"`, `"azp":"billing"`))
	user("auth0", "a user", "", "web", tok("auth0", "JWT", `"azp":"web"`, `"scope":"openid"`))
	service("auth0", "a machine", "m2m", "m2m@clients", tok("auth0", "JWT", `"azp":"m2m"`, `"gty":"client-credentials"`).sub("m2m@clients"))
	no("claims", "auth0", "a machine in the RFC 9068 profile, unmarked", "sub is the client", tok("auth0", "at+jwt", `"client_id":"m2m"`).sub("m2m"))
	no("claims", "auth0", "a machine's sub without its mark", "", tok("auth0", "JWT", `"azp":"m2m"`).sub("m2m@clients"))
	user("entra", "a user", "", "app-1", tok("entra", "JWT", `"azp":"app-1"`, `"scp":"Orders.Read"`, `"ver":"2.0"`))
	service("entra", "an application", "app-1", "u-1", tok("entra", "JWT", `"azp":"app-1"`, `"idtyp":"app"`, `"roles":["Orders.Read.All"]`))
	no("claims", "entra", "an application whose token has no idtyp", "idtyp is optional there; without scp it is no user", tok("entra", "JWT", `"azp":"app-1"`, `"roles":["Orders.Read.All"]`))
	user("oidc", "a user", "RFC 9068", "web", tok("oidc", "at+jwt", `"client_id":"web"`))
	no("claims", "oidc", "a client for itself, unmarked", "RFC 9068, section 2.2: sub is the client", tok("oidc", "at+jwt", `"client_id":"m2m"`).sub("m2m"))
	no("malformed", "oidc", "an ID token", "", tok("oidc", "JWT"))
	return f
}

// sub replaces the subject.
func (t token) sub(sub string) token {
	t.payload = strings.Replace(t.payload, `"sub":"u-1"`, fmt.Sprintf(`"sub":%q`, sub), 1)
	return t
}
