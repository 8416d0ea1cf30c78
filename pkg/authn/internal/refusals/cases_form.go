package refusals

import (
	"strings"
)

// formFile: one canonical spelling of a token, and no other serialization.
func formFile() File {
	t := plain()
	s := t.String()
	parts := strings.Split(s, ".")
	header, body, sig := parts[0], parts[1], parts[2]
	f := newFile("The compact serialization of RFC 7515, section 3.1, in its one canonical spelling. A second spelling of one token "+
		"defeats whatever remembers tokens: caches, deny lists, logs.",
		refuse("malformed", "", "empty", "", raw("")),
		refuse("malformed", "", "one part", "", raw(header)),
		refuse("malformed", "", "two parts", "", raw(header+"."+body)),
		refuse("malformed", "", "four parts", "", raw(s+".AAAA")),
		refuse("malformed", "jwe", "five parts", "the compact serialization of a JWE (RFC 7516)", raw(
			b64([]byte(`{"alg":"dir","enc":"A256GCM","kid":"p256","typ":"at+jwt"}`))+".."+b64(make([]byte, 12))+"."+body+"."+b64(make([]byte, 16)))),
		refuse("malformed", "jwe", "enc in a JWS header", "an encrypted token's header under a signature", t.withHeader(`{"alg":"ES256","enc":"A256GCM","kid":"p256","typ":"at+jwt"}`)),
		refuse("malformed", "json-serialization", "flattened JSON serialization", "RFC 7515, section 7.2.2",
			raw(`{"protected":"`+header+`","payload":"`+body+`","signature":"`+sig+`"}`)),
		refuse("malformed", "json-serialization", "general JSON serialization", "RFC 7515, section 7.2.1",
			raw(`{"payload":"`+body+`","signatures":[{"protected":"`+header+`","signature":"`+sig+`"}]}`)),
		refuse("malformed", "base64-padding", "padding after the signature", "RFC 7515, section 2: no padding", raw(s+"==")),
		refuse("malformed", "base64-padding", "padding after the header", "", raw(header+"=."+body+"."+sig)),
		refuse("malformed", "base64-standard-alphabet", "standard alphabet", "+ and / are not in the base64url alphabet", raw(standardAlphabet(t))),
		refuse("malformed", "base64-non-canonical", "stray low bits in the signature", "the last character carries bits that decode to nothing", raw(header+"."+body+"."+strayBits(sig))),
		refuse("malformed", "base64-non-canonical", "stray low bits in the payload", "signed as it is spelled", raw(strayPayload(t))),
		refuse("malformed", "base64-non-canonical", "a length that no bytes have", "one character too many for any number of bytes", raw(header+"."+body+"."+sig+"AAA")),
		refuse("malformed", "white-space", "leading space", "", raw(" "+s)),
		refuse("malformed", "white-space", "trailing space", "", raw(s+" ")),
		refuse("malformed", "white-space", "space inside", "", raw(header+". "+body+"."+sig)),
		refuse("malformed", "white-space", "tab inside", "", raw(header+"."+body+"\t."+sig)),
		refuse("malformed", "newline", "trailing newline", "", raw(s+"\n")),
		refuse("malformed", "newline", "newline inside", "many base64 decoders skip line breaks", raw(header+"."+body[:8]+"\n"+body[8:]+"."+sig)),
		refuse("malformed", "newline", "carriage return inside", "", raw(header+"."+body+"."+sig[:8]+"\r\n"+sig[8:])),
		refuse("malformed", "", "NUL at the end", "", raw(s+"\x00")),
		refuse("malformed", "", "empty header", "", raw("."+body+"."+sig)),
		refuse("malformed", "", "empty payload", "", raw(header+".."+sig)),
		refuse("malformed", "", "header is an array", "", t.withHeader(`[]`)),
		refuse("malformed", "", "header is a string", "", t.withHeader(`"at+jwt"`)),
		refuse("malformed", "", "header is null", "", t.withHeader(`null`)),
		refuse("malformed", "trailing-data", "header with trailing data", "", t.withHeader(plainHeader+`{}`)),
		refuse("malformed", "", "header cut short", "", t.withHeader(plainHeader[:len(plainHeader)-1])),
		refuse("malformed", "utf8-invalid", "header with invalid UTF-8", "RFC 8259, section 8.1", t.withHeader("{\"alg\":\"ES256\",\"kid\":\"p256\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}")),
		refuse("malformed", "utf8-invalid", "header in UTF-16", "", t.withHeader(utf16le(plainHeader))),
		refuse("malformed", "", "header with a byte order mark", "", t.withHeader("\ufeff"+plainHeader)),
		refuse("malformed", "", "payload is an array", "", t.withPayload(`[]`)),
		refuse("malformed", "", "payload is no JSON", "", t.withPayload(`nothing`)),
		refuse("malformed", "", "payload is null", "", t.withPayload(`null`)),
	)
	return f
}

// standardAlphabet is a token whose signature has a - or _ spelled + or /.
func standardAlphabet(t token) string {
	s := t.String()
	dot := strings.LastIndex(s, ".")
	other := s[:dot] + strings.NewReplacer("-", "+", "_", "/").Replace(s[dot:])
	if other == s {
		panic("the signature has neither - nor _")
	}
	return other
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// strayBits sets a bit of the last character that decodes to nothing.
func strayBits(part string) string {
	if len(part)%4 == 0 {
		panic("no stray bits in a whole number of groups")
	}
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last|1])
}

// strayPayload signs a payload that is spelled with stray bits.
func strayPayload(t token) string {
	for len(b64([]byte(t.payload)))%4 == 0 {
		t.payload += " "
	}
	input := b64([]byte(t.header)) + "." + strayBits(b64([]byte(t.payload)))
	return input + "." + b64(sign(t.alg, t.key, input))
}

func utf16le(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
		b.WriteByte(0)
	}
	return b.String()
}
