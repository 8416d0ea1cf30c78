package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/authn"
)

const (
	tokenTypeIDToken      = "urn:ietf:params:oauth:token-type:id_token" //nolint:gosec // a name, RFC 8693 section 3
	exchangeTimeout       = 5 * time.Second
	maxTokenResponseBytes = 64 << 10
)

// FrontDoor exchanges an id_token for a mesh token at token-exchange (RFC 8693).
type FrontDoor struct {
	TokenURL   string
	ClientID   string
	APIKeyFile string // re-read each time, so that a rotated key is used at once
	Audiences  []string
	HTTPClient *http.Client
}

// Exchange returns the mesh token. Errors: ErrEnded when the id_token is not
// accepted (any more), ErrUnavailable when there is no usable answer.
func (d *FrontDoor) Exchange(ctx context.Context, idToken string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	key, err := config.ReadSecretFile(d.APIKeyFile)
	if err != nil {
		return "", fmt.Errorf("%w: API_KEY_FILE: %w", ErrUnavailable, err)
	}
	form := url.Values{
		"grant_type":           {authn.GrantTokenExchange},
		"subject_token":        {idToken},
		"subject_token_type":   {tokenTypeIDToken},
		"requested_token_type": {authn.TokenTypeAccessToken},
		"audience":             d.Audiences,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(d.ClientID), url.QueryEscape(key)) // RFC 6749, section 2.3.1
	resp, err := d.HTTPClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w: token-exchange: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var body struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxTokenResponseBytes)).Decode(&body)
	switch {
	case resp.StatusCode == http.StatusOK && err == nil && body.AccessToken != "":
		return body.AccessToken, nil
	case resp.StatusCode == http.StatusBadRequest && (body.Error == "invalid_grant" || body.Error == "invalid_request"):
		// RFC 8693, section 2.2.2: the subject token is invalid or unacceptable.
		return "", fmt.Errorf("%w: token-exchange answered %s", ErrEnded, body.Error)
	default:
		return "", fmt.Errorf("%w: token-exchange answered %d %s", ErrUnavailable, resp.StatusCode, plainCode(body.Error))
	}
}

// plainCode keeps an error code that looks like one: it goes into the log.
func plainCode(code string) string {
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "unknown_error"
	}
	return code
}
