package authn

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
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
	payload      []byte
	signature    []byte
}

// joseHeader holds the members that are read, and those that must not be there.
type joseHeader struct {
	Alg  string         `json:"alg"`
	Typ  string         `json:"typ"`
	KID  string         `json:"kid"`
	Crit jsontext.Value `json:"crit"`
	JWK  jsontext.Value `json:"jwk"`
	JKU  jsontext.Value `json:"jku"`
	X5U  jsontext.Value `json:"x5u"`
	X5C  jsontext.Value `json:"x5c"`
	B64  jsontext.Value `json:"b64"`
	Zip  jsontext.Value `json:"zip"`
	Enc  jsontext.Value `json:"enc"`
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

// parseCompact reads a compact JWS (RFC 7515, section 3.1) in its one
// canonical spelling.
func parseCompact(token string) (compactToken, error) {
	if len(token) > maxTokenBytes {
		return compactToken{}, malformed("larger than %d bytes", maxTokenBytes)
	}
	head, rest, ok := strings.Cut(token, ".")
	payload, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(sig, ".") {
		return compactToken{}, malformed("not three parts")
	}
	t := compactToken{raw: token, signingInput: token[:len(head)+1+len(payload)]}
	header, err := decodePart(head)
	if err != nil {
		return compactToken{}, malformed("header: %w", err)
	}
	if t.payload, err = decodePart(payload); err != nil {
		return compactToken{}, malformed("payload: %w", err)
	}
	if len(sig) > maxSignatureBytes*4/3+4 {
		return compactToken{}, malformed("signature: too long")
	}
	if t.signature, err = decodePart(sig); err != nil {
		return compactToken{}, malformed("signature: %w", err)
	}
	if t.header, err = parseHeader(header); err != nil {
		return compactToken{}, malformed("header: %w", err)
	}
	return t, nil
}

func decodePart(part string) ([]byte, error) {
	if part == "" {
		return nil, errors.New("empty")
	}
	// The decoder skips line breaks, so it cannot refuse them itself.
	if strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("line break")
	}
	b, err := strict.DecodeString(part)
	if err != nil {
		return nil, errors.New("not canonical base64url")
	}
	return b, nil
}

func parseHeader(data []byte) (joseHeader, error) {
	var h joseHeader
	if len(data) == 0 || data[0] != '{' {
		return h, errors.New("not a JSON object")
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("decode: %w", err)
	}
	for name, value := range map[string]jsontext.Value{
		"crit": h.Crit, "jwk": h.JWK, "jku": h.JKU, "x5u": h.X5U,
		"x5c": h.X5C, "b64": h.B64, "zip": h.Zip, "enc": h.Enc,
	} {
		if len(value) > 0 {
			return h, fmt.Errorf("%s: not accepted", name)
		}
	}
	if h.KID == "" || len(h.KID) > maxKIDBytes {
		return h, fmt.Errorf("kid: must be 1 to %d bytes", maxKIDBytes)
	}
	return h, nil
}

// readIssuer finds `iss` without believing anything else: it only chooses
// which issuer's rules and keys the token is held to. The strict reading of
// the claims comes after the signature and repeats the comparison.
func readIssuer(payload []byte) (string, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(payload), jsontext.AllowDuplicateNames(true))
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
