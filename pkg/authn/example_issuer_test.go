package authn_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// exampleIssuer serves one key and signs with it; tests use package authntest.
type exampleIssuer struct {
	*httptest.Server
	private ed25519.PrivateKey
}

func newExampleIssuer() *exampleIssuer {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	handler := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","alg":"EdDSA","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	}
	return &exampleIssuer{Server: httptest.NewServer(http.HandlerFunc(handler)), private: private}
}

func (i *exampleIssuer) token(claims jwt.MapClaims) string {
	claims["exp"] = time.Now().Add(time.Minute).Unix()
	return i.sign("at+jwt", claims)
}

func (i *exampleIssuer) event(claims jwt.MapClaims) string { return i.sign("secevent+jwt", claims) }

func (i *exampleIssuer) sign(typ string, claims jwt.MapClaims) string {
	claims["iss"], claims["iat"] = i.URL, time.Now().Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["kid"], token.Header["typ"] = "k1", typ
	signed, err := token.SignedString(i.private)
	if err != nil {
		panic(err)
	}
	return signed
}
