package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const maxUserinfoSize = 64 << 10

// HTTPUserinfo asks an OpenID provider's userinfo endpoint.
type HTTPUserinfo struct {
	url    string
	client *http.Client
}

var _ Userinfo = (*HTTPUserinfo)(nil)

// NewHTTPUserinfo makes it. The client must not follow redirects: the token
// would go along.
func NewHTTPUserinfo(url string, client *http.Client) *HTTPUserinfo {
	return &HTTPUserinfo{url: url, client: client}
}

// Subject implements Userinfo.
func (u *HTTPUserinfo) Subject(ctx context.Context, token string) (string, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", ErrOpaqueRefused // no bearer token (RFC 6750, section 2.1)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.url, nil)
	if err != nil {
		return "", fmt.Errorf("build the userinfo request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	resp, err := u.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask userinfo: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusBadRequest:
		return "", ErrOpaqueRefused
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("ask userinfo: status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxUserinfoSize))
	if err != nil {
		return "", fmt.Errorf("read userinfo: %w", err)
	}
	var body struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(raw, &body); err != nil || body.Subject == "" {
		return "", errors.New("userinfo answered without a subject")
	}
	return body.Subject, nil
}
