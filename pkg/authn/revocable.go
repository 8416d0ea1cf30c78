package authn

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// revocableBy reads, from a token of our own, by which IDs it may be revoked,
// or returns nil where the token is opaque. Nothing of it is believed: the
// worst that a wrong claim can do is that a token is fetched again.
func revocableBy(accessToken string) *Principal {
	dot := strings.LastIndexByte(accessToken, '.')
	_, payload, ok := strings.Cut(accessToken[:max(dot, 0)], ".")
	if !ok {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil
	}
	var c struct {
		JTI       string   `json:"jti"`
		SID       string   `json:"sid"`
		ClientID  string   `json:"client_id"`
		IAT       float64  `json:"iat"`
		OrigIAT   float64  `json:"orig_iat"`
		Ancestors []string `json:"ancestors"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil
	}
	p := &Principal{
		tokenID: c.JTI, sessionID: c.SID, clientID: c.ClientID, ancestors: c.Ancestors,
		issuedAt: time.Unix(int64(c.IAT), 0), originally: time.Unix(int64(c.IAT), 0),
	}
	if c.OrigIAT > 0 {
		p.originally = time.Unix(int64(c.OrigIAT), 0)
	}
	if p.tokenID == "" {
		sum := sha256.Sum256([]byte(accessToken[:dot]))
		p.tokenID = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	p.checks = revocationChecks(p)
	return p
}
