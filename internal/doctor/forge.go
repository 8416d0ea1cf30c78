package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// forged are tokens that look like a good one and are not, by what is wrong.
type forged struct{ wrong, token string }

// forge makes them from a good token of the issuer and its key set.
func forge(good string, keySet []byte, stranger *ecdsa.PrivateKey) ([]forged, error) {
	parts := strings.Split(good, ".")
	if len(parts) != 3 {
		return nil, errors.New("the issuer's token is no JWT")
	}
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, err
		}
	}
	changed := func(from map[string]any, name string, value any) map[string]any {
		out := maps.Clone(from)
		out[name] = value
		return out
	}
	stale := changed(claims, "iat", time.Now().Add(-2*time.Hour).Unix())
	stale["exp"] = time.Now().Add(-time.Hour).Unix()
	var out []forged
	add := func(wrong string, method jwt.SigningMethod, key any, header, claims map[string]any) error {
		token := &jwt.Token{Method: method, Header: changed(header, "alg", method.Alg()), Claims: jwt.MapClaims(claims)}
		signed, err := token.SignedString(key)
		if err != nil {
			return fmt.Errorf("forge a token: %w", err)
		}
		out = append(out, forged{wrong, signed})
		return nil
	}
	none := func(token string) string { return strings.TrimRight(token, ".") + "." }
	err := errors.Join(
		add("signed with a stranger's key under a known kid", jwt.SigningMethodES256, stranger, header, claims),
		add("signed with a stranger's key under an unknown kid", jwt.SigningMethodES256, stranger, changed(header, "kid", "doctor"), claims),
		add("expired, and signed by a stranger", jwt.SigningMethodES256, stranger, header, stale),
		add("of an unknown issuer", jwt.SigningMethodES256, stranger, header, changed(claims, "iss", "https://doctor.invalid")),
		add("that brings its own key (jwk)", jwt.SigningMethodES256, stranger, changed(header, "jwk", map[string]string{"kty": "EC"}), claims),
		add("that names its own key set (jku)", jwt.SigningMethodES256, stranger, changed(header, "jku", "https://doctor.invalid/jwks"), claims),
		add("signed with HS256 and the public key set as the secret", jwt.SigningMethodHS256, keySet, header, claims),
		add("with alg none", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header, claims),
	)
	if err != nil {
		return nil, err
	}
	out[len(out)-1].token = none(out[len(out)-1].token)
	payload, err := json.Marshal(changed(claims, "sub", "client:doctor"))
	if err != nil {
		return nil, err
	}
	return append(out,
		forged{"whose claims were changed", parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2]},
		forged{"without its signature", parts[0] + "." + parts[1] + "."},
		forged{"that is garbage", "a.b.c"},
	), nil
}

func (t Target) forgeries(ctx context.Context, m metadata, good string) ([]forged, error) {
	var set json.RawMessage
	if err := t.get(ctx, m.JWKSURI, &set); err != nil {
		return nil, fmt.Errorf("%w: read the key set: %w", errSetUp, err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSetUp, err)
	}
	list, err := forge(good, set, stranger)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSetUp, err)
	}
	return list, nil
}
