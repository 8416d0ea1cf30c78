package broker

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// audiencesOf reads `aud` of a token that is yet to be verified: the verifier
// holds the rest to the issuer, and each request holds the audience to its own.
func audiencesOf(raw string) []string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Audience json.RawMessage `json:"aud"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	var one string
	if json.Unmarshal(claims.Audience, &one) == nil {
		return []string{one}
	}
	var several []string
	_ = json.Unmarshal(claims.Audience, &several) // none of them is an audience then
	return several
}
