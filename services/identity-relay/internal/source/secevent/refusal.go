package secevent

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Code is an error code of RFC 8935, section 2.4. It is also the reason that
// refusals are counted by.
type Code string

// Codes.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidKey           Code = "invalid_key"
	InvalidIssuer        Code = "invalid_issuer"
	InvalidAudience      Code = "invalid_audience"
	AuthenticationFailed Code = "authentication_failed"
	AccessDenied         Code = "access_denied"
)

type refusal struct {
	code        Code
	description string // fixed: it never quotes what was sent
	cause       error
}

func (r *refusal) Error() string {
	if r.cause == nil {
		return string(r.code) + ": " + r.description
	}
	return string(r.code) + ": " + r.cause.Error()
}

func refuse(code Code, description string, cause error) error {
	return &refusal{code, description, cause}
}

// refusalOf gives a verifier's error the code of RFC 8935. It is nil if the
// event could be neither accepted nor refused.
func refusalOf(err error) error {
	switch {
	case errors.Is(err, authn.ErrKeysUnavailable):
		return nil
	case errors.Is(err, authn.ErrUnknownIssuer):
		return refuse(InvalidIssuer, "The issuer is not accepted.", err)
	case errors.Is(err, authn.ErrUnknownKey):
		return refuse(InvalidKey, "The issuer has no such key.", err)
	case errors.Is(err, authn.ErrSignature):
		return refuse(AuthenticationFailed, "The signature does not verify.", err)
	case errors.Is(err, authn.ErrAudience):
		return refuse(InvalidAudience, "The event is for another audience.", err)
	default:
		return refuse(InvalidRequest, "The body is not an acceptable Security Event Token.", err)
	}
}

// write answers as RFC 8935, section 2.3 says.
func (r *refusal) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Language", "en")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"err": string(r.code), "description": r.description}) // the sender may be gone
}
