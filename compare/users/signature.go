package users

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/shadowless/shadowless/internal/config"
)

// Sign is Auther's signature of a delivery: the lower-case hex HMAC-SHA256 of
// "<timestamp>.<body>". The timestamp is in Unix milliseconds.
func Sign(secret string, timestampMS int64, body []byte) string {
	return hex.EncodeToString(mac(secret, strconv.FormatInt(timestampMS, 10), body))
}

func mac(secret, timestamp string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return h.Sum(nil)
}

// signed reports whether the signature is one under any of the secrets: there
// are two while they are rotated.
func signed(secrets []string, timestamp string, body []byte, signature string) bool {
	given, err := hex.DecodeString(signature)
	valid := false
	for _, secret := range secrets {
		if hmac.Equal(mac(secret, timestamp, body), given) {
			valid = true
		}
	}
	return valid && err == nil
}

// readSecrets reads one secret a line, anew for each delivery: they are rare and
// a rotated secret counts at once.
func readSecrets(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := config.ReadSecretFile(path)
	if err != nil {
		return nil, fmt.Errorf("SHADOW_WEBHOOK_SECRETS_FILE: %w", err)
	}
	secrets := strings.Fields(raw)
	if len(secrets) == 0 {
		return nil, errors.New("SHADOW_WEBHOOK_SECRETS_FILE holds no secret")
	}
	return secrets, nil
}
