package authn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxTokenBytes caps a token. Servers cap all headers of a request at 8 to
	// 64 KB, so nothing honest is larger.
	maxTokenBytes = 16 << 10
	// maxKIDBytes caps a key ID.
	maxKIDBytes = 255
	// maxSignatureBytes is an RSA-8192 signature.
	maxSignatureBytes = maxRSABits / 8
)

// strict base64url: no padding, no other alphabet, no stray low bits (RFC 7515,
// section 2). Without it a token would have many spellings.
var strict = base64.RawURLEncoding.Strict()

// compactToken is a token in its three parts, decoded but not yet believed.
type compactToken struct {
	raw          string
	signingInput string
	header       joseHeader
	headerKnown  bool // it came from a headerMemo
	payload      string
	// payloadValid: the payload is valid JSON, so jsonscan.go may take it apart.
	payloadValid bool
	signature    []byte
}

// joseHeader holds the members that are read.
type joseHeader struct {
	Alg, Typ, KID string
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

// parseCompact reads a compact JWS (RFC 7515, section 3.1) in its one
// canonical spelling.
func parseCompact(token string) (compactToken, error) { return parseCompactWith(nil, token) }

// parseCompactWith does so with a memory of headers.
func parseCompactWith(memo *headerMemo, token string) (compactToken, error) {
	if len(token) > maxTokenBytes {
		return compactToken{}, malformed("larger than %d bytes", maxTokenBytes)
	}
	head, rest, ok := strings.Cut(token, ".")
	payload, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(sig, ".") {
		return compactToken{}, malformed("not three parts")
	}
	if len(sig) > maxSignatureBytes*4/3+4 {
		return compactToken{}, malformed("signature: too long")
	}
	t := compactToken{raw: token, signingInput: token[:len(head)+1+len(payload)]}
	// One buffer for all three parts; only the payload is copied out of it.
	buf := make([]byte, 0, strict.DecodedLen(len(token)))
	buf, err := t.readHeader(memo, buf, head)
	if err != nil {
		return compactToken{}, malformed("header: %w", err)
	}
	buf, body, err := decodePart(buf, payload)
	if err != nil {
		return compactToken{}, malformed("payload: %w", err)
	}
	if _, t.signature, err = decodePart(buf, sig); err != nil {
		return compactToken{}, malformed("signature: %w", err)
	}
	t.payload, t.payloadValid = string(body), validJSON(body)
	return t, nil
}

func (t *compactToken) readHeader(memo *headerMemo, buf []byte, encoded string) ([]byte, error) {
	if memo != nil {
		if t.header, t.headerKnown = memo.find(encoded); t.headerKnown {
			return buf, nil
		}
	}
	buf, data, err := decodePart(buf, encoded)
	if err == nil {
		t.header, err = parseHeader(data)
	}
	return buf, err
}

// decodePart appends what part stands for to buf, and returns that end of it too.
func decodePart(buf []byte, part string) (all, decoded []byte, err error) {
	if part == "" {
		return nil, nil, errors.New("empty")
	}
	// The decoder skips line breaks, so it cannot refuse them itself.
	if strings.IndexByte(part, '\n') >= 0 || strings.IndexByte(part, '\r') >= 0 {
		return nil, nil, errors.New("line break")
	}
	// Decoding in place of appending, because it needs no copy of part.
	from := len(buf)
	n, err := strict.Decode(buf[from:cap(buf)], []byte(part))
	if err != nil {
		return nil, nil, errors.New("not canonical base64url")
	}
	all = buf[:from+n]
	return all, all[from:], nil
}

func parseHeader(data []byte) (joseHeader, error) {
	var h joseHeader
	text := trimJSON(string(data))
	if text == "" || text[0] != '{' {
		return h, errors.New("not a JSON object")
	}
	if !validJSON(data) {
		return h, fmt.Errorf("decode: %w", whyInvalid(text))
	}
	for c := inside(text); ; {
		quoted, value, ok := c.member()
		if !ok {
			break
		}
		name, err := unquote(quoted)
		if err == nil {
			err = h.set(name, value)
		}
		if err != nil {
			return h, fmt.Errorf("%s: %w", strconv.QuoteToASCII(truncate(name, 64)), err)
		}
	}
	if h.KID == "" || len(h.KID) > maxKIDBytes {
		return h, fmt.Errorf("kid: must be 1 to %d bytes", maxKIDBytes)
	}
	return h, nil
}

var errNotAccepted = errors.New("not accepted")

// set takes one member. Those that would bring a key along, change what the
// signature covers or demand an extension are refused; unknown ones do not matter.
func (h *joseHeader) set(name, value string) (err error) {
	switch name {
	case "alg":
		h.Alg, err = headerString(value)
	case "typ":
		h.Typ, err = headerString(value)
	case "kid":
		h.KID, err = headerString(value)
	case "crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc":
		err = errNotAccepted
	}
	return err
}

// headerString takes null for absent.
func headerString(value string) (string, error) {
	if value == "null" {
		return "", nil
	}
	return unquote(value)
}

// readIssuer finds `iss` without believing anything else: it only chooses
// which issuer's rules and keys the token is held to. The strict reading of
// the claims comes after the signature and repeats the comparison.
func readIssuer(t compactToken) (string, error) {
	text := trimJSON(t.payload)
	if !t.payloadValid || text[0] != '{' {
		return readIssuerOfInvalid(t.payload)
	}
	for c := inside(text); ; {
		quoted, value, ok := c.member()
		if !ok {
			return "", fmt.Errorf("%w: iss is missing", ErrClaims)
		}
		if name, err := unquote(quoted); err != nil || name != "iss" {
			continue
		}
		iss, err := unquote(value)
		if err != nil {
			return "", fmt.Errorf("%w: iss is not a string", ErrClaims)
		}
		return iss, nil
	}
}

// readIssuerOfInvalid reads as far as it can. A payload with a fault further
// on is refused only once its signature is known to be the issuer's, so that
// the log tells an issuer's fault from a forger's.
func readIssuerOfInvalid(payload string) (string, error) {
	dec := jsontext.NewDecoder(strings.NewReader(payload), jsontext.AllowDuplicateNames(true))
	tok, err := dec.ReadToken()
	if err != nil || tok.Kind() != '{' {
		return "", malformed("payload: not a JSON object")
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return "", malformed("payload: %w", err)
		}
		if name.String() != "iss" {
			if err := dec.SkipValue(); err != nil {
				return "", malformed("payload: %w", err)
			}
			continue
		}
		value, err := dec.ReadToken()
		if err != nil {
			return "", malformed("payload: %w", err)
		}
		if value.Kind() != '"' {
			return "", fmt.Errorf("%w: iss is not a string", ErrClaims)
		}
		return value.String(), nil
	}
	return "", fmt.Errorf("%w: iss is missing", ErrClaims)
}

// typAccepted compares media types as RFC 7515, section 4.1.9 says: case does
// not count and "application/" may be left out.
func typAccepted(types []string, typ string) bool {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	for _, t := range types {
		if strings.TrimPrefix(strings.ToLower(t), "application/") == typ {
			return true
		}
	}
	return false
}
